"""What a benchmark is asked for and what it tells: options, rows, one file of JSON."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import table

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"


def finish(report: dict[str, Any], options: argparse.Namespace) -> None:
    """Print a report and keep it; a small run is kept only where it is asked for.

    It gets the load (processes that ran or waited, in the mean over a minute) before
    the first of its work and after the last.
    """
    report["load"] = {"begin": options.load, "end": os.getloadavg()[0]}
    table.show(report)
    folder = options.results or (None if options.small else RESULTS)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        part = ".partial" if report.get("left_out") else ""
        path = folder / f"{report['name']}{part}.json"
        path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        print(f"written: {path}")


def plain(
    name: str,
    seconds: list[float],
    ratios: Sequence[float] = (),
    *,
    versions: dict[str, str],
    reach: float | None = None,
    most: float | None = None,
) -> dict[str, Any]:
    """A row of what was timed without a worker.

    reach: the median of `ratios` must be as much. most: seconds, of their median.
    """
    median = statistics.median(seconds)
    ratio = statistics.median(ratios) if ratios else None
    met = None if most is None else median < most
    if reach is not None and ratio is not None:
        met = ratio >= reach
    return {
        "name": name,
        "versions": versions,
        "failed": "",
        "set_up_s": 0.0,
        "late_set_up_s": 0.0,
        "seconds": seconds,
        "median_s": median,
        "min_s": min(seconds),
        "max_s": max(seconds),
        "arrived": True,
        "ratios": [*ratios],
        "ratio": ratio,
        "reach": reach if most is None else most,
        "absolute": most is not None,
        "met": met,
    }


def today() -> str:
    return datetime.date.today().isoformat()


def machine() -> dict[str, Any]:
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = [line.split(":", 1) for line in info.read_text().splitlines()]
        names = [pair[1].strip() for pair in lines if pair[0].strip() == "model name"]
        cpu = names[0] if names else cpu
    return {"cpu": cpu, "cores": os.cpu_count(), "system": platform.platform()}


def accelerator(row: dict[str, Any]) -> dict[str, Any]:
    """The device that a contender says it computed on, where that is no CPU."""
    device = row["about"].get("device", "cpu")
    return {} if device == "cpu" else {"accelerator": device}


def options(
    what: str | None, rounds: int = 5, race: bool = True
) -> argparse.ArgumentParser:
    """The options that all benchmarks have; `--only` is of those that run a race."""
    parser = argparse.ArgumentParser(description=(what or "").splitlines()[0])
    if race:
        parser.add_argument(
            "--only", nargs="+", metavar="NAME", help="ours and whose name holds it"
        )
    parser.add_argument("--peers", help="the peers' interpreter: PATH/bin/python")
    parser.add_argument(
        "--device", help="of torch: cuda, or cpu; jax has its own choice"
    )
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--small", action="store_true", help="only whether it runs")
    parser.add_argument("--results", type=Path, help="folder of NAME.json")
    return parser


def parsed(
    parser: argparse.ArgumentParser, arguments: list[str] | None
) -> argparse.Namespace:
    """Options, with the words they were given in as `given`."""
    given = sys.argv[1:] if arguments is None else arguments
    found = parser.parse_args(given)
    found.given = given
    found.load = os.getloadavg()[0]
    return found
