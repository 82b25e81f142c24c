"""MATLAB v7.3 of the Gollisch lab: running stretches, and a frozen one between them.

Layout: open-retina (karamanlis_2024) and returnFixMovie.m of subunit_grid_model, which
say how a fixation movie is put together; MATLAB's axes come reversed through HDF5.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import h5py
import numpy as np

from retina.data import whitenoise
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
    returns: parts "running", whose blocks share no history, and "frozen"; frames are
             (y, x); cells are named "0", "1", ...
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
    kinds = ("fixationmovie", "frozencheckerflicker")
    if options["stimulus"] not in kinds or options["blocks"] < 0:
        raise BadCard(
            f"{card.name}: stimulus = {options['stimulus']!r}, blocks = "
            f"{options['blocks']}: take one of {', '.join(kinds)}, and 0 or more blocks"
        )
    with opened(folder, options["file"]) as store:
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
