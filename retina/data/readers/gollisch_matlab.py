"""MATLAB v7.3 of the Gollisch lab: running stretches, and a frozen one between them.

Layout: open-retina (karamanlis_2024) and returnFixMovie.m of subunit_grid_model, which
say how a fixation movie is put together, and demo_flickering_gratings.m there, how the
gratings are; MATLAB's axes come reversed through HDF5.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import h5py
import numpy as np

from retina.data import gratings, whitenoise
from retina.data.card import Card
from retina.data.fixations import movie
from retina.data.hdf5 import array, opened
from retina.data.parts import Part, recording
from retina.data.responses import cells, counts
from retina.errors import BadCard, ShapeMismatch
from retina.types import Recording

SCREEN = (600, 800)  # pixels, (y, x): Karamanlis et al. 2024


def gollisch_matlab(folder: Path, card: Card) -> Recording:
    """Counts per frame of running and frozen stretches; their movie is made here.

    folder: with the card's files.
    card:   option ``file``, which holds

            runningbin       (block, frame, cell), counts
            frozenbin        (trial, frame, cell)

            and, for ``stimulus`` = "fixationmovie" (the default),

            runningImages    (image, x, y)
            frozenImages     (image, x, y)
            runningfixations (block, frame, 3): image from 1, and the (x, y) of it that
                             is in the middle of the screen
            frozenfixations  (frame, 3)

            The screen has 600 x 800 pixels, 0 where no image is; ``shrink`` of them a
            side (10) are averaged into one, and ``crop`` = [y, x, height, width], in
            these, is kept. ``blocks``: so many running blocks, 0 for all (0).

            ``stimulus`` = "frozencheckerflicker" takes the table ``movie`` of
            `retina.data.whitenoise` for the running blocks, and ``frozen_seed``.

            ``stimulus`` = "gratingflicker" wants nothing of the above in the file, but

            orderfit         (sample, lag), the grating from 1 of the sample's frame,
                             the last, and of those before it
            spikesfit        (sample, cell), counts in that frame
            stiminfo         (3, grating): cycles per pixel, orientation, phase
            spX, spY         places of the pixels

    returns: parts "running", whose blocks share no history, and "frozen", of gratings
             "running" alone: the frozen ones lie in a struct array under a seed; frames
             are (y, x); cells are named "0", "1", ...
    raises:  UnreadableFile; ShapeMismatch; BadCard; MissingExtra for a checkerboard
             where the package that makes it is not installed.
    """
    options = card.needs(
        "file",
        stimulus="fixationmovie",
        shrink=10,
        crop=[],
        blocks=0,
        movie={},
        frozen_seed=0,
    )
    kinds = ("fixationmovie", "frozencheckerflicker", "gratingflicker")
    if options["stimulus"] not in kinds or options["blocks"] < 0:
        raise BadCard(
            f"{card.name}: stimulus = {options['stimulus']!r}, blocks = "
            f"{options['blocks']}: take one of {', '.join(kinds)}, and 0 or more blocks"
        )
    with opened(folder, options["file"]) as store:
        if options["stimulus"] == "gratingflicker":
            part = _gratings(store, card, options)
            assert part.counts is not None
            return recording(card, {"running": part}, cells(card, part.counts.shape[2]))
        kept = slice(options["blocks"] or None)
        found = array(store, "runningbin", "block, frame, cell", rows=kept)
        running = counts(found, "trial, bin, cell", "runningbin")
        frozen = counts(array(store, "frozenbin"), "trial, bin, cell", "frozenbin")
        if running.shape[2] != frozen.shape[2] or not running.size:
            raise ShapeMismatch(
                f"{store.filename}: runningbin {running.shape} and frozenbin "
                f"{frozen.shape} must hold counts of the same cells"
            )
        if options["stimulus"] == "fixationmovie":
            shown = _fixations(store, card, options, kept)
        else:
            shown = _checkerboard(folder, card, running.shape, frozen.shape, options)
    blocks, frames, number = running.shape
    parts = {
        "running": _part(shown[0], running.reshape(1, -1, number), card),
        "frozen": _part(shown[1], frozen, card),
    }
    begin = tuple(range(0, blocks * frames, frames))
    parts["running"] = dataclasses.replace(parts["running"], begin=begin)
    return recording(card, parts, cells(card, number))


def _part(stimulus: np.ndarray, said: np.ndarray, card: Card) -> Part:
    return Part(
        stimulus,
        np.arange(len(stimulus) + 1) * card.frame_s,
        counts=said,
        count_s=card.frame_s,
    )


def _gratings(store: h5py.File, card: Card, options: dict) -> Part:
    """The first frames of a block were not counted: they are history, and skipped."""
    where = f"{card.name}, gratings"
    windows = array(store, "orderfit", "sample, lag")
    said = counts(array(store, "spikesfit"), "bin, cell", "spikesfit")
    if len(windows) != said.shape[1] or not windows.size:
        raise ShapeMismatch(
            f"{store.filename}: orderfit {windows.shape} and spikesfit "
            f"{said.shape[1:]} must have as many samples, and some"
        )
    info = array(store, "stiminfo", "3, grating").T
    made = gratings.order(windows, len(info), where)
    index, begin, sampled = made
    if options["blocks"] and options["blocks"] < len(begin):
        stop = begin[options["blocks"]]
        index, sampled = index[:stop], sampled[:stop]
        begin = begin[: options["blocks"]]
    every = np.zeros((1, len(index), said.shape[2]), said.dtype)
    every[:, sampled] = said[:, : int(sampled.sum())]
    x, y = (array(store, name).ravel().astype(np.float64) for name in ("spX", "spY"))
    squares = options["shrink"], options["crop"]
    shown = gratings.movie(info, x, y, index, *squares, where)
    part = _part(shown, every, card)
    return dataclasses.replace(part, begin=begin, skip=windows.shape[1] - 1)


def _fixations(
    store: h5py.File, card: Card, options: dict, kept: slice
) -> tuple[np.ndarray, np.ndarray]:
    made = []
    for name in ("running", "frozen"):
        images = array(store, f"{name}Images", "image, x, y").transpose(0, 2, 1)
        if name == "running":
            looked = array(store, "runningfixations", "block, frame, 3", rows=kept)
        else:
            looked = array(store, "frozenfixations", "frame, 3")
        if looked.shape[-1] != 3:
            raise ShapeMismatch(
                f"{store.filename}: {name}fixations {looked.shape} must end in an axis "
                "of 3: image, x, y"
            )
        made.append(
            movie(
                images,
                looked.reshape(-1, 3),
                SCREEN,
                options["shrink"],
                options["crop"],
                f"{card.name}, {name}",
            )
        )
    return made[0], made[1]


def _checkerboard(
    folder: Path,
    card: Card,
    running: tuple[int, ...],
    frozen: tuple[int, ...],
    options: dict,
) -> tuple[np.ndarray, np.ndarray]:
    board = whitenoise.movie(card)
    if board.frames != running[1]:
        raise ShapeMismatch(
            f"{card.name}: runningbin has {running[1]} frames a block, options.movie "
            f"says {board.frames}: correct the card"
        )
    shown = whitenoise.running(folder, card, board, range(running[0]))
    once = dataclasses.replace(
        board, seed=options["frozen_seed"], frames=frozen[1], packed=(), states={}
    )
    rows = next(whitenoise.make(once, 0, 1))
    width, height = board.size
    bits = np.unpackbits(rows, axis=1)[:, : width * height]
    still = bits.reshape(-1, width, height).transpose(0, 2, 1).astype(np.int8) * 2 - 1
    return shown.reshape(-1, height, width), still
