"""Small files as the verified recordings lie, and as `retina export` writes them."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import scipy.io

from retina.data.writers.hdf5 import write
from retina.types import Block, Cell, Recording

from .layouts import CELLS, FRAMES, SPLITS, TEST, Layout, movie, spikes
from .layouts import times as timed

REPEATS = 4


def light(frames: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(frames)


def trains(seconds: np.ndarray, cell: np.ndarray) -> list[np.ndarray]:
    return [np.sort(seconds[cell == c]) for c in range(CELLS)]


def uzzell(folder: Path) -> list[str]:
    cells = np.empty((1, CELLS), object)
    for c, train in enumerate(trains(*timed(spikes())[:2])):
        cells[0, c] = train[:, None]
    onsets = np.arange(FRAMES)[:, None] * 0.1
    named = {"Stim": light(FRAMES, 0)[:, None], "onsets": onsets, "trains": cells}
    scipy.io.savemat(folder / "own.mat", named)
    return ["own.mat"]


TRAINS = Layout(
    "matlab_trains",
    uzzell,
    'stimulus = ["own.mat", "Stim"]\nonsets = ["own.mat", "onsets"]\n'
    'spikes = ["own.mat", "trains"]',
)


def shayp(folder: Path) -> list[str]:
    """Samples of 1 ms from 1, frames of 100; the second repeat lends its stimulus."""
    running = {"Stim": light(FRAMES, 0)[None], "onsets": np.arange(FRAMES) * 100 + 1}
    again, who, trial = timed(spikes(TEST, REPEATS, 6))
    for name, seconds, cell in (
        ("units", *timed(spikes())[:2]),
        ("again", again + trial * TEST * 0.1, who),
    ):
        made = np.zeros((1, CELLS), [("sp", object)])
        for c, train in enumerate(trains(seconds, cell)):
            made[0, c] = (np.rint(train * 1000).astype(np.int32)[:, None] + 1,)
        running[name] = made
    shown = np.tile(np.repeat(light(TEST, 1), 100), REPEATS)
    running["shown"] = np.stack([shown, np.zeros(len(shown))])
    running["bounds"] = np.arange(REPEATS + 1) * TEST * 100 + 1
    scipy.io.savemat(folder / "own.mat", running)
    return ["own.mat"]


UNITS = Layout(
    "matlab_units",
    shayp,
    'stimulus = ["own.mat", "Stim"]\nonsets = ["own.mat", "onsets"]\n'
    'units = ["own.mat", "units"]\nrepeat_units = ["own.mat", "again"]\n'
    'repeat_stimulus = ["own.mat", "shown"]\nrepeat_bounds = ["own.mat", "bounds"]\n'
    "repeat_stimulus_of = 2\nsample_hz = 1000",
    SPLITS.format(train="running", test="frozen"),
)


def schroeder(folder: Path) -> list[str]:
    with h5py.File(folder / "own.h5", "w") as store:
        store["light"] = light(FRAMES, 0)
        store["quanta"] = spikes(FRAMES, 2)[..., 0].astype(float)
    return ["own.h5"]


QUANTA = Layout(
    "hdf5_quanta",
    schroeder,
    'file = "own.h5"\nstimulus = "light"\ncounts = "quanta"\ncount_s = 0.1\n'
    'cell = "one"',
    cells=1,
    extra='event = "quantum"',
)

TRIALS, BOARD = 4, (8, 4)  # (x, y) squares of the window, in a board of 12 x 9


def gollisch(folder: Path) -> list[str]:
    rng = np.random.default_rng(0)
    counts = {
        "running": rng.poisson(1.0, (CELLS, FRAMES, TRIALS)).astype(np.uint8),
        "frozen": rng.poisson(1.0, (CELLS, TEST, REPEATS)).astype(np.uint8),
    }
    scipy.io.savemat(folder / "counts.mat", counts)
    with h5py.File(folder / "frozen.h5", "w") as store:
        store["stim"] = rng.choice(np.array([-1, 1], np.int8), (12, 9, TEST))
    bits = rng.integers(0, 2, (TRIALS * FRAMES, BOARD[0] * BOARD[1]), np.uint8)
    np.save(folder / "packed.npy", np.packbits(bits, axis=1))
    return ["counts.mat", "frozen.h5", "packed.npy"]


CHECKERBOARD = Layout(
    "checkerboard_counts",
    gollisch,
    f"""running_counts = ["counts.mat", "running"]
frozen_counts = ["counts.mat", "frozen"]
frozen_stimulus = ["frozen.h5", "stim"]
[options.movie]
seed = -77
shape = [12, 9]
frames = {FRAMES}
corner = [3, 1]
size = {list(BOARD)}
packed = [["packed.npy", 0, {TRIALS}]]
""",
    "".join(
        f'[[splits]]\nrole = "{role}"\npart = "{part}"\n'
        f"frames = [3, {frames}]\n{more}\n"
        for role, part, frames, more in (
            ("train", "running", FRAMES, "trials = [0, 2]"),
            ("validation", "running", FRAMES, "trials = [2, 3]"),
            ("test", "running", FRAMES, 'trials = [3, 4]\ngroup = "running"'),
            ("test", "frozen", TEST, 'group = "frozen"'),
        )
    ),
)


def exported(folder: Path) -> list[str]:
    """Spikes in one block, counts in the others."""
    first = Block(
        *("train", "train", movie(), np.arange(FRAMES + 1) * 0.1),
        spikes=(tuple(trains(*timed(spikes())[:2])),),
        lead=3,
    )
    later = [
        Block(
            *(role, role, movie(TEST, seed), np.arange(TEST + 1) * 0.1),
            counts=spikes(TEST, number, seed),
            count_s=0.1,
            lead=3,
            group="frozen" if role == "test" else "",
        )
        for role, number, seed in (("validation", 1, 5), ("test", REPEATS, 6))
    ]
    cells = tuple(Cell(str(c), "ON") for c in range(CELLS))
    write(Recording("own", "none", cells, (first, *later), 0.1), folder / "own.h5")
    return ["own.h5"]


BLOCKS = Layout(
    "blocks_hdf5",
    exported,
    'file = "own.h5"',
    "".join(
        f'[[splits]]\nrole = "{role}"\npart = "{role}"\n'
        f"frames = [3, {frames}]\n{more}\n"
        for role, frames, more in (
            ("train", FRAMES, ""),
            ("validation", TEST, ""),
            ("test", TEST, 'group = "frozen"'),
        )
    ),
)

ALL = {
    "matlab_trains": TRAINS,
    "matlab_units": UNITS,
    "hdf5_quanta": QUANTA,
    "checkerboard_counts": CHECKERBOARD,
    "blocks_hdf5": BLOCKS,
}
