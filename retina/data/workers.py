"""Jobs of one module, each in a process of its own, with progress."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from retina import errors
from retina.errors import BrokenRun


def run(module: str, jobs: list[dict[str, Any]], title: str) -> None:
    """Runs ``python -m module JOB`` for each job, as many at a time as there are cores.

    module: takes its job as JSON, its only argument.
    jobs:   JSON tables.
    title:  said before the work begins.
    raises: the first job's RetinaError, and the other processes are ended; so they are
            when the work is interrupted. What was finished stays.
    """
    # Not multiprocessing: it would import the caller's own script once more in each
    # process, and a fork of a process that runs JAX may hang.
    waiting = list(reversed(jobs))
    active: list[tuple[subprocess.Popen[str], IO[str]]] = []
    done = 0
    with _shown(title, len(jobs)) as advance:
        try:
            while waiting or active:
                while waiting and len(active) < _cores():
                    active.append(_start(module, waiting.pop()))
                time.sleep(0.05)
                for one in [one for one in active if one[0].poll() is not None]:
                    active.remove(one)
                    process, said = one
                    with said:
                        if process.returncode:
                            said.seek(0)
                            raise _error(module, process.returncode, said.read())
                    done += 1
                    advance(done)
        finally:
            for process, _ in active:
                process.terminate()
            for process, said in active:
                process.wait()
                said.close()


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        return os.cpu_count() or 1


def _start(module: str, job: dict[str, Any]) -> tuple[subprocess.Popen[str], IO[str]]:
    """A process, and the file of what it says."""
    package = str(Path(__file__).parents[2])
    paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
    # Not a pipe: a full one stops who writes, and none is read before the end.
    said = tempfile.TemporaryFile("w+", errors="replace")
    process = subprocess.Popen(
        [sys.executable, "-m", module, json.dumps(job)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=said,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
    )
    return process, said


def _error(module: str, status: int, said: str) -> Exception:
    """The error that a process ended with: its own kind where it is one of ours."""
    last = (said.strip().splitlines() or ["no message"])[-1]
    kind, _, message = last.partition(": ")
    found = getattr(errors, kind.removeprefix("retina.errors."), None)
    if isinstance(found, type) and issubclass(found, errors.RetinaError):
        return found(message)
    return BrokenRun(
        f"a process of {module} ended with status {status} ({last}): type the same "
        "again, what was finished is kept"
    )


@contextlib.contextmanager
def _shown(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal, plain lines elsewhere; both on standard error."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import Progress

        with Progress(console=Console(stderr=True)) as bar:
            task = bar.add_task(title, total=total)
            yield lambda done: bar.update(task, completed=done)
        return

    def line(done: int) -> None:
        print(f"{title}: {done} of {total}", file=sys.stderr, flush=True)

    line(0)
    yield line
