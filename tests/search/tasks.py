"""What workers are given in tests of executors: no fit, so that there may be many."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

from retina.search import deadline
from retina.search.job import Job


def jobs(count: int, model: str = "fine") -> list[Job]:
    return [Job(f"{model} {i}", "none", model, {"i": i}, {}, ()) for i in range(count)]


def span(job: Job, pause_s: float) -> tuple[int, int, float, float]:
    """The process and the thread that a job ran in, and when by the machine's clock."""
    if job.model == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    begun = time.monotonic()
    time.sleep(pause_s)
    return os.getpid(), threading.get_ident(), begun, time.monotonic()


def task(job: Job, folder: Path, pause_s: float = 0.0) -> int | str:
    """Leaves a line for each time that a job was brought to its end."""
    if job.model == "raises":
        raise ValueError("as asked")
    if job.model == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    mark = folder / f"{job.name}.begun"
    if job.model == "dies once" and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if job.model == "hangs":
        late = folder / f"{job.name}.late"
        if deadline.passed(late):
            return deadline.passed(late)
        with deadline.ends(0.5, late):
            time.sleep(600)
    time.sleep(pause_s)
    with open(folder / job.name, "a") as file:
        file.write(f"{os.getpid()}\n")
    return job.settings["i"]
