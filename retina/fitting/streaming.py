"""A movie larger than memory: the rows that a step needs, brought while others run.

The order of clips is a function of the step alone (`descent.shuffled`), so there is
nothing to save: a fit that is resumed at any step asks for the clips of that step.
Grain's loaders shuffle and prefetch as well, but one example at a time through Python,
with a state of their own to keep beside the fit's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import jax
import numpy as np

from retina.movie import PIECE, pieces, release

# Bytes of clips on the device at once, or one step's. Larger ones are memory that the
# system gives anew each time, page by page: on a CPU that took a third of the time of
# the steps of an `ln`.
PART = 2**24
_ALIGNED = 64  # bytes; XLA's own
TOUCHED = 2**28  # bytes of a mapped movie that this process holds on to, about


class Movie:
    """Stimuli laid end to end, as one array would be, each left where it is."""

    def __init__(self, stimuli: Sequence[np.ndarray]):
        self._stimuli, self._touched = stimuli, 0
        self._ends = np.cumsum([len(stimulus) for stimulus in stimuli])
        frame = stimuli[0].shape[1:]
        self.shape = (int(self._ends[-1]), *frame)
        # As a device holds it: 64 bits become 32.
        stored = np.result_type(*{stimulus.dtype for stimulus in stimuli})
        self.dtype = jax.dtypes.canonicalize_dtype(stored)

    @property
    def size(self) -> int:
        return int(np.prod(self.shape))

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    def whole(self) -> np.ndarray:
        if len(self._stimuli) == 1:
            return np.asarray(self._stimuli[0])
        made = _room(self.shape, self.dtype)
        for stimulus, end in zip(self._stimuli, self._ends, strict=True):
            made[end - len(stimulus) : end] = stimulus
        return made

    def gather(self, first: np.ndarray, length: int, rows: int = 0) -> np.ndarray:
        """Clips one after the other; each lies within one of the stimuli.

        first:  (clip,) first row of each. length: rows of each.
        rows:   of what is returned at least; those beyond the clips are 0.
        """
        rows = max(rows, len(first) * length)
        made = _room((rows, *self.shape[1:]), self.dtype)
        made[len(first) * length :] = 0
        of = np.searchsorted(self._ends, first, "right")
        for n, (row, number) in enumerate(zip(first, of, strict=True)):
            stimulus = self._stimuli[number]
            at = int(row) - int(self._ends[number]) + len(stimulus)
            made[n * length : (n + 1) * length] = stimulus[at : at + length]
        # What is released is brought back page by page: a small movie stays.
        self._touched += made.nbytes
        if self._touched > TOUCHED:
            for stimulus in self._stimuli:
                release(stimulus)
            self._touched = 0
        return made

    def pieces(self, every: int = 1) -> Iterator[np.ndarray]:
        """Each n-th row, in order, some at a time."""
        for stimulus, end in zip(self._stimuli, self._ends, strict=True):
            begin = int(end) - len(stimulus)
            for piece in pieces(stimulus[-begin % every :: every], PIECE):
                yield piece.astype(self.dtype, copy=False)


def _room(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """An array that begins where a CPU device takes it without a copy of its own."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    raw = np.empty(size + _ALIGNED, np.uint8)
    at = -raw.ctypes.data % _ALIGNED
    return raw[at : at + size].view(dtype).reshape(shape)


class Feed:
    """What steps need, made by a thread while the steps before them run.

    make: (step, steps) -> anything; what is not taken next is made again.
    """

    def __init__(self, make: Callable[[int, int], Any]):
        self._make = make
        self._thread = ThreadPoolExecutor(1, "retina-feed")
        self._ahead: tuple[tuple[int, int], Future] | None = None

    def take(self, step: int, steps: int, then: tuple[int, int]) -> Any:
        """What the steps need; then: the step and steps to be taken next."""
        wanted = step, steps
        if self._ahead is None or self._ahead[0] != wanted:
            self._ahead = wanted, self._thread.submit(self._make, *wanted)
        made = self._ahead[1].result()
        self._ahead = None
        if then[1] > 0:
            self._ahead = then, self._thread.submit(self._make, *then)
        return made
