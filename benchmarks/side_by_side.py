"""Runs contenders in turn, A B C A B C ..., so that a machine that drifts hits all.

Every contender is a process of its own (`benchmarks.worker`). The first is ours; each
round gives one ratio of the others' time to ours, and the median of these is told. What
is compiled for a step of ours is compiled in it, as on a machine that has kept nothing.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.reports import ROOT, accelerator, finish, machine, today
from benchmarks.worker import KEPT
from retina.compiled import WORTH_S

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
        self._kept = tempfile.TemporaryDirectory()
        arguments = [who.build, json.dumps(settings | who.settings)]
        self._process = subprocess.Popen(
            [python, "-m", "benchmarks.worker", *arguments],
            cwd=ROOT,
            env=os.environ | compiling(Path(self._kept.name), who),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
        )
        self.built = self._read()

    def step(self, more: dict[str, Any]) -> dict[str, Any]:
        """more: settings that are known only now."""
        if self.failed:
            return {}
        time.sleep(PAUSE_S)
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(more) + "\n")
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
        self._kept.cleanup()


def compiling(folder: Path, who: Contender) -> dict[str, str]:
    """The environment in which a worker keeps what it compiles in a folder of its own.

    Ours as `retina` keeps it; the worker empties it before each step. A peer that runs
    on JAX keeps nothing, whatever the one who calls has set.
    """
    if who.peer:
        return {"TORCHINDUCTOR_CACHE_DIR": str(folder), "JAX_COMPILATION_CACHE_DIR": ""}
    return {
        KEPT: str(folder),
        "JAX_COMPILATION_CACHE_DIR": str(folder),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": str(WORTH_S),
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }


def race(
    name: str,
    contenders: Sequence[Contender],
    settings: dict[str, Any],
    options: argparse.Namespace,
    *,
    warm_ups: int = 1,
    judge: Callable[[Answers], dict[str, float | None]] | None = None,
    allow: Callable[[dict[str, Any]], dict[str, Any]] = lambda ours: {},
    notes: Callable[[list[dict[str, Any]]], list[str]] = lambda rows: [],
) -> dict[str, Any]:
    """Run, print the table, write `results/NAME.json`.

    contenders: ours first; peers are left out without `--peers`, and all that `--only`
                does not name: what is told is then of a part, in a file of its own.
    warm_ups:   steps before the first that counts; the first of them holds whatever is
                compiled late, and its loss is that of equal weights.
    judge:      the answers of a round by contender -> the seconds of each; None where
                it did not get there. By default what each worker's own clock says.
    allow:      what ours answered in a round -> settings of the others for that round.
    notes:      lines under the table, from its rows.
    raises:     RuntimeError if ours fails; SystemExit where `--only` names nobody.
    """
    settings = settings | {"device": options.device}
    present = chosen(contenders, options)
    workers = [
        Worker(c, settings, options.peers if c.peer else sys.executable)
        for c in present
    ]
    try:
        for _ in range(warm_ups):
            for worker in workers:
                worker.step({})
        rounds: list[dict[str, float | None]] = []
        for _ in range(options.rounds):
            told: Answers = {}
            allowed: dict[str, Any] = {}
            for worker in workers:
                if answer := worker.step(allowed):
                    told[worker.who.name] = answer
                if worker is workers[0] and answer:
                    allowed = allow(answer)
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
        "machine": machine() | accelerator(rows[0]),
        "settings": settings,
        "contenders": rows,
        "left_out": [c.name for c in contenders if c not in present],
        "notes": notes(rows),
    }
    finish(report, options)
    return report


def chosen(
    contenders: Sequence[Contender], options: argparse.Namespace
) -> list[Contender]:
    """Those who run: ours, and the others that the options do not leave out."""
    ours, *others = [c for c in contenders if options.peers or not c.peer]
    words = [word.lower() for word in options.only or []]
    for word in words:
        if not any(word in c.name.lower() for c in (ours, *others)):
            names = "; ".join(c.name for c in (ours, *others))
            more = "" if options.peers else "; with --peers also the peers"
            raise SystemExit(f"--only {word}: in no name of these: {names}{more}")
    if not words:
        return [ours, *others]
    return [ours, *(c for c in others if any(w in c.name.lower() for w in words))]


def pairs(rows: list[dict[str, Any]]) -> Iterator[tuple[dict, dict]]:
    """Rows beside each other of one model, named "model, way", where both were run."""
    for one, other in itertools.pairwise(row for row in rows if not row["failed"]):
        if one["name"].split(",")[0] == other["name"].split(",")[0]:
            yield one, other


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
        # One that was stopped on the way may need any more time; one that ended there
        # by its own rule would need another rule.
        told["met"] = enough if enough or told["arrived"] else None
        told["ended"] = worker.answers[-1].get("settled", False)
    loss, our_loss = (one.answers[0].get("loss") for one in (worker, ours))
    if worker is not ours and loss is not None and our_loss is not None:
        told["loss_off"] = abs(loss - our_loss) / abs(our_loss)
        told["equal_work"] = told["loss_off"] <= SAME
    return told
