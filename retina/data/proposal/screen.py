"""Options that say where the stimulus lies, beside spikes of whichever file."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from retina.data.proposal.guess import Guess
from retina.data.proposal.seen import Seen
from retina.data.proposal.text import LOOK, quoted
from retina.data.proposal.trials import all_frames, with_trials


def screen(
    guess: Guess, shown: Sequence[Seen], begin: Seen | None, *, sure: bool = True
) -> tuple[list[str], dict[str, Any]]:
    """Lines of the options of `retina.data.table.beside`, and the parts they make.

    shown:  the arrays that are no spikes. begin: of them, the starts of trials.
    sure:   whether its name says that it holds those.
    raises: BadStimulus where the movie does not show the same frames at these.
    """
    options = [f"stimulus = {quoted(place(guess.stimulus))}{by_length(guess)}"]
    mark = "" if guess.sure else LOOK
    options += [f"stimulus_axes = {quoted(guess.axes)}{mark}"]
    onsets = guess.onsets or all_frames(shown, guess, begin)
    if onsets is not None:
        doubt = f"{LOOK}: {guess.doubt}" if guess.doubt else ""
        options += [f"onsets = {quoted(place(onsets))}{doubt}"]
        taken = np.diff(onsets.read().astype(np.float64))
        guess = dataclasses.replace(guess, frame_s=float(np.median(taken)))
    if begin is None:
        return options, {"": guess}
    lines, parts = with_trials(guess, onsets, begin)
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
