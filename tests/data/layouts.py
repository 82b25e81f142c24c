"""A small file in each public layout, written with the library that reads it."""

from __future__ import annotations

import dataclasses
import datetime
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io

from .conftest import card_text

FRAMES, TEST, CELLS, HEIGHT, WIDTH = 60, 24, 3, 5, 4
BLOCKS = 3
EACH_S = 0.1  # a frame

SPLITS = """
[[splits]]
role = "train"
part = "{train}"
share = [0.0, 0.75]

[[splits]]
role = "validation"
part = "{train}"
share = [0.75, 1.0]

[[splits]]
role = "test"
group = "frozen"
part = "{test}"
share = [0.0, 1.0]
"""

ONE = """
[[splits]]
role = "train"
frames = [3, 40]

[[splits]]
role = "validation"
frames = [40, 50]

[[splits]]
role = "test"
group = "running"
frames = [50, 60]
"""


def movie(frames: int | None = None, seed: int = 0) -> np.ndarray:
    frames = FRAMES if frames is None else frames
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (frames, HEIGHT, WIDTH), np.uint8)


def spikes(frames: int | None = None, trials: int = 1, seed: int = 1) -> np.ndarray:
    """(trial, bin, cell) counts."""
    frames = FRAMES if frames is None else frames
    return np.random.default_rng(seed).poisson(1.0, (trials, frames, CELLS))


def times(said: np.ndarray, frame_s: float = 0.1) -> tuple[np.ndarray, ...]:
    """Seconds, cell and trial of each spike: within its bin, never at an edge."""
    trial, frame, cell = np.nonzero(said)
    each = said[trial, frame, cell]
    trial, frame, cell = (np.repeat(a, each) for a in (trial, frame, cell))
    inside = np.random.default_rng(2).uniform(0.1, 0.9, len(frame))
    return (frame + inside) * frame_s, cell, trial


@dataclasses.dataclass(frozen=True)
class Layout:
    """How a reader's small files are written, and the card that goes with them."""

    reader: str
    write: Callable[[Path], list[str]]
    options: str
    splits: str = ONE
    frame_s: float = 0.1
    lead: int = 3
    cells: int = CELLS
    extra: str = ""
    needs: str = ""

    def card(self, cache: Path, options: str = "", **words) -> Path:
        """Writes the files and the card; gives the card."""
        if self.needs:
            pytest.importorskip(self.needs)
        folder = cache / "small"
        folder.mkdir(exist_ok=True)
        files = {name: folder / name for name in self.write(folder)}
        card = cache / "small.toml"
        card.write_text(
            card_text(
                files,
                options or self.options,
                **{
                    "reader": self.reader,
                    "splits": self.splits,
                    "frame_s": self.frame_s,
                    "lead": self.lead,
                    "cells": self.cells,
                    "extra": self.extra,
                }
                | words,
            )
        )
        return card


# stanford_hdf5 -----------------------------------------------------------------------


def stanford(folder: Path, *, extra: int = 1, layout: str = "cells") -> list[str]:
    """As 15-10-07: the repeats are one bin longer than the test movie."""
    with h5py.File(folder / "naturalscene.h5", "w") as store:
        store["train/stimulus"] = movie()
        store["train/time"] = np.arange(FRAMES) * EACH_S
        store["train/response/binned"] = spikes()[0].T
        store["train/response/firing_rate_10ms"] = spikes()[0].T * 9.5
        store["test/stimulus"] = movie(TEST, 5)
        store["test/time"] = np.arange(TEST) * EACH_S
        repeats = spikes(TEST + extra, 5, 6)
        store["test/response/binned"] = repeats.sum(0).T
        store["test/response/firing_rate_10ms"] = repeats.mean(0).T * 9.5
        if layout == "cells":
            for cell in range(CELLS):
                store[f"test/repeats/cell{cell + 1:02d}"] = repeats[:, :, cell]
        elif layout == "array":
            store["test/repeats/binned"] = repeats.transpose(0, 2, 1)
            store["test/repeats/firing_rate_10ms"] = repeats.transpose(0, 2, 1) * 9.5
        time, cell, _ = times(spikes())
        for one in range(CELLS):
            store[f"spikes/cell{one + 1:02d}"] = time[cell == one]
    return ["naturalscene.h5"]


STANFORD = Layout(
    "stanford_hdf5",
    stanford,
    f'file = "naturalscene.h5"\nblocks = {BLOCKS}\nskip = 5',
    SPLITS.format(train="train", test="test"),
)

