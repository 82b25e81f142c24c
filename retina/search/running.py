"""What workers say of the jobs they are at, in small files beside the runs.

Whoever sees the folder can read them: the sweep itself, and `retina status`.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from retina.search.job import Job

Progress = Callable[[Mapping[str, Any]], None]
EVERY_S = 2.0  # chosen: files may lie on a server
ALIVE_S = 10.0  # between two words of a process whose fit reports nothing; chosen
SILENT_S = 60.0  # after which it is taken to be dead, or not to run any more; chosen
_END = ".running"


@contextlib.contextmanager
def told(
    job: Job, folder: Path, progress: Progress | None = None
) -> Iterator[Progress]:
    """Says that this process is at a job, until the block ends.

    yields: what the job's fit is to report to; passed on to `progress`. What reports
            nothing, such as compilation or a score, is heard of all the same.
    """
    file = folder / f".{job.name}{_END}"
    who: dict[str, Any] = {
        "label": job.label,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "begun": time.time(),
    }
    last, turn, ended = time.monotonic(), threading.Lock(), threading.Event()

    def say(**more: Any) -> None:
        nonlocal last
        last = time.monotonic()
        who.update(more)
        _write(file, {**who, "heard": time.time()})

    def tell(event: Mapping[str, Any]) -> None:
        if progress is not None:
            progress(event)
        with turn:
            if time.monotonic() - last >= EVERY_S:
                say(fit=_plain(event))

    def live() -> None:
        while not ended.wait(ALIVE_S):
            with turn:
                if not ended.is_set() and time.monotonic() - last >= ALIVE_S:
                    say()

    say()
    threading.Thread(target=live, daemon=True).start()
    try:
        yield tell
    finally:
        with turn:
            ended.set()
            over(job, folder)


def over(job: Job, folder: Path) -> None:
    """Nobody is at this job."""
    with contextlib.suppress(OSError):
        (folder / f".{job.name}{_END}").unlink()


def read(folder: Path) -> dict[str, dict[str, Any]]:
    """Name of a job -> what was last said of it.

    returns: "label", "host", "pid", "begun" and "heard" (seconds since 1970) and, once
             its fit has reported, "fit" with the numbers of that. The process may have
             died since: see when it was heard.
    """
    told = {file.name[1 : -len(_END)]: _read(file) for file in folder.glob(f".*{_END}")}
    return {name: said for name, said in told.items() if said}


def of(job: Job, folder: Path) -> dict[str, Any]:
    """As `read`, of one job; {} where nothing was said, or is."""
    return _read(folder / f".{job.name}{_END}")


def _read(file: Path) -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError):  # ended, or half written
        return json.loads(file.read_text())
    return {}


def _write(file: Path, said: Mapping[str, Any]) -> None:
    # Not flushed: after a loss of power nobody asks. A full disk is told by the run.
    with contextlib.suppress(OSError):
        file.write_text(json.dumps(said))


def _plain(event: Mapping[str, Any]) -> dict[str, float | None]:
    return {
        key: value if value is None else float(value)
        for key, value in event.items()
        if value is None or isinstance(value, int | float)
    }
