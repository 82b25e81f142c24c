"""Whether the training stimulus is coded as models expect it: mean 0, s.d. 1."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from retina.errors import BadStimulus
from retina.movie import pieces
from retina.types import Clip

# A sparse board of -1, 0, 1 has a small s.d., a movie whose mean was taken out by hand
# a small mean. Light as a camera or a screen gives it (0 to 1, 0 to 255) has neither.
_MEAN, _SD = 0.5, (0.05, 5.0)
_ENOUGH = 10**6  # values tell a mean and an s.d. far better than that
_ROWS = 4096  # frames taken at a time, so that no float copy of a movie is made


def moments(train: Sequence[Clip], every: int = 1) -> tuple[float, float]:
    """Mean and s.d. of the frames that are fitted, in float64; or of each n-th of them.

    The history before a clip may belong to another role.

    >>> response = np.zeros((1, 4, 1), np.float32)
    >>> moments([Clip("a", np.array([9, 0, 1, 2], np.int8), response, skip=1)])[0]
    1.0
    """
    total = squares = 0.0
    size = 0
    for clip in train:
        shown = clip.stimulus[clip.skip :: every]
        for some in pieces(shown, rows=_ROWS):
            piece = some.astype(np.float64)
            total += piece.sum()
            squares += (piece**2).sum()
            size += piece.size
    mean = total / size
    return float(mean), math.sqrt(max(squares / size - mean**2, 0.0))


def check_varies(train: Sequence[Clip], name: str) -> None:
    """raises: BadStimulus where no pixel ever changes, within or between the clips.

    What changes by less than a millionth is nothing beside float32's own rounding.
    """
    first = train[0].stimulus[train[0].skip]
    least = 1e-6 * max(float(np.abs(first).max(initial=0)), 1e-150)
    for clip in train:
        for piece in pieces(clip.stimulus[clip.skip :], rows=_ROWS):
            if np.abs(piece.astype(np.float64) - first).max() > least:
                return
    raise BadStimulus(
        f"{name}: the training stimulus is constant ({float(np.mean(first)):g} on "
        "average): no pixel changes from frame to frame; is it the right array, with "
        "time as its first axis?"
    )


def odd_coding(coding: str, train: Sequence[Clip]) -> tuple[str, ...]:
    """What to write on a card whose stimulus is said to be contrast and is not.

    coding: of `retina.types.Recording`. Light is standardised, whatever its scale.

    >>> response = np.zeros((1, 4, 1), np.float32)
    >>> ones, bytes_ = np.array([[1, -1, -1, 1], [0, 255, 255, 0]], np.float32)
    >>> odd_coding("contrast", [Clip("a", ones, response)])
    ()
    >>> len(odd_coding("contrast", [Clip("a", bytes_, response)]))
    1
    """
    if coding != "contrast":
        return ()
    size = sum(clip.stimulus[clip.skip :].size for clip in train)
    mean, sd = moments(train, max(1, size // _ENOUGH))
    if abs(mean) <= _MEAN * sd and _SD[0] <= sd <= _SD[1]:
        return ()
    return (
        f'coding = "contrast" says that the stimulus has mean 0 and s.d. about 1, but '
        f'in training they are {mean:.3g} and {sd:.3g}: write coding = "light" on '
        "the card, and it is standardised",
    )


def below_darkness(coding: str, train: Sequence[Clip]) -> tuple[str, ...]:
    """What to say of a stimulus that would be light below none; see `Recording`.

    >>> response = np.zeros((1, 4, 1), np.float32)
    >>> dim = Clip("a", np.array([-1.5, 0, 0, 1.5], np.float32), response)
    >>> below_darkness("contrast", [dim])[0][:41]
    '25 % of the training stimulus lies below '
    >>> below_darkness("light", [Clip("a", dim.stimulus + 1.5, response)])
    ()
    """
    dark = -1.0 if coding == "contrast" else 0.0
    below = size = 0
    for clip in train:
        shown = clip.stimulus[clip.skip :]
        below += sum(int(np.sum(piece < dark - 1e-4)) for piece in pieces(shown))
        size += shown.size
    if not below:
        return ()
    return (
        f"{100 * below / size:.2g} % of the training stimulus lies below {dark:g}, "
        f'which is darkness where coding = "{coding}" and mean_rstar_per_s is given: '
        "a photoreceptor takes it for darkness",
    )