# marre_hdf5 --------------------------------------------------------------------------


def marre(folder: Path) -> list[str]:
    with h5py.File(folder / "mouse.h5", "w") as store:
        store["train/stimulus"] = movie()
        store["train/response/binned"] = spikes()[0].T
        store["test/stimulus"] = movie(TEST, 5)
        repeats = spikes(TEST, 4, 6)
        store["test/response/binned"] = repeats.mean(0).T
        for cell in range(CELLS):  # 10 comes before 2 in a file
            store[f"test/repeats/cell_{5 * cell + 2}"] = repeats[:, :, cell]
    return ["mouse.h5"]


MARRE = Layout(
    "marre_hdf5",
    marre,
    'file = "mouse.h5"',
    SPLITS.format(train="train", test="test"),
    frame_s=0.3,
    lead=1,
)

# gollisch_matlab ---------------------------------------------------------------------

IMAGES, TALL, BROAD = 3, 160, 240


def pictures(seed: int) -> np.ndarray:
    """(image, y, x), each pixel of a 10 x 10 square of another value."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (IMAGES, TALL, BROAD), np.uint8)


def looked(blocks: int, frames: int, seed: int) -> np.ndarray:
    """(block, frame, 3): image from 1, x, y."""
    rng = np.random.default_rng(seed)
    image = rng.integers(1, IMAGES + 1, (blocks, frames))
    x = rng.integers(0, BROAD, (blocks, frames))
    y = rng.integers(0, TALL, (blocks, frames))
    return np.stack([image, x, y], -1).astype(np.float64)


def v73(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """What MATLAB writes with -v7.3: HDF5 behind 512 bytes, axes reversed."""
    with h5py.File(path, "w", userblock_size=512) as store:
        for name, value in arrays.items():
            store.create_dataset(name, data=value, compression="gzip")
    with open(path, "r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM")


def gollisch(folder: Path) -> list[str]:
    each = FRAMES // BLOCKS
    v73(
        folder / "fixationmovie_data.mat",
        {
            "runningbin": spikes().reshape(BLOCKS, each, CELLS).astype(np.float64),
            "frozenbin": spikes(TEST, 6, 6).astype(np.float64),
            "runningImages": pictures(7).transpose(0, 2, 1),
            "frozenImages": pictures(8).transpose(0, 2, 1),
            "runningfixations": looked(BLOCKS, each, 9),
            "frozenfixations": looked(1, TEST, 10)[0],
        },
    )
    return ["fixationmovie_data.mat"]


GOLLISCH = Layout(
    "gollisch_matlab",
    gollisch,
    'file = "fixationmovie_data.mat"\nshrink = 100',
    SPLITS.format(train="running", test="frozen"),
)

NT, PIXELS = 5, (600, 800)  # lags of the published windows; rows and columns


def shown_gratings() -> tuple[np.ndarray, np.ndarray]:
    """(grating, 3): cycles per pixel, orientation, phase; (block, frame) from 0."""
    rng = np.random.default_rng(12)
    turns = rng.uniform(0, np.pi, (7, 2))
    info = np.column_stack([rng.uniform(0.001, 0.05, 7), turns])
    return info, rng.integers(0, 7, (BLOCKS, FRAMES // BLOCKS))


def flicker(folder: Path) -> list[str]:
    info, order = shown_gratings()
    each = FRAMES // BLOCKS
    windows = np.lib.stride_tricks.sliding_window_view(order, NT, axis=1) + 1
    said = spikes().reshape(BLOCKS, each, CELLS)[:, NT - 1 :]
    v73(
        folder / "gratingflicker_data.mat",
        {
            "orderfit": windows.reshape(-1, NT).astype(np.uint16),
            "spikesfit": said.reshape(-1, CELLS).astype(np.float64),
            "stiminfo": info.T,
            "spX": np.arange(PIXELS[1])[:, None] + 0.5,
            "spY": np.arange(PIXELS[0])[:, None] + 0.5,
        },
    )
    return ["gratingflicker_data.mat"]


_SHARES = """
[[splits]]
role = "train"
part = "running"
share = [0.0, 0.75]

[[splits]]
role = "validation"
part = "running"
share = [0.75, 0.88]

