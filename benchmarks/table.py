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
BUSY = 1.0  # load at the start; chosen


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
    if who["met"] is None:
        return bound + (": ended before" if who.get("ended") else ": not settled")
    return bound + (": met" if who["met"] else ": missed")


def figures(seconds: float) -> str:
    return f"{seconds:.3g}" if seconds < 1000 else f"{seconds:.0f}"


def title(report: dict[str, Any]) -> str:
    return report["name"] + (", in part" if report.get("left_out") else "")


def remarks(report: dict[str, Any]) -> list[str]:
    """The notes, and what a reader must know of the run before its figures are used."""
    lines = [*report.get("notes", [])]
    if report.get("left_out"):
        lines.append(f"Left out of this run: {'; '.join(report['left_out'])}.")
    if "load" in report:
        begin, end = report["load"]["begin"], report["load"]["end"]
        line = f"Load {begin:.1f} at the start, {end:.1f} at the end."
        if begin > BUSY:
            line += (
                " NOT A QUIET MACHINE: other work may have had a share of the cores."
            )
        lines.append(line)
    return lines


def show(report: dict[str, Any]) -> None:
    made = Table(*(head.replace("_", " ") for head in HEAD), title=title(report))
    for row in cells(report):
        made.add_row(*row)
    Console().print(made)
    for line in remarks(report):
        print(line)


def markdown(report: dict[str, Any]) -> str:
    machine = report["machine"]
    accelerator = f", {machine['accelerator']}" if "accelerator" in machine else ""
    lines = [
        f"### {title(report)}",
        "",
        f"`{report['command']}`, {report['date']}, {machine['cpu']}, "
        f"{machine['cores']} cores{accelerator}.",
        "",
        "| " + " | ".join(head.replace("_", " ") for head in HEAD) + " |",
        "|" + "---|" * len(HEAD),
    ]
    lines += ["| " + " | ".join(row) + " |" for row in cells(report)]
    lines += ["", *remarks(report)]
    return "\n".join(lines).rstrip() + "\n"


def main(arguments: list[str] | None = None) -> None:
    given = sys.argv[1:] if arguments is None else arguments
    folder = Path(given[0]) if given else Path(__file__).parent / "results"
    for path in sorted(folder.glob("*.json")):
        print(markdown(json.loads(path.read_text(encoding="utf-8"))))


if __name__ == "__main__":
    main()
