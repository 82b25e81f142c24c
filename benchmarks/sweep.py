"""What a sweep adds to its jobs, and what a second process takes off the time.

    python -m benchmarks.sweep [--jobs 2000] [--rounds 5] [--small]

Sending: many jobs that only leave a line in a file, through one process, over their
number: what it costs to hand a job out and to hear of it.
Work: jobs of `mean` on the simulated retina in this process, each by the function that
a worker calls. Of its time that of the fit (with its checkpoints) and of the score is
taken away, which are the job's own; what is left is the lock, the card, the recording
at hand, the word to those who watch, and the store, flushed to the disk. The first job
loads the recording and compiles, and is not counted. The same jobs once more: what it
takes to find that one is done. The overhead of a job is sending and work together.
Speed-up: jobs of arithmetic on one thread, through one process and through two, in
turn; the ratio of a round is what counts, its median is told. Needs two idle cores:
what else runs takes from the second process first.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from retina.search import work as worker
from retina.search.drive import drive
from retina.search.executors.local import local
from retina.search.job import Job

TASK_S = 0.25  # about what one job of the speed-up takes; chosen


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
    order = worker.Order(folder, "benchmark")
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
            assert not isinstance(outcome, worker.Failure), outcome.error
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
    """How much arithmetic takes so long here and now."""
    steps = 1000
    begun = time.perf_counter()
    computes(jobs(1)[0], steps)
    return max(1, round(steps * wanted_s / (time.perf_counter() - begun)))


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=2000)
    parser.add_argument("--works", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tasks", type=int, default=24)
    parser.add_argument("--small", action="store_true", help="only whether it runs")
    chosen = parser.parse_args(arguments)
    task_s = TASK_S
    if chosen.small:
        chosen.jobs, chosen.works, chosen.rounds, chosen.tasks = 50, 3, 1, 4
        task_s = 0.02
    with tempfile.TemporaryDirectory() as folder:
        work = functools.partial(leaves_a_line, folder=Path(folder))
        sending_s = seconds(1, work, chosen.jobs) / chosen.jobs
    print(f"sending {1e3 * sending_s:.2f} ms a job, over {chosen.jobs} jobs")
    with tempfile.TemporaryDirectory() as folder:
        around_s, whole_s, again_s = working(chosen.works, Path(folder))
    print(
        f"work {1e3 * around_s:.2f} ms around the fit and the score, of "
        f"{1e3 * whole_s:.0f} ms in all; {1e3 * again_s:.2f} ms where it is done "
        f"already (medians of {chosen.works} jobs)"
    )
    overhead_s = sending_s + around_s
    print(f"overhead {1e3 * overhead_s:.2f} ms a job")
    work = functools.partial(computes, steps=steps_of(task_s))
    ratios = []
    for _ in range(chosen.rounds):
        one, two = (seconds(count, work, chosen.tasks) for count in (1, 2))
        ratios.append(one / two)
        print(f"one process {one:.2f} s, two {two:.2f} s: {one / two:.2f} x")
    speed_up = statistics.median(ratios)
    print(f"two processes: {speed_up:.2f} x (median of {chosen.rounds} rounds)")
    return {
        "sending_s": sending_s,
        "work_s": around_s,
        "done_s": again_s,
        "overhead_s": overhead_s,
        "speed_up": speed_up,
    }


if __name__ == "__main__":
    from benchmarks import sweep  # other processes know its functions by this name

    sweep.main()