[[splits]]
role = "test"
group = "running"
part = "running"
share = [0.88, 1.0]
"""
GRATINGS = Layout(
    "gollisch_matlab",
    flicker,
    'file = "gratingflicker_data.mat"\nshrink = 100\nstimulus = "gratingflicker"',
    _SHARES,
)

# euler_hdf5 --------------------------------------------------------------------------

CLIPS, CLIP, TESTED = 6, 8, 2
ROIS = np.array([4, 9, 17])
FIELD = "session_2_ventral2"


def natural(folder: Path, *, long: bool = True) -> list[str]:
    """One field of three cells; the clips in the second of two orders."""
    rng = np.random.default_rng(3)
    np.savez(
        folder / "movie.npz",
        train=rng.standard_normal((2, CLIPS * CLIP, HEIGHT, WIDTH)).astype(np.float32),
        test=rng.standard_normal((2, TESTED * CLIP, HEIGHT, WIDTH)).astype(np.float32),
        random_sequences=orders(),
    )
    shown = CLIPS + 3 * TESTED
    sample_s = 1.3 * EACH_S
    samples = int(shown * CLIP * EACH_S / sample_s) + max(20, int(2 / sample_s))
    time = np.arange(samples) * sample_s
    with h5py.File(folder / "responses.h5", "w") as store:
        field = store.create_group(FIELD)
        field["natural_spikes"] = traces(samples)
        if long:
            field["natural_traces_times"] = np.tile(time, (CELLS, 1))
        else:
            field["natural_traces_t0"] = np.zeros(CELLS)
            field["natural_traces_dt"] = np.full(CELLS, sample_s)
        field["natural_trigger_times"] = 1.0 + np.arange(shown)[None] * CLIP * EACH_S
        field["scan_sequence_idx"] = 1
        field["eye"] = "left"
        field["roi_ids"] = ROIS
        field["group_assignment"] = np.array([5, 24, 33])
        field["chirp_qi"] = np.array([0.5, 0.1, 0.1])
        field["d_qi"] = np.array([0.1, 0.7, 0.1])
        field["group_confidences"] = rng.uniform(0.3, 1, (CELLS, 46))
    return ["movie.npz", "responses.h5"]


def orders() -> np.ndarray:
    mixed = np.random.default_rng(16).permutation(CLIPS)
    return np.stack([np.arange(CLIPS), mixed], 1).astype(np.uint8)


def traces(samples: int) -> np.ndarray:
    return np.random.default_rng(4).gamma(1.0, 1.0, (CELLS, samples))


EULER = Layout(
    "euler_hdf5",
    natural,
    'stimulus = "movie.npz"\nresponses = "responses.h5"\n'
    f'field = "{FIELD}"\n'
    f"clip = {CLIP}\ntested = {TESTED}",
    SPLITS.format(train="movie", test="test"),
    extra='event = "graded"',
)

# gollisch_frames ---------------------------------------------------------------------

PAD, SIZE, REPEATS = 6, (8, 10), 4
PICTURE = (30, 20)  # (x, y) without padding
LOOKED = ((2, 28), (2, 18))  # where in it somebody looks, x and y


def frame_folders(folder: Path) -> list[str]:
    """Images of (x, y) with padding, and lines of what was looked at."""
    rng = np.random.default_rng(11)
    (folder / "stimuli_padded_4").mkdir(exist_ok=True)
    for i, image in enumerate(padded()):
        np.save(folder / "stimuli_padded_4" / f"{i:05d}_img_{100 + i}.npy", image)
    lines = []
    for image, x, y, flip in gazes():
        lines.append(f"{image:.1f} 0 0 {x:.2f} {y:.2f} 0 {flip}\n")
    (folder / "fixations.txt").write_text("".join(lines))
    each = FRAMES // BLOCKS
    fresh = spikes().reshape(BLOCKS, each, CELLS).transpose(2, 1, 0)
    np.savez(
        folder / "responses.npz",
        train_responses=fresh,
        test_responses=spikes(TEST, REPEATS, 6).transpose(2, 1, 0),
    )
    for trial in range(BLOCKS):
        place = folder / "non_repeating_stimuli_1" / f"trial_{trial:03d}"
        place.mkdir(parents=True, exist_ok=True)
        board = rng.choice(np.array([0, 255], np.uint8), (HEIGHT, WIDTH, each))
        np.save(place / "all_images.npy", board)
    (folder / "repeating_stimuli_1").mkdir(exist_ok=True)
    np.save(
        folder / "repeating_stimuli_1" / "all_images.npy",
        rng.choice(np.array([0, 255], np.uint8), (HEIGHT, WIDTH, TEST)),
    )
    return ["fixations.txt", "responses.npz"]


def padded() -> np.ndarray:
    rng = np.random.default_rng(12)
    width, height = PICTURE[0] + 2 * PAD, PICTURE[1] + 2 * PAD
    return rng.integers(0, 256, (4, width, height), np.uint8)


def gazes() -> np.ndarray:
    """(line, 4): the test first, then each trial."""
    rng = np.random.default_rng(13)
    lines = TEST + FRAMES
    return np.stack(
        [
            rng.integers(0, 4, lines),
            rng.integers(*LOOKED[0], lines),
            rng.integers(*LOOKED[1], lines),
            rng.integers(0, 2, lines),
        ],
        1,
    )


WATCHED = Layout(
    "gollisch_frames",
    frame_folders,
    'responses = "responses.npz"\nfixations = "fixations.txt"\n'
    f'frames = "stimuli_padded_4"\npadding = {PAD}\nsize = {list(SIZE)}\n'
    "crop = [1, 2, 0, 3]\ntrials = [2, 0, 1]",
    SPLITS.format(train="running", test="frozen"),
)
BOARDS = dataclasses.replace(
    WATCHED,
    options='responses = "responses.npz"\nrunning = "non_repeating_stimuli_1"\n'
    'frozen = "repeating_stimuli_1/all_images.npy"\ntrials = [2, 0, 1]',
)

# one's own files ---------------------------------------------------------------------


def own_hdf5(folder: Path) -> list[str]:
    time, cell, trial = times(spikes(TEST, 4, 6))
    with h5py.File(folder / "own.h5", "w") as store:
        store["movie/long"] = movie().transpose(1, 2, 0)
        store["bins"] = spikes()[0].T
        store["movie/short"] = movie(TEST, 5)
        store["spike/time"] = time
        store["spike/cell"] = cell
        store["spike/trial"] = trial
        store["edges"] = np.arange(TEST + 1) * 0.1
    return ["own.h5"]


PARTS = """
[options.parts.train]
stimulus = "{long}"
stimulus_axes = "y, x, frame"
counts = "bins"
counts_axes = "cell, bin"
begin = [0, 30]

