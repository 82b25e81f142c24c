"""What a sweep adds to its jobs, and what a second process takes off the time.

    python -m benchmarks.sweep

Sending: many jobs that only leave a line in a file, through one process, over their
number: what it costs to hand a job out and to hear of it.
Work: jobs of `mean` on the simulated retina in this process, each by the function that
a worker calls. Of its time that of the fit (with its checkpoints) and of the score is
taken away, which are the job's own; what is left is the lock, the card, the recording
at hand, the word to those who watch, and the store, flushed to the disk. The first job
of a round loads the recording and compiles, and is not counted. The same jobs once
more: what it takes to find that one is done. The overhead of a job is sending and work
together.
Speed-up: jobs of arithmetic on one thread, through two processes and through one, in
turn; the ratio of a round is what counts. Needs two idle cores: what else runs takes
from the second process first.
All of it in each round, so that a machine that drifts hits all; medians over rounds.
"""

from __future__ import annotations

import functools
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

import retina
from benchmarks.reports import finish, machine, options, parsed, plain, today
from retina.search import failing, places
from retina.search import work as worker
from retina.search.drive import drive
from retina.search.executors.local import local
from retina.search.job import Job

TASK_S = 0.25  # about what one job of the speed-up takes; chosen
OVERHEAD_S, SPEED_UP = 0.02, 1.8  # the aims


def jobs(count: int) -> list[Job]:
    """Jobs that differ in their names only; a sweep knows those before it sends one."""
    made = [Job(str(i), "none", "mean", {"i": i}, {}, ()) for i in range(count)]
    assert len({job.name for job in made}) == count
    return made


def leaves_a_line(job: Job, folder: Path) -> None:
    (folder / job.name).write_text("done\n")


def computes(job: Job, steps: int) -> float:
    """Arithmetic on one thread, in pieces that fit into a cache."""
    values = np.arange(1 << 12, dtype=np.float64)
    for _ in range(steps):
        values = np.sqrt(values * values + 1.0)
    return float(values[0])


def working(count: int, folder: Path) -> tuple[float, float, float]:
    """Median seconds of a job: around its fit and score, in all, once it is done."""
    order = places.Order(folder, "benchmark")
    metrics = ("pearson",)
    given = [
        Job(str(i), "simulated", "mean", {}, {}, metrics, key=i)
        for i in range(count + 1)
    ]
    own: list[float] = []

    def timed(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **named: Any) -> Any:
            begun = time.perf_counter()
            answer = function(*args, **named)
            own.append(time.perf_counter() - begun)
            return answer

        return call

    def each() -> list[float]:
        spent = []
        for job in given:
            begun = time.perf_counter()
            outcome = worker.work(job, order)
            spent.append(time.perf_counter() - begun)
            assert not isinstance(outcome, failing.Failure), outcome.error
        return spent[1:]

    with (
        mock.patch.object(worker, "fitted", timed(worker.fitted)),
        mock.patch.object(worker, "measured", timed(worker.measured)),
    ):
        whole = each()
        fits, scores = own[2::2], own[3::2]
        parts = zip(whole, fits, scores, strict=True)
        around = [one - fit - score for one, fit, score in parts]
        again = each()
    return statistics.median(around), statistics.median(whole), statistics.median(again)


def seconds(processes: int, work: Any, count: int) -> float:
    """From the first job handed out to the last answer, once all processes are up."""
    pool = local(str(processes))
    answers = drive(lambda: pool, work, jobs(count + processes))
    for _ in range(processes):  # the first of each process starts it
        next(answers)
    begun = time.perf_counter()
    for _ in answers:
        pass
    return time.perf_counter() - begun


def steps_of(wanted_s: float) -> int:
    """How much arithmetic takes so long here, where nothing else runs."""
    steps, (job,) = 1000, jobs(1)
    spent = []
    for _ in range(3):
        begun = time.perf_counter()
        computes(job, steps)
        spent.append(time.perf_counter() - begun)
    return max(1, round(steps * wanted_s / min(spent)))


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    parser = options(__doc__, rounds=5, race=False)
    parser.add_argument("--jobs", type=int, default=400, help="sent in a round")
    parser.add_argument("--works", type=int, default=10, help="fitted in a round")
    parser.add_argument("--tasks", type=int, default=24, help="of arithmetic, the same")
    chosen = parsed(parser, arguments)
    task_s = TASK_S
    if chosen.small:
        chosen.jobs, chosen.works, chosen.tasks, task_s = 10, 2, 2, 0.01
    computing = functools.partial(computes, steps=steps_of(task_s))
    told: dict[str, list[float]] = {}
    for _ in range(chosen.rounds):
        with tempfile.TemporaryDirectory() as folder:
            send = functools.partial(leaves_a_line, folder=Path(folder))
            sent = seconds(1, send, chosen.jobs) / chosen.jobs
        with tempfile.TemporaryDirectory() as folder:
            around, whole, again = working(chosen.works, Path(folder))
        round_ = {
            "sending": sent,
            "around its fit and score": around,
            "overhead: both": sent + around,
            "with its fit and score": whole,
            "found to be done": again,
            "two processes": seconds(2, computing, chosen.tasks),
            "one process": seconds(1, computing, chosen.tasks),
        }
        for name, took in round_.items():
            told.setdefault(name, []).append(took)
    two, one = told.pop("two processes"), told.pop("one process")
    versions = {"retina": retina.__version__}
    rows = [
        plain(
            f"a job, {name}",
            took,
            versions=versions,
            most=OVERHEAD_S if name.startswith("overhead") else None,
        )
        for name, took in told.items()
    ]
    ones = [1.0] * len(two)  # the other row's ratios are to this one
    rows.append(plain("tasks, two processes", two, ones, versions=versions))
    gains = [alone / both for alone, both in zip(one, two, strict=True)]
    rows.append(
        plain("tasks, one process", one, gains, versions=versions, reach=SPEED_UP)
    )
    report = {
        "name": "sweep",
        "command": " ".join(["python", "-m", "benchmarks.sweep", *chosen.given]),
        "date": today(),
        "machine": machine(),
        "settings": {n: getattr(chosen, n) for n in ("jobs", "works", "tasks")},
        "contenders": rows,
        "notes": [
            f"Two processes: {statistics.median(gains):.2f} x the speed of one (aim >= "
            f"{SPEED_UP}); rounds {', '.join(f'{gain:.2f}' for gain in gains)}."
        ],
    }
    finish(report, chosen)
    return report


if __name__ == "__main__":
    from benchmarks import sweep  # other processes know its functions by this name

    sweep.main()
