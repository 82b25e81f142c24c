"""What is said where only half of a recording is found, or none of it."""

from __future__ import annotations

from collections.abc import Sequence

from retina.data.proposal.guess import guess_of, responds
from retina.data.proposal.seen import Seen

STIMULUS = (
    "call the array of frames stimulus (frame, y, x; of a full field one number for "
    "each frame), or name a file that holds it too (--from movie.npy)"
)
RESPONSE = (
    "call it counts (with as many bins, or beside the times of frames several of each "
    "frame), or spike_s, seconds of all cells in one array, with spike_cell, "
    "whose they are, or spikes/unit_0 and so on, the seconds of one cell each"
)


def lacking(found: Sequence[Seen]) -> str:
    """Which half nothing looks like, and what to do about it.

    >>> lacking([])[:55]
    'nothing of it looks like a stimulus, nor like a respons'
    """
    guess = guess_of(found)
    if guess is not None:
        what = guess.stimulus.name or guess.stimulus.file
        return (
            f"nothing of it looks like a response to {what}, which has {guess.frames} "
            f"frames: {RESPONSE}"
        )
    if responds(found):
        return f"nothing of it looks like the stimulus: {STIMULUS}"
    return (
        f"nothing of it looks like a stimulus, nor like a response: {STIMULUS}; of the "
        f"response, {RESPONSE}"
    )