[options.parts.test]
stimulus = "{short}"
onsets = "edges"
spike_s = "{time}"
spike_cell = "{cell}"
spike_trial = "{trial}"
"""
HDF5 = Layout(
    "hdf5",
    own_hdf5,
    'file = "own.h5"\n'
    + PARTS.format(
        long="movie/long",
        short="movie/short",
        time="spike/time",
        cell="spike/cell",
        trial="spike/trial",
    ),
    SPLITS.format(train="train", test="test"),
)


def own_matlab(folder: Path) -> list[str]:
    """MATLAB counts from 1, in doubles, and has no rows, only matrices."""
    time, cell, trial = times(spikes(TEST, 4, 6))
    scipy.io.savemat(
        folder / "own.mat",
        {
            "long": movie().transpose(1, 2, 0),
            "bins": spikes()[0].T.astype(np.float64),
            "short": movie(TEST, 5),
            "time": time[:, None],
            "cell": cell[:, None] + 1.0,
            "trial": trial[:, None] + 1.0,
            "edges": np.arange(TEST + 1)[None] * 0.1,
        },
    )
    return ["own.mat"]


MATLAB5 = Layout(
    "matlab5",
    own_matlab,
    'file = "own.mat"\nfirst = 1\n'
    + PARTS.format(long="long", short="short", time="time", cell="cell", trial="trial"),
    SPLITS.format(train="train", test="test"),
)

LABELS = ["a1", "b7", "10"]
BESIDE = """
stimulus = ["movie.npy"]
stimulus_axes = "y, x, frame"
cells = ["a1", "b7", "10"]
"""


def own_csv(folder: Path) -> list[str]:
    np.save(folder / "movie.npy", movie().transpose(1, 2, 0))
    time, cell, _ = times(spikes())
    lines = [f"{LABELS[c]}, {t!r}\n" for t, c in zip(time.tolist(), cell, strict=True)]
    (folder / "spikes.csv").write_text("unit, time_s\n" + "".join(lines))
    return ["movie.npy", "spikes.csv"]


CSV = Layout("csv", own_csv, f'spikes = "spikes.csv"\ncell = "unit"\n{BESIDE}')


def own_parquet(folder: Path) -> list[str]:
    import pyarrow
    import pyarrow.parquet

    np.save(folder / "movie.npy", movie().transpose(1, 2, 0))
    time, cell, _ = times(spikes())
    table = pyarrow.table({"unit": [LABELS[c] for c in cell], "time_s": time})
    pyarrow.parquet.write_table(
        table, folder / "spikes.parquet", write_page_checksum=True
    )
    return ["movie.npy", "spikes.parquet"]


PARQUET = Layout(
    "parquet",
    own_parquet,
    f'spikes = "spikes.parquet"\ncell = "unit"\n{BESIDE}',
    needs="pyarrow",
)


def own_nwb(folder: Path) -> list[str]:
    pynwb: Any = importlib.import_module("pynwb")
    file = pynwb.NWBFile(
        session_description="small",
        identifier="small",
        session_start_time=datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC),
    )
    file.add_unit_column("label", "what the sorter calls it")
    long, short = spikes(), spikes(TEST, 4, 6)
    time, cell, _ = times(long)
    again, who, trial = times(short)
    starts = 100.0 + 10.0 * np.arange(4)
    for c in range(CELLS):
        both = [time[cell == c], again[who == c] + starts[trial[who == c]]]
        file.add_unit(spike_times=np.sort(np.concatenate(both)), label=LABELS[c])
    file.add_stimulus(
        pynwb.image.ImageSeries(
            name="long", data=movie().transpose(0, 2, 1), unit="grey", rate=10.0
        )
    )
    file.add_stimulus(
        pynwb.TimeSeries(
            name="short",
            data=movie(TEST, 5),
            unit="grey",
            timestamps=100.0 + np.arange(TEST) * 0.1,
        )
    )
    for start in starts:
        file.add_trial(start_time=start, stop_time=start + TEST * 0.1)
    with pynwb.NWBHDF5IO(str(folder / "own.nwb"), "w") as io:
        io.write(file)
    return ["own.nwb"]


NWB = Layout(
    "nwb",
    own_nwb,
    """file = "own.nwb"
