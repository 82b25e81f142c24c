"""Runs contenders in turn, A B C A B C ..., so that a machine that drifts hits all.

Every contender is a process of its own (`benchmarks.worker`). The first is ours; each
round gives one ratio of the others' time to ours, and the median of these is told.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import table

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
PAUSE_S = 0.05  # between turns: by then the last one's threads have stopped spinning
SAME = 1e-4  # relative difference of losses that equal work may leave

Answers = dict[str, dict[str, Any]]


@dataclasses.dataclass(frozen=True)
class Contender:
    """One row of the table.

    build:    "module:function" that gives its `Work`.
    peer:     it runs in the peers' interpreter.
    settings: its own, over the benchmark's.
    reach:    its time must be this many times ours for the target to be met.
    """

    name: str
    build: str
    peer: bool = False
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)
    reach: float | None = None


class Worker:
    """A contender's process; a failure is kept and told, and ends its part alone."""

    def __init__(self, who: Contender, settings: dict[str, Any], python: str):
        self.who = who
        self.failed = ""
        self.answers: list[dict[str, Any]] = []
        self._said = tempfile.TemporaryFile("w+")
        arguments = [who.build, json.dumps(settings | who.settings)]
        self._process = subprocess.Popen(
            [python, "-m", "benchmarks.worker", *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
        )
        self.built = self._read()

    def step(self) -> dict[str, Any]:
        if self.failed:
            return {}
        time.sleep(PAUSE_S)
        assert self._process.stdin is not None
        self._process.stdin.write("step\n")
        self._process.stdin.flush()
        told = self._read()
        if told:
            self.answers.append(told)
        return told

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if line:
            return json.loads(line)
        self._process.wait()
        self._said.seek(0)
        last = self._said.read().strip().splitlines() or ["it ended without a word"]
        self.failed = last[-1]
        return {}

    def end(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
        self._said.close()


def race(
    name: str,
    contenders: Sequence[Contender],
    settings: dict[str, Any],
    options: argparse.Namespace,
    *,
    warm_ups: int = 1,
    judge: Callable[[Answers], dict[str, float | None]] | None = None,
    notes: Callable[[list[dict[str, Any]]], list[str]] = lambda rows: [],
) -> dict[str, Any]:
    """Run, print the table, write `results/NAME.json`.

    contenders: ours first; peers are left out without `--peers`.
    warm_ups:   steps before the first that counts; the first of them holds whatever is
                compiled late, and its loss is that of equal weights.
    judge:      the answers of a round by contender -> the seconds of each; None where
                it did not get there. By default what each worker's own clock says.
    notes:      lines under the table, from its rows.
    raises:     RuntimeError if ours fails.
    """
    load = os.getloadavg()[0]
    settings = settings | {"device": options.device}
    present = [c for c in contenders if options.peers or not c.peer]
    workers = [
        Worker(c, settings, options.peers if c.peer else sys.executable)
        for c in present
    ]
    try:
        for _ in range(warm_ups):
            for worker in workers:
                worker.step()
        rounds: list[dict[str, float | None]] = []
        for _ in range(options.rounds):
            told = {worker.who.name: worker.step() for worker in workers}
            told = {who: answer for who, answer in told.items() if answer}
            clocks = {who: answer["seconds"] for who, answer in told.items()}
            rounds.append(judge(told) if judge else clocks)
    finally:
        for worker in workers:
            worker.end()
    if workers[0].failed:
        raise RuntimeError(f"{present[0].name}: {workers[0].failed}")
    rows = [row(worker, workers[0], rounds, warm_ups) for worker in workers]
    report = {
        "name": name,
        "command": " ".join(["python", "-m", f"benchmarks.{name}", *options.given]),
        "date": today(),
        "machine": machine() | {"load_before": load} | accelerator(rows[0]),
        "settings": settings,
        "contenders": rows,
        "notes": notes(rows),
    }
    finish(report, options)
    return report


def row(
    worker: Worker,
    ours: Worker,
    rounds: list[dict[str, float | None]],
    warm_ups: int,
) -> dict[str, Any]:
    """What is told of one contender."""
    who = worker.who
    told: dict[str, Any] = {
        "name": who.name,
        "versions": worker.built.get("versions", {}),
        "about": worker.built.get("about", {}),
        "reach": who.reach,
        "failed": worker.failed,
    }
    if worker.failed:
        return told
    # Where a contender did not get there, the time it spent is less than it needs.
    spent = [answer["spent_s"] for answer in worker.answers[warm_ups:]]
    clocks = [one[who.name] for one in rounds]
    seconds = [s if t is None else t for s, t in zip(spent, clocks, strict=True)]
    mine = [one[ours.who.name] for one in rounds]
    ratios = [s / m for s, m in zip(seconds, mine, strict=True) if m]
    median = statistics.median(seconds)
    late = 0.0
    if warm_ups:
        late = max(0.0, worker.answers[0]["spent_s"] - median)
    told |= {
        "set_up_s": worker.built["set_up_s"],
        "late_set_up_s": late,
        "seconds": seconds,
        "median_s": median,
        "min_s": min(seconds),
        "max_s": max(seconds),
        "arrived": None not in clocks,
        "ratios": ratios,
        "ratio": statistics.median(ratios) if ratios else None,
        "idle_cpu_s": max(answer["idle_cpu_s"] for answer in worker.answers),
        "answers": worker.answers,
    }
    told["met"] = None
    if who.reach is not None and told["ratio"] is not None:
        enough = told["ratio"] >= who.reach
        # One that was stopped on the way may need any more time.
        told["met"] = enough if enough or told["arrived"] else None
    loss, our_loss = (one.answers[0].get("loss") for one in (worker, ours))
    if worker is not ours and loss is not None and our_loss is not None:
        told["loss_off"] = abs(loss - our_loss) / abs(our_loss)
        told["equal_work"] = told["loss_off"] <= SAME
    return told


def finish(report: dict[str, Any], options: argparse.Namespace) -> None:
    """Print a report and keep it; a small run is kept only where it is asked for."""
    table.show(report)
    folder = options.results or (None if options.small else RESULTS)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{report['name']}.json"
        path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        print(f"written: {path}")


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


def options(what: str | None, rounds: int = 5) -> argparse.ArgumentParser:
    """The options that all benchmarks have."""
    parser = argparse.ArgumentParser(description=(what or "").splitlines()[0])
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
    return found
