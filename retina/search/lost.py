"""What an executor raises for a job that it could not bring to an end."""

from __future__ import annotations

from concurrent.futures import BrokenExecutor


class WorkerDied(BrokenExecutor):
    """The process that ran this job ended in the middle; the executor goes on."""


class Disconnected(BrokenExecutor):
    """The executor itself is gone, and with it whatever it had not answered."""
