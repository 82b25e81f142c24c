"""What a sweep adds to its jobs, and what a second process takes off the time.

    python -m benchmarks.sweep [--jobs 2000] [--rounds 5]

Overhead: many jobs that only leave a line in a file, through one process, over their
number. Speed-up: jobs of arithmetic on one thread, through one process and through two,
in turn; the ratio of a round is what counts, its median is told. Needs two idle cores:
what else runs takes from the second process first.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

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
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tasks", type=int, default=24)
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        work = functools.partial(leaves_a_line, folder=Path(folder))
        overhead_s = seconds(1, work, chosen.jobs) / chosen.jobs
    print(f"overhead {1e3 * overhead_s:.2f} ms a job, over {chosen.jobs} jobs")
    work = functools.partial(computes, steps=steps_of(TASK_S))
    ratios = []
    for _ in range(chosen.rounds):
        one, two = (seconds(count, work, chosen.tasks) for count in (1, 2))
        ratios.append(one / two)
        print(f"one process {one:.2f} s, two {two:.2f} s: {one / two:.2f} x")
    speed_up = statistics.median(ratios)
    print(f"two processes: {speed_up:.2f} x (median of {chosen.rounds} rounds)")
    return {"overhead_s": overhead_s, "speed_up": speed_up}


if __name__ == "__main__":
    from benchmarks import sweep  # other processes know its functions by this name

    sweep.main()
