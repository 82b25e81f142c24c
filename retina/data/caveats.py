"""Which of the notes on a recording every figure of it is to be read with."""

from __future__ import annotations

from collections.abc import Sequence

PREPARED = "prepared: "  # how each step of `retina.data.preparation` begins its note
UNVERIFIED = "is not verified: "  # in what `load` says of a card that nobody has held
COLD = "the model looks back "  # how `short_lead` begins its note
SHIFTED = "stimulus and response may be shifted: "  # how `shifted` begins its note
DEVIATES = "other frames stayed on than in most trials: "  # of trials left out
CUT_OFF = "the recording ends within a trial: "  # which is left out


def caveats(notes: Sequence[str]) -> tuple[str, ...]:
    """What was done, that nobody checked the card, shifts, odd trials, cold starts.

    The other notes are of its card or of its reader: they are told when it is fitted,
    and stay in the run.

    >>> caveats(["Trial 3 is odd.", "prepared: means of 2 x 2 pixels, 5 x 5 of them"])
    ('prepared: means of 2 x 2 pixels, 5 x 5 of them',)
    """
    begin = (PREPARED, SHIFTED, DEVIATES, CUT_OFF, COLD)
    return tuple(n for n in notes if n.startswith(begin) or UNVERIFIED in n)
