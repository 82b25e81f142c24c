"""Tables of results: on the screen after a run, and as markdown for the README.

python -m benchmarks.table [RESULTS]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

HEAD = (
    "contender versions set-up_s median_s min_s max_s ratio_to_ours same_loss target"
).split()


def cells(report: dict[str, Any]) -> list[list[str]]:
    """One row of strings per contender, in the order of `HEAD`."""
    rows = []
    for who in report["contenders"]:
        packages = [f"{k} {v}" for k, v in who["versions"].items() if k != "python"]
        row = [who["name"], ", ".join(packages)]
        if who["failed"]:
            rows.append([*row, f"failed: {who['failed']}", *[""] * 6])
            continue
        less = "" if who["arrived"] else "> "
        ratio = "" if who["ratio"] is None else f"{less}{who['ratio']:.2f}"
        times = [less + figures(who[name]) for name in ("median_s", "min_s", "max_s")]
        set_up = figures(who["set_up_s"] + who["late_set_up_s"])
        rows.append([*row, set_up, *times, ratio, same(who), target(who)])
    return rows


def same(who: dict[str, Any]) -> str:
    if "equal_work" not in who:
        return ""
    return f"{'yes' if who['equal_work'] else 'NO'} ({who['loss_off']:.0e})"


def target(who: dict[str, Any]) -> str:
    if who["reach"] is None:
        return ""
    bound = f"< {who['reach']:g} s" if who.get("absolute") else f">= {who['reach']:g}"
    return bound + {None: ": not settled", True: ": met", False: ": missed"}[who["met"]]


def figures(seconds: float) -> str:
    return f"{seconds:.3g}" if seconds < 1000 else f"{seconds:.0f}"


def show(report: dict[str, Any]) -> None:
    made = Table(*(head.replace("_", " ") for head in HEAD), title=report["name"])
    for row in cells(report):
        made.add_row(*row)
    Console().print(made)
    for note in report.get("notes", []):
        print(note)


def markdown(report: dict[str, Any]) -> str:
    machine = report["machine"]
    accelerator = f", {machine['accelerator']}" if "accelerator" in machine else ""
    lines = [
        f"### {report['name']}",
        "",
        f"`{report['command']}`, {report['date']}, {machine['cpu']}, "
        f"{machine['cores']} cores{accelerator}.",
        "",
        "| " + " | ".join(head.replace("_", " ") for head in HEAD) + " |",
        "|" + "---|" * len(HEAD),
    ]
    lines += ["| " + " | ".join(row) + " |" for row in cells(report)]
    lines += ["", *report.get("notes", [])]
    return "\n".join(lines).rstrip() + "\n"


def main(arguments: list[str] | None = None) -> None:
    given = sys.argv[1:] if arguments is None else arguments
    folder = Path(given[0]) if given else Path(__file__).parent / "results"
    for path in sorted(folder.glob("*.json")):
        print(markdown(json.loads(path.read_text(encoding="utf-8"))))


if __name__ == "__main__":
    main()
