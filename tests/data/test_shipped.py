"""The shipped cards that nobody has held against their bytes, on files as they say.

Names of files, options and parts are the card's own, and so are frames, cells and
history; the files are written small, by `layouts`. What a card says of the real files
beyond that (how many trials, frames, events) stays unverified.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from retina import resources
from retina.data import card as cards
from retina.data.card import Card
from retina.data.caveats import caveats
from retina.data.load import load
from retina.data.split import split

from . import layouts

NAMES = [name for name in resources.names("datasets") if cards.read(name).unread]


def put(made: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    made.rename(place)


def one_file(write: Callable[[Path], list[str]], folder: Path, card: Card) -> None:
    (made,) = write(folder)
    put(folder / made, folder / card.options["file"])


def gollisch(folder: Path, card: Card) -> None:
    flicker = card.options["stimulus"] == "gratingflicker"
    one_file(layouts.flicker if flicker else layouts.gollisch, folder, card)


def euler(folder: Path, card: Card) -> None:
    layouts.natural(folder)
    put(folder / "movie.npz", folder / card.options["stimulus"])
    put(folder / "responses.h5", folder / card.options["responses"])


def frames(folder: Path, card: Card) -> None:
    layouts.frame_folders(folder)
    options = card.options
    put(folder / "responses.npz", folder / options["responses"])
    if "fixations" in options:
        put(folder / "fixations.txt", folder / options["fixations"])
        put(folder / "stimuli_padded_4", folder / options["frames"])
    else:
        put(folder / "non_repeating_stimuli_1", folder / options["running"])
        put(folder / "repeating_stimuli_1/all_images.npy", folder / options["frozen"])


def arrays(folder: Path, card: Card) -> None:
    with h5py.File(folder / card.options["file"], "w") as store:
        for part in card.options["parts"].values():
            store[part["stimulus"]] = layouts.movie()
            store[part["counts"]] = layouts.spikes()[0]


def npz(folder: Path, card: Card) -> None:
    held = {}
    for part in {rule.part for rule in card.splits}:
        dot = f"{part}." if part else ""
        shape = (layouts.FRAMES, *(card.frame or ((5, 4) if part else ())))
        held[f"{dot}stimulus"] = np.random.default_rng(1).choice([-1, 1], shape)
        held[f"{dot}counts"] = layouts.spikes()
        held[f"{dot}count_s"] = np.array(card.frame_s)
    np.savez(folder / card.options["file"], **held)  # type: ignore[arg-type]


WRITERS = {
    "stanford_hdf5": functools.partial(one_file, layouts.stanford),
    "marre_hdf5": functools.partial(one_file, layouts.marre),
    "gollisch_matlab": gollisch,
    "euler_hdf5": euler,
    "gollisch_frames": frames,
    "hdf5": arrays,
    "npz": npz,
}


def sizes(card: Card) -> dict[str, object]:
    """Of the small files: what the card says, and as few frames as have a history."""
    height, width = card.frame if len(card.frame) == 2 else (5, 4)
    made: dict[str, object] = {
        **{"FRAMES": 600, "TEST": card.lead + 30, "BLOCKS": 3},
        **{"CELLS": card.cell_count or 3, "HEIGHT": height, "WIDTH": width},
        "EACH_S": card.frame_s,
    }
    if card.reader in ("marre_hdf5", "gollisch_matlab"):
        made["FRAMES"] = 300
    if card.reader == "euler_hdf5":
        made |= {"CLIPS": 108, "CLIP": 150, "TESTED": 5}
        made["FIELD"] = card.options["field"]
    if card.reader == "gollisch_frames":
        tall, broad = (150, 200)  # of the published images
        made |= {"BLOCKS": 21, "FRAMES": 21 * 40, "REPEATS": 10}
        if "padding" in card.options:
            made |= {"HEIGHT": 2, "WIDTH": 2, "PICTURE": (broad, tall)}
            made |= {"PAD": card.options["padding"], "LOOKED": ((50, 150), (25, 125))}
        else:
            made |= {"HEIGHT": tall, "WIDTH": broad, "BLOCKS": 2, "FRAMES": 2 * 50}
    return made


@pytest.mark.parametrize("name", NAMES)
def test_a_card_reads_what_it_describes(name, cache, monkeypatch):
    whole = cards.read(name)
    for variant in whole.variants or [""]:
        card = whole.variant(variant)
        for key, size in sizes(card).items():
            monkeypatch.setattr(layouts, key, size)
        folder = cache / name
        folder.mkdir(exist_ok=True)
        WRITERS[card.reader](folder, card)
        for file in card.files:
            if file.path.endswith(".pkl"):  # fetched, but read as the npz made of it
                (folder / file.path).parent.mkdir(parents=True, exist_ok=True)
                (folder / file.path).touch()
        recording = load(name, cells=variant or None)
        (caveat,) = caveats(recording.notes)  # with all that differs from the card
        assert "frames of" not in caveat and " cells (card" not in caveat
        assert {block.role for block in recording.blocks} == {
            rule.role for rule in card.splits
        }
        made = split(recording)
        assert made.train and made.validation and made.test


def test_gratings_tell_of_spikes_that_nobody_recorded():
    """`every` of their reader is zero there, as if no cell had fired."""
    whole = [cards.read(name) for name in NAMES]
    every = [card.variant(v) for card in whole for v in card.variants]
    of = [c for c in every if c.options.get("stimulus") == "gratingflicker"]
    assert len(of) == 2
    for card in of:
        assert any("hears the response" in note for note in card.notes)
