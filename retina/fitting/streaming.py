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

PART = 2**27  # bytes of clips on the device at once, or one step's


class Movie:
    """Stimuli laid end to end, as one array would be, each left where it is."""

    def __init__(self, stimuli: Sequence[np.ndarray]):
        self._stimuli = stimuli
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
        return np.concatenate(self._stimuli)

    def gather(self, first: np.ndarray, length: int, rows: int = 0) -> np.ndarray:
        """Clips one after the other; each lies within one of the stimuli.

        first:  (clip,) first row of each. length: rows of each.
        rows:   of what is returned at least; those beyond the clips are 0.
        """
        rows = max(rows, len(first) * length)
        made = np.zeros((rows, *self.shape[1:]), self.dtype)
        of = np.searchsorted(self._ends, first, "right")
        for n, (row, number) in enumerate(zip(first, of, strict=True)):
            stimulus = self._stimuli[number]
            at = int(row) - int(self._ends[number]) + len(stimulus)
            made[n * length : (n + 1) * length] = stimulus[at : at + length]
        for number in np.unique(of):
            release(self._stimuli[number])
        return made

    def pieces(self, every: int = 1) -> Iterator[np.ndarray]:
        """Each n-th row, in order, some at a time."""
        for stimulus, end in zip(self._stimuli, self._ends, strict=True):
            begin = int(end) - len(stimulus)
            for piece in pieces(stimulus[-begin % every :: every], PIECE):
                yield piece.astype(self.dtype, copy=False)


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
