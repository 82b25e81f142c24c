"""What an executor raises for a job that it could not bring to an end, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import BrokenExecutor
from typing import Any

from retina.search.job import Job

OWN = 3  # workers that die at a job, before it is taken to be what kills them; chosen
# Of one that nobody has begun, in a row: it may kill who reads it. Chosen.
OTHERS = 30


class WorkerDied(BrokenExecutor):
    """The process that ran this job ended in the middle; the executor goes on."""


class Disconnected(BrokenExecutor):
    """The executor itself is gone, and with it whatever it had not answered."""


class Deaths:
    """Which jobs are at fault where workers die.

    begun: what is known of the last time that a job was begun; None where it was not.

    A cluster gives a worker more jobs than it runs: those that wait are told as lost
    together with the one that killed it, and a limit of time kills a worker each time.
    """

    def __init__(self, begun: Callable[[Job], Any]) -> None:
        self._begun = begun
        self._own, self._others = Counter[str](), Counter[str]()
        self._last: dict[str, tuple[Any, int]] = {}

    def at_fault(self, job: Job, answered: int) -> bool:
        """Told that the worker of a job died; answered: how many jobs had been."""
        name, mark = job.name, self._begun(job)
        before, then = self._last.get(name, (None, answered))
        self._last[name] = mark, answered
        if mark is not None and mark != before:
            self._own[name] += 1
        else:
            self._others[name] = 1 + (self._others[name] if then == answered else 0)
        return self._own[name] >= OWN or self._others[name] >= OTHERS
