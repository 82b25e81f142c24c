"""A small recording as labs keep it, and the card that is proposed of it."""

from __future__ import annotations

import tomllib

import numpy as np

from retina.data.load import load
from retina.data.proposal.draft import draft

FRAMES, CELLS = 400, 3
T = np.arange(FRAMES) * 0.1


def movie(*axes: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.integers(0, 255, (FRAMES, 4, 5), np.uint8).transpose(*axes)


def counts(trials: int = 1) -> np.ndarray:
    return np.random.default_rng(1).poisson(1.0, (trials, FRAMES, CELLS))


def spikes() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    return np.sort(rng.uniform(0, 40, 900)), rng.integers(0, CELLS, 900)


def written(folder, name: str):
    """The recording of a proposed card whose blanks are filled with anything."""
    path = folder / f"{name}.toml"
    text = draft(name, sorted(p for p in folder.iterdir() if p.suffix != ".toml"))
    table = tomllib.loads(text)
    assert text.count("<- fill in") >= 6 and table["stimulus_unit"] == ""
    assert (table["frame_s"] == 0) == ("frame_s = 0.0  # <- fill in" in text)
    text = text.replace("frame_s = 0.0", "frame_s = 0.1")
    path.write_text(text.replace('stimulus_unit = ""', 'stimulus_unit = "grey"'))
    return load(path), table


def holds(recording, trials: int = 1) -> None:
    assert len(recording.cells) == CELLS and recording.frame == (4, 5)
    assert {block.role for block in recording.blocks} == {"train", "validation", "test"}
    shown = np.concatenate([b.stimulus[b.lead :] for b in recording.role("train")])
    np.testing.assert_array_equal(shown, movie(0, 1, 2)[30 : 30 + len(shown)])
    assert all(block.trials == trials for block in recording.blocks)


def of_units() -> list[np.ndarray]:
    times, cell = spikes()
    return [times[cell == n] for n in range(CELLS)]
