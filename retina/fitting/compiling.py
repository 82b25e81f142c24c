"""How long a fit waits for its programs, whenever in the fit they are made."""

from __future__ import annotations

import contextlib
import functools
import threading
import time
from collections.abc import Iterator

import jax

# Tracing, lowering, and XLA's own work, or reading what it did before from the disk.
_EVENTS = "/jax/core/compile/"


class Compiling:
    """`seconds` in which programs were made, those inside others counted once."""

    def __init__(self) -> None:
        self._spans: list[tuple[float, float]] = []

    def add(self, seconds: float) -> None:
        """Seconds that have just ended."""
        end = time.perf_counter()
        # What a program is made of ends before it does.
        while self._spans and self._spans[-1][0] >= end - seconds:
            self._spans.pop()
        self._spans.append((end - seconds, end))

    @property
    def seconds(self) -> float:
        return sum(end - begun for begun, end in self._spans)


class _Thread(threading.local):
    def __init__(self) -> None:
        self.counting: list[Compiling] = []


_here = _Thread()


@contextlib.contextmanager
def counted() -> Iterator[Compiling]:
    """Counts what this thread compiles, until it is left.

    >>> with counted() as compiling:
    ...     two = jax.jit(lambda x: x + 1)(1)
    >>> compiling.seconds > 0
    True
    """
    _listen()
    compiling = Compiling()
    _here.counting.append(compiling)
    try:
        yield compiling
    finally:
        _here.counting.remove(compiling)


def so_far() -> float:
    """Seconds that this thread's innermost `counted` has counted; 0 without one."""
    return _here.counting[-1].seconds if _here.counting else 0.0


@functools.cache
def _listen() -> None:
    def heard(event: str, duration_secs: float, **about) -> None:
        if event.startswith(_EVENTS):
            for compiling in _here.counting:
                compiling.add(duration_secs)

    jax.monitoring.register_event_duration_secs_listener(heard)
