"""Options that say where the stimulus lies, beside spikes of whichever file."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from retina.data.proposal.guess import Guess
from retina.data.proposal.seen import Seen
from retina.data.proposal.text import LOOK, quoted
from retina.data.proposal.trials import SAME, all_frames, with_trials
from retina.data.pulses import usual
from retina.errors import BadStimulus


def screen(
    guess: Guess,
    shown: Sequence[Seen],
    begin: Seen | None,
    perhaps: Sequence[Seen | None] = (),
) -> tuple[list[str], dict[str, Any]]:
    """Lines of the options of `retina.data.table.beside`, and the parts they make.

    shown:   the arrays that are no spikes. begin: of them, the starts of trials.
    perhaps: where no array is called so, those that may be; the first at whose times
             the movie shows the same frames.
    raises:  BadStimulus where it does not at those that are called so.
    """
    for one in perhaps if begin is None else ():
        with contextlib.suppress(BadStimulus):
            if one is not None:
                return _lines(guess, shown, one, sure=False)
    return _lines(guess, shown, begin)


def _lines(
    guess: Guess, shown: Sequence[Seen], begin: Seen | None, *, sure: bool = True
) -> tuple[list[str], dict[str, Any]]:
    options = [f"stimulus = {quoted(place(guess.stimulus))}{by_length(guess)}"]
    mark = "" if guess.sure else LOOK
    options += [f"stimulus_axes = {quoted(guess.axes)}{mark}"]
    onsets = guess.onsets or all_frames(shown, guess, begin)
    if onsets is not None:
        doubt = f"{LOOK}: {guess.doubt}" if guess.doubt else ""
        options += [f"onsets = {quoted(place(onsets))}{doubt}"]
        taken = np.diff(onsets.read().astype(np.float64))
        guess = dataclasses.replace(guess, frame_s=usual(taken))
    if begin is None:
        return options, {"": guess}
    lines, parts = with_trials(guess, onsets, begin, 2 if sure else SAME)
    told = f"{LOOK}: as many are the same in every trial"
    doubt = "" if sure else f"{LOOK}: fewer times than frames: of trials?"
    options += [f"trials = {quoted(place(begin))}{doubt}"]
    return [*options, *(line + told for line in lines)], parts


def by_length(guess: Guess) -> str:
    """The mark of a stimulus whose name does not say that it is one."""
    return "" if guess.called else f"{LOOK}: only its length says so"


def place(one: Seen) -> list[str]:
    """[file, array], or of an npy file [file]."""
    return [word for word in (one.file, one.name) if word]
