"""Folders of frames of the Gollisch lab, and counts that were published as pickles.

Layout: open-retina (sridhar_2025) and its page of the data set. The pickle holds
train_responses and test_responses, (cell, frame, trial): the reader wants the npz that
``retina convert`` makes of it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from retina.data.below import below
from retina.data.card import Card
from retina.data.gaze import Gaze, watched
from retina.data.parts import Part, as_stimulus, recording
from retina.data.responses import cells, counts
from retina.data.shown import in_order, of_pickle, values
from retina.data.written import composed, state
from retina.errors import BadCard, BadStimulus, ShapeMismatch
from retina.movie import pieces
from retina.types import Recording


def gollisch_frames(folder: Path, card: Card) -> Recording:
    """Trials of a new stimulus each, and one that was the same in every trial.

    folder: with the card's files.
    card:   options ``responses``, the npz of the counts; ``trials``, the training
            trials to take, in that order ([]: all); ``test_trials``, of the repeated
            stimulus ([]: all); ``crop`` = [top, bottom, left, right], pixels cut off
            ([0, 0, 0, 0]). And either

            ``fixations``, a text file of a line per frame, "image . . x y ... flip",
            first of the test and then of each training trial; ``frames``, the folder of
            the images, an npy (x, y) each, in the order of their names; ``padding``,
            pixels around each; ``size`` = [height, width] of what was seen of one; or

            ``running``, the folder of "trial_000/all_images.npy", ...; ``frozen``, the
            file of the repeated ones; ``axes``, of both ("y, x, frame").
    returns: parts "running", whose trials share no history, and "frozen"; frames are
             (y, x), in the numbers of the files; cells are named "0", "1", ...
    raises:  UnreadableFile; ShapeMismatch; BadStimulus where frames are of two kinds of
             number; BadCard; MissingData before `convert`.
    """
    options = card.needs(
        "responses",
        **{"trials": [], "test_trials": [], "crop": [0, 0, 0, 0]},
        **{"fixations": "", "frames": "", "padding": 0, "size": []},
        **{"running": "", "frozen": "", "axes": "y, x, frame"},
    )
    fresh = _counts(folder, card, "train_responses", options["trials"])
    same = _counts(folder, card, "test_responses", options["test_trials"])
    if fresh.shape[2] != same.shape[2]:
        raise ShapeMismatch(
            f"{card.name}: {fresh.shape[2]} cells in training, {same.shape[2]} in the "
            "test: they must be the same cells"
        )
    chosen = options["trials"] or list(range(len(fresh)))
    if options["fixations"]:
        running, frozen = _watched(folder, card, options, chosen, fresh, same)
    else:
        running, frozen = _boards(folder, card, options, chosen)
    if len(running) and len(frozen) and running.dtype != frozen.dtype:
        raise BadStimulus(
            f"{card.name}: the repeated frames are {frozen.dtype}, those of the trials "
            f"{running.dtype}: bring all to one type of number and one scale"
        )
    trials, frames, number = fresh.shape
    parts = {
        "running": _part(card, running, fresh.reshape(1, -1, number)),
        "frozen": _part(card, frozen, same),
    }
    begin = tuple(range(0, max(trials * frames, 1), max(frames, 1)))
    parts["running"] = dataclasses.replace(parts["running"], begin=begin)
    return recording(card, parts, cells(card, number))


def _part(card: Card, stimulus: np.ndarray, said: np.ndarray) -> Part:
    onsets = np.arange(len(stimulus) + 1) * card.frame_s
    return Part(stimulus, onsets, counts=said, count_s=card.frame_s)


def _counts(folder: Path, card: Card, name: str, trials: list[int]) -> np.ndarray:
    npz = card.options["responses"]
    found = of_pickle(folder, card, npz, name)
    said = counts(found, "cell, bin, trial", f"{npz}, {name}")
    for trial in trials:
        if type(trial) is not int or not 0 <= trial < len(said):
            raise BadCard(
                f"{card.name}: there is no trial {trial!r} of {name}: the file has "
                f"{len(said)}"
            )
    return said[trials] if trials else said


def _watched(
    folder: Path,
    card: Card,
    options: dict,
    chosen: list[int],
    fresh: np.ndarray,
    same: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    gaze = Gaze.read(
        below(folder, options["fixations"]),
        below(folder, options["frames"]),
        options["padding"],
        options["size"],
        options["crop"],
    )
    test, each = same.shape[1], fresh.shape[1]
    rows = np.concatenate(
        [test + trial * each + np.arange(each) for trial in chosen]
        or [np.zeros(0, np.int64)]
    )
    return watched(gaze, rows), watched(gaze, np.arange(test))


def _boards(
    folder: Path, card: Card, options: dict, chosen: list[int]
) -> tuple[np.ndarray, np.ndarray]:
    if not (options["running"] and options["frozen"]):
        raise BadCard(f"{card.name}: give fixations and frames, or running and frozen")

    def board(name: str) -> np.ndarray:
        found = in_order(values(folder, [name], card.name), options["axes"], name)
        top, bottom, left, right = _four(card, options["crop"])
        height, width = found.shape[1:3]
        found = found[:, top : height - bottom, left : width - right]
        if found.ndim != 3 or not found.size:
            raise ShapeMismatch(f"{name}: crop leaves nothing of {height} x {width}")
        return as_stimulus(found, name)

    names = [
        f"{options['running']}/trial_{trial:03d}/all_images.npy" for trial in chosen
    ]
    frozen = board(options["frozen"])
    return _end_to_end(folder, card, names, board), frozen


def _end_to_end(
    folder: Path, card: Card, names: list[str], board: Callable[[str], np.ndarray]
) -> np.ndarray:
    """Boards one after the other; all are as long as the first, and of its numbers."""
    first = board(names[0])

    def parts() -> Iterator[np.ndarray]:
        for name in names:
            one = board(name)
            if one.shape != first.shape:
                raise ShapeMismatch(f"{name} is {one.shape}, {names[0]} {first.shape}")
            if one.dtype != first.dtype:  # black may be 0 in both, white is not
                raise BadStimulus(
                    f"{name} is {one.dtype}, {names[0]} {first.dtype}: bring all to "
                    "one type of number and one scale"
                )
            yield from pieces(one)

    files = [state(below(folder, name)) for name in names]
    key = ("boards", 1, files, card.options.get("axes"), card.options.get("crop"))
    shape = (len(names) * len(first), *first.shape[1:])
    return composed(key, f"the movie of {card.name}", first.dtype, shape, parts())


def _four(card: Card, crop: list[int]) -> list[int]:
    if len(crop) != 4 or not all(type(n) is int and n >= 0 for n in crop):
        raise BadCard(f"{card.name}: crop = {crop!r} is no [top, bottom, left, right]")
    return crop
