"""One exception for each thing a person can put right; the command line prints it."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable


class RetinaError(Exception):
    """Something to put right: what was seen, what was wanted, what to type next."""


class ShapeMismatch(RetinaError):
    """Two arrays, or an array and its declared axes, do not fit together."""


class BadStimulus(RetinaError):
    """The stimulus holds NaN, infinities, or is not numeric."""


class BadResponse(RetinaError):
    """The response holds negative counts, NaN, or spikes out of order."""


class UnknownName(RetinaError):
    """No data set, model, metric, ... of that name."""


class BadSetting(RetinaError):
    """A keyword that does not exist, or a value it cannot take."""


class BadCard(RetinaError):
    """A data set card or experiment file that does not follow its schema."""


class Leak(RetinaError):
    """Frames or stimuli of one split of a recording also serve another."""


class MissingData(RetinaError):
    """The recording's files are not on this machine."""


class ChecksumMismatch(RetinaError):
    """A file's sha256 or size is not the card's: truncated, or another version."""


class UnreadableFile(RetinaError):
    """A file is not of the format its card says, or lacks an array the card names."""


class MissingExtra(RetinaError):
    """An optional dependency is not installed."""


class UnwritableFolder(RetinaError):
    """The output folder cannot be written, or the disk is full."""


class InUse(RetinaError):
    """Another process works on the same run."""


class BrokenRun(RetinaError):
    """A run on disk is incomplete, or is not the run that was asked for."""


class UncountedPrimitive(RetinaError):
    """The cost walker met an operation it has no exact rule for."""


class ViewsDisagree(RetinaError):
    """A stage's streaming view and its batch view give different numbers."""


class Diverged(RetinaError):
    """A fit's loss became infinite or NaN."""


class OutOfMemory(RetinaError):
    """What was asked for does not fit into the machine's or the device's memory."""


class DeviceLost(RetinaError):
    """There is no device to compute on, or it disappeared."""


class Unreachable(RetinaError):
    """A scheduler or a database that does not answer."""


def nearest(name: str, known: Iterable[str]) -> str:
    """A sentence that names the closest known names.

    name:    the word that was typed.
    known:   the words that exist.
    returns: ``"did you mean 'ln' or 'glm'?"``, or the whole list when nothing is close.

    >>> nearest("lnn", ["ln", "glm", "cnn"])
    "did you mean 'ln' or 'cnn'?"
    """
    # Names in a damaged file may be anything at all.
    known = sorted(word if word.isprintable() else ascii(word)[:60] for word in known)
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.55)
    if close:
        return "did you mean " + " or ".join(repr(word) for word in close) + "?"
    return "known: " + (", ".join(known) or "none")


def at_least_zero(**settings: float) -> None:
    """Weights of a model's own penalty, and the like.

    raises: BadSetting that names the first below 0, or no number.

    >>> at_least_zero(smooth=0.1, shrink=-1.0)
    Traceback (most recent call last):
    retina.errors.BadSetting: shrink -1: 0 or more
    """
    for name, value in settings.items():
        if not 0 <= value < math.inf:
            raise BadSetting(f"{name} {value:g}: 0 or more")


def at_least_one(**settings: int | tuple[int, ...] | None) -> None:
    """Sizes and numbers of things; None stands for a default and passes.

    raises: BadSetting that names the first below 1.

    >>> at_least_one(lags=30, sizes=(9, 0))
    Traceback (most recent call last):
    retina.errors.BadSetting: sizes (9, 0): 1 or more
    """
    for name, value in settings.items():
        values = value if isinstance(value, tuple) else (value,)
        if any(one is not None and one < 1 for one in values):
            raise BadSetting(f"{name} {value}: 1 or more")
