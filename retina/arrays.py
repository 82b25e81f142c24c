"""What arrays of a recording must hold, and their sizes in words."""

from __future__ import annotations

import weakref
from collections.abc import Sequence

import numpy as np

from retina.errors import BadResponse, BadStimulus, ShapeMismatch
from retina.movie import mapped, pieces

# Mapped movies that were found to be finite: to look again is to read the file again.
_looked_through: weakref.WeakValueDictionary[int, np.ndarray] = (
    weakref.WeakValueDictionary()
)


def require(condition: bool, error: type[Exception], message: str) -> None:
    if not condition:
        raise error(message)


def check_finite(stimulus: np.ndarray, where: str) -> None:
    if not np.issubdtype(stimulus.dtype, np.number):
        raise BadStimulus(f"{where}stimulus is {stimulus.dtype}, not numbers")
    if not np.issubdtype(stimulus.dtype, np.floating):
        return
    if _looked_through.get(id(stimulus)) is stimulus:
        return
    each = [
        np.isfinite(piece.reshape(len(piece), -1)).all(1) for piece in pieces(stimulus)
    ]
    bad = np.flatnonzero(~np.concatenate([np.ones(0, bool), *each]))
    if len(bad):
        raise BadStimulus(
            f"{where}{len(bad)} of {len(stimulus)} stimulus frames hold NaN or "
            f"infinity, the first at frame {bad[0]}: cut or repair them"
        )
    if mapped(stimulus):
        _looked_through[id(stimulus)] = stimulus


def check_counts(counts: np.ndarray, where: str) -> None:
    if counts.ndim != 3:
        raise ShapeMismatch(
            f"{where}response must be (trial, time, cell), not {counts.shape}"
        )
    if np.issubdtype(counts.dtype, np.unsignedinteger):
        return
    # A fraction passes: a mean over trials is a response too.
    bad = np.argwhere(~((counts >= 0) & np.isfinite(counts)))
    if len(bad):
        trial, time, cell = bad[0]
        raise BadResponse(
            f"{where}{len(bad)} counts are negative, NaN or infinite, the first is "
            f"{counts[trial, time, cell]} at trial {trial}, bin {time}, cell {cell}; "
            "counts must be 0 or more"
        )


def plural(number: int, thing: str) -> str:
    """
    >>> plural(1, "cell"), plural(12, "cell")
    ('1 cell', '12 cells')
    """
    return f"{number} {thing}" + ("" if number == 1 else "s")


def shape(frame: Sequence[int]) -> str:
    """
    >>> shape((20, 20)), shape(())
    ('20 x 20', '1 pixel')
    """
    return " x ".join(map(str, frame)) if frame else "1 pixel"
