"""What a sweep has set out to do, for those who watch it from elsewhere."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from retina import atomic
from retina.search.job import Job
from retina.search.work import Order

FILE = ".sweep.json"


@contextlib.contextmanager
def kept(
    jobs: Sequence[Job], order: Order, y: str, executor: str, trials: int = 0
) -> Iterator[None]:
    """The plan lies in the folder until all its jobs have been tried.

    trials: of a search: jobs of which nobody knows yet what they will be.

    A sweep that is stopped or killed leaves it: the same command takes its place.
    """
    plan = {
        "sweep": order.sweep,
        "executor": executor,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "begun": time.time(),
        "y": y,
        "trials": trials,
        "jobs": [
            {
                "name": job.name,
                "label": job.label,
                "dataset": job.dataset,
                "sampled": bool(job.spikes_of),
            }
            for job in jobs
        ],
    }
    file = order.folder / FILE
    atomic.write_file(file, json.dumps(plan).encode())
    yield
    with contextlib.suppress(OSError):
        file.unlink()


def read(folder: Path) -> dict[str, Any] | None:
    """The plan of a sweep that has not come to its end; None where there is none."""
    try:
        return json.loads((folder / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
