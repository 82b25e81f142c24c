"""Jobs of one module, each in a process of its own, with progress."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

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
    active: list[subprocess.Popen[str]] = []
    done = 0
    with _shown(title, len(jobs)) as advance:
        try:
            while waiting or active:
                while waiting and len(active) < _cores():
                    active.append(_start(module, waiting.pop()))
                time.sleep(0.05)
                for process in [p for p in active if p.poll() is not None]:
                    active.remove(process)
                    said = process.communicate()[1]
                    if process.returncode:
                        raise _error(module, process.returncode, said)
                    done += 1
                    advance(done)
        finally:
            for process in active:
                process.terminate()
            for process in active:
                process.communicate()


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        return os.cpu_count() or 1


def _start(module: str, job: dict[str, Any]) -> subprocess.Popen[str]:
    package = str(Path(__file__).parents[2])
    paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.Popen(
        [sys.executable, "-m", module, json.dumps(job)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
    )


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
