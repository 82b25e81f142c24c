"""What a sweep has set out to do, for those who watch it from elsewhere.

A file for each question that is asked in the folder: the same command takes the place
of what it left when it was stopped, and so does one that asks for all of its jobs (the
question in other words); sweeps of other questions keep their own.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import socket
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from retina import atomic
from retina.search.job import Job
from retina.search.places import Order


@contextlib.contextmanager
def kept(
    jobs: Sequence[Job],
    order: Order,
    y: str,
    executor: str,
    trials: int = 0,
    question: str = "",
) -> Iterator[None]:
    """The plan lies in the folder until all its jobs have been tried.

    trials: of a search: jobs of which nobody knows yet what they will be.

    A sweep that is stopped or killed leaves it. Where another has taken its place, it
    is that one's.
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
    digest = hashlib.sha256(question.encode()).hexdigest()[:10]
    file = order.folder / f".sweep-{digest}.json"
    atomic.write_file(file, json.dumps(plan).encode())
    _take_over(file, {job.name for job in jobs})
    yield
    with contextlib.suppress(OSError, ValueError):
        if json.loads(file.read_text(encoding="utf-8"))["sweep"] == order.sweep:
            file.unlink()


def _take_over(own: Path, names: set[str]) -> None:
    """Remove plans of dead sweeps that ask for nothing beyond this one."""
    for file in own.parent.glob(".sweep-*.json"):
        with contextlib.suppress(OSError, ValueError, KeyError):
            was = json.loads(file.read_text(encoding="utf-8"))
            asked = {job["name"] for job in was["jobs"]}
            # What a search has yet to try has no names to compare.
            if file == own or was["trials"] or not asked or not asked <= names:
                continue
            if not _alive(was):
                file.unlink()


def _alive(plan: dict[str, Any]) -> bool:
    """Whether its sweep may still be at work: of another host nobody here knows."""
    if plan["host"] != socket.gethostname():
        return True
    try:
        os.kill(plan["pid"], 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return plan["pid"] != os.getpid()


def read(folder: Path) -> list[dict[str, Any]]:
    """The plans of sweeps that have not come to their end, by when they were begun."""
    found = []
    for file in folder.glob(".sweep-*.json"):
        with contextlib.suppress(OSError, ValueError):  # ended meanwhile
            found.append(json.loads(file.read_text(encoding="utf-8")))
    return sorted(found, key=lambda plan: plan["begun"])