names = "label"
[options.parts.train]
stimulus = "long"
stimulus_axes = "frame, x, y"
[options.parts.test]
stimulus = "short"
repeats = "trials"
""",
    SPLITS.format(train="train", test="test"),
    needs="pynwb",
)


def own_neo(folder: Path) -> list[str]:
    """MATLAB as neo writes it, with a segment for each of four trials."""
    neo: Any = importlib.import_module("neo")
    quantities: Any = importlib.import_module("quantities")
    np.save(folder / "movie.npy", movie().transpose(1, 2, 0))
    block = neo.Block()
    time, cell, trial = times(spikes(FRAMES, 4))
    for t in range(4):
        segment = neo.Segment(index=t)
        for c in range(CELLS):
            mine = np.sort(time[(trial == t) & (cell == c)])
            segment.spiketrains.append(
                neo.SpikeTrain(
                    (mine + 5.0) * 1000 * quantities.ms,
                    t_start=5.0 * quantities.s,
                    t_stop=(5.0 + FRAMES * 0.1) * quantities.s,
                    name=LABELS[c],
                )
            )
        block.segments.append(segment)
    neo.io.NeoMatlabIO(str(folder / "own.mat")).write_block(block)
    return ["movie.npy", "own.mat"]


NEO = Layout(
    "neo",
    own_neo,
    f'file = "own.mat"\nio = "NeoMatlabIO"\nsegments = "trials"\n{BESIDE}',
    needs="neo",
)


def own_npz(folder: Path) -> list[str]:
    time, cell, _ = times(spikes())
    np.savez(
        folder / "own.npz",
        **{
            "train.stimulus": movie(),
            "train.spike_s": time,
            "train.spike_cell": cell,
            "train.onsets_s": np.arange(FRAMES + 1) * 0.1,
            "test.stimulus": movie(TEST, 5),
            "test.counts": spikes(TEST, 4, 6),
            "test.count_s": np.array(0.1),
        },
    )
    return ["own.npz"]


NPZ = Layout(
    "npz",
    own_npz,
    'file = "own.npz"',
    SPLITS.format(train="train", test="test"),
)

ALL = {
    "npz": NPZ,
    "stanford_hdf5": STANFORD,
    "marre_hdf5": MARRE,
    "gollisch_matlab": GOLLISCH,
    "euler_hdf5": EULER,
    "gollisch_frames": WATCHED,
    "gollisch_boards": BOARDS,
    "hdf5": HDF5,
    "matlab5": MATLAB5,
    "csv": CSV,
    "parquet": PARQUET,
    "nwb": NWB,
    "neo": NEO,
}
