"""Small files of each layout, whole and broken, as other programs write them."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import scipy.io

from retina.data.load import held, load
from retina.data.split import split
from retina.errors import (
    BadCard,
    BadResponse,
    BadSetting,
    BadStimulus,
    ShapeMismatch,
    UnreadableFile,
)
from retina.types import Block

from .conftest import arrays, card_text


@pytest.fixture
def write(cache):
    """write(files, options, **card): files are {path: writer(path)}; gives the card."""

    def written(files, options, **words):
        folder = cache / "small"
        paths = {}
        for name, save in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            save(folder / name)
            paths[name] = folder / name
        card = cache / "small.toml"
        card.write_text(card_text(paths, options, **words))
        return card

    return written


# npz ---------------------------------------------------------------------------------


def test_npz_with_spikes(npz_card):
    made = split(load(npz_card(arrays())))
    assert made.spec.bin_s == 0.1 and made.spec.cells == 2
    table = arrays()
    wanted = np.zeros((300, 2))
    np.add.at(wanted, ((table["spike_s"] / 0.1).astype(int), table["spike_cell"]), 1)
    for clips, (start, stop) in (
        (made.train, (10, 200)),
        (made.validation, (200, 250)),
        (made.test, (250, 300)),
    ):
        clip = clips[0]
        assert clip.skip == 10
        np.testing.assert_array_equal(clip.response[0], wanted[start - 10 : stop])
        np.testing.assert_array_equal(
            clip.stimulus, table["stimulus"][start - 10 : stop].astype(np.float32)
        )


def test_npz_with_trials_names_and_stretches(npz_card):
    one = {f"long.{key}": value for key, value in arrays().items()}
    rng = np.random.default_rng(3)
    two = {
        "frozen.stimulus": rng.standard_normal(40),
        "frozen.onsets_s": np.linspace(5, 9, 41),
        "frozen.counts": rng.poisson(1.0, (3, 40, 2)),
        "frozen.count_s": np.array(0.1),
        "cells": np.array(["a", "b"]),
    }
    splits = """
    [[splits]]
    role = "train"
    part = "long"
    frames = [10, 200]
    [[splits]]
    role = "test"
    group = "frozen"
    part = "frozen"
    frames = [12, 40]
    """
    made = load(npz_card(one | two, splits=splits), cells="b")
    assert [cell.name for cell in made.cells] == ["b"]
    clip = split(made).test[0]
    np.testing.assert_array_equal(
        clip.response[..., 0], two["frozen.counts"][:, 2:, 1].astype(np.float32)
    )


def changed(**words):
    table = arrays()
    for key, value in words.items():
        if value is None:
            table.pop(key)
        else:
            table[key] = value
    return table


def nan_at(values, index):
    values = values.copy()
    values[index] = np.nan
    return values


COUNTS = {"spike_s": None, "spike_cell": None, "count_s": np.array(0.1)}


@pytest.mark.parametrize(
    ("table", "error", "said"),
    [
        (
            changed(stimulus=nan_at(arrays()["stimulus"], 57)),
            BadStimulus,
            "1 of 200 stimulus frames hold NaN.*frame 57",
        ),
        (changed(stimulus=np.full(300, "x")), BadStimulus, "not numbers"),
        (
            changed(spike_s=nan_at(arrays()["spike_s"], 5)),
            BadResponse,
            "spike_s holds NaN",
        ),
        (
            changed(spike_cell=arrays()["spike_cell"][:-1]),
            ShapeMismatch,
            "equal length",
        ),
        (
            changed(spike_cell=arrays()["spike_cell"] + 1),
            BadResponse,
            "from 1 to 2, but there are 2 cells",
        ),
        (
            changed(**COUNTS, counts=np.full((1, 300, 2), -1)),
            BadResponse,
            "negative.*trial 0, bin 0, cell 0",
        ),
        (
            changed(**COUNTS, counts=np.full((1, 300, 2), np.nan)),
            BadResponse,
            "negative, NaN or infinite",
        ),
        (
            changed(**COUNTS, counts=np.ones((1, 301, 2))),
            ShapeMismatch,
            r"\(300 frames\).*\(301 bins\)",
        ),
        (
            changed(**COUNTS, counts=np.ones((1, 290, 2))),
            ShapeMismatch,
            r"30\.000 s \(300 frames\).*29\.000 s \(290 bins\)",
        ),
        (
            changed(**COUNTS, counts=np.ones((300, 2))),
            BadResponse,
            "axes .trial, bin, cell.",
        ),
        (changed(onsets_s=np.arange(300.0)), ShapeMismatch, "300 stimulus frames"),
        (changed(onsets_s=np.zeros(301)), BadStimulus, "does not increase"),
        (
            changed(onsets_s=np.arange(301) * 0.2),
            ShapeMismatch,
            "frames last 0.2 s.*frame_s = 0.1 on the card: make them agree",
        ),
        (
            changed(spike_s=arrays()["spike_s"] * 1000),
            BadResponse,
            "lie after 30 s.*not milliseconds",
        ),
        (changed(stimulus=None), UnreadableFile, "has no stimulus"),
        (changed(stimulos=np.zeros(3)), UnreadableFile, "'stimulos'.*'stimulus'"),
        (changed(stimulus=np.zeros(280)), BadCard, "ends at frame 300.* 280 frames"),
    ],
)
def test_npz_that_does_not_fit(npz_card, table, error, said):
    with pytest.raises(error, match=said) as caught:
        load(npz_card(table))
    assert "\n" not in str(caught.value)


def test_npz_never_unpickles(npz_card):
    table = changed(stimulus=np.array([{"a": 1}] * 300, dtype=object))
    with pytest.raises(UnreadableFile, match="not a readable npz"):
        load(npz_card(table))


def test_a_silent_cell_can_be_left_out(npz_card):
    table = arrays()
    keep = table["spike_cell"] == 0
    table = changed(
        spike_s=table["spike_s"][keep], spike_cell=table["spike_cell"][keep]
    )
    card = npz_card(table)
    with pytest.raises(BadResponse, match=r"cell 1 .*--cells=-1 "):
        split(load(card))
    assert split(load(card, cells="-1")).spec.cells == 1


@pytest.mark.parametrize("cells", ["7", ["0", "7"], "-7", "al"])
def test_a_cell_that_does_not_exist(npz_card, cells):
    with pytest.raises(BadSetting, match="no cell or subset"):
        load(npz_card(arrays()), cells=cells)


def test_no_cell_left(npz_card):
    with pytest.raises(BadSetting, match="leaves no cell"):
        load(npz_card(arrays()), cells="-0,-1")


def test_several_recordings_are_a_list(npz_card):
    card = npz_card(arrays())
    one, other = load([card, str(card)], cells=[None, "1"])
    assert len(one.cells) == 2 and [cell.name for cell in other.cells] == ["1"]
    assert len(load([card])) == 1
    for names, cells in (([], None), ([card], []), ([card, card], "1")):
        with pytest.raises(BadSetting, match=rf"load of {len(names)} recordings"):
            load(names, cells=cells)  # type: ignore[arg-type]


def test_cells_come_in_the_order_asked(npz_card):
    card = npz_card(arrays(), extra='subsets = { both = ["1", "0"] }')
    names = [[cell.name for cell in load(card, cells=c).cells] for c in ("both", [1])]
    assert names == [["1", "0"], ["1"]]


def test_what_the_card_expects_is_checked(npz_card):
    expect = "expect = { blocks = 1, trials = 1, frames = 50, events = 3 }"
    splits = f"""
    [[splits]]
    role = "train"
    frames = [10, 60]
    {expect}
    """
    with pytest.raises(ShapeMismatch, match=r"train.*events \(card: 3\)"):
        load(npz_card(arrays(), splits=splits))
    with pytest.raises(ShapeMismatch, match=r"hold 3 cells \(card: 2\)"):
        load(npz_card(changed(cells=np.array(["a", "b", "c"]))))


def test_events_are_whole_in_each_block():
    """As cards of counts that are no whole numbers have stated them."""
    onsets, counts = np.arange(4.0), np.full((1, 3, 1), 0.5)
    block = Block("a", "train", np.arange(3.0), onsets, None, counts, 1.0)
    assert held([block, block])["events"] == 2


# MATLAB v5 ---------------------------------------------------------------------------

TRAINS = """
stimulus = ["s.mat", "Stim"]
onsets = ["t.mat", "stimtimes"]
spikes = ["r.mat", "SpTimes"]
"""


def trains(path):
    table = arrays()
    cell = np.empty((1, 2), object)
    for c in range(2):
        cell[0, c] = table["spike_s"][table["spike_cell"] == c][:, None] + 0.1
    scipy.io.savemat(path, {"SpTimes": cell})


def light(path, name="Stim"):
    scipy.io.savemat(path, {name: arrays()["stimulus"][:, None]})


def times(path):
    scipy.io.savemat(path, {"stimtimes": (np.arange(300) + 1)[:, None] * 0.1})


def test_matlab_trains_equals_npz(write, npz_card):
    files = {"s.mat": light, "t.mat": times, "r.mat": trains}
    made = split(load(write(files, TRAINS, reader="matlab_trains")))
    assert [cell.name for cell in made.cells] == ["1", "2"]
    plain = split(load(npz_card(arrays(), name="plain")))
    for one, other in zip(
        made.train + made.test, plain.train + plain.test, strict=True
    ):
        np.testing.assert_array_equal(one.response, other.response)
        np.testing.assert_array_equal(one.stimulus, other.stimulus)


def cut(path):
    trains(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def text(path):
    path.write_text("not MATLAB at all " * 20)


def v73(path):
    """What MATLAB writes with -v7.3: HDF5 behind a block of 512 bytes."""
    with h5py.File(path, "w", userblock_size=512) as file:
        file["SpTimes"] = np.zeros(3)
    with open(path, "r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (cut, "not a readable MATLAB v5 file"),
        (text, "not a readable MATLAB v5 file"),
        (v73, "v7.3 file.*-v7"),
        (lambda path: light(path, "SpTime"), "no variable 'SpTimes'.*'SpTime'"),
    ],
)
def test_a_matlab_file_that_cannot_be_read(write, broken, said):
    files = {"s.mat": light, "t.mat": times, "r.mat": broken}
    with pytest.raises(UnreadableFile, match=said) as caught:
        load(write(files, TRAINS, reader="matlab_trains"))
    assert "\n" not in str(caught.value)


UNITS = """
stimulus = ["stim.mat", "Stim"]
onsets = ["stim.mat", "stimtimes"]
units = ["sp.mat", "SpTimes"]
repeat_units = ["rep.mat", "RepSpTimes"]
repeat_stimulus = ["shown.mat", "Extended"]
repeat_bounds = ["shown.mat", "bounds"]
repeat_stimulus_of = 2
sample_hz = 1000
"""

UNIT_SPLITS = """
[[splits]]
role = "train"
part = "running"
frames = [2, 30]

[[splits]]
role = "validation"
part = "running"
frames = [30, 40]

[[splits]]
role = "test"
group = "frozen"
part = "frozen"
frames = [2, 8]
"""


def units(path, name, trains):
    made = np.zeros((1, len(trains)), [("sp", object), ("Quality", object)])
    for i, train in enumerate(trains):
        made[0, i] = (np.array(train, np.int32)[:, None], np.array([[3]]))
    scipy.io.savemat(path, {name: made})


def test_matlab_units(write):
    """Frames of 100 samples, one of them 200; the repeats differ in their clock."""
    lasts = np.full(40, 100)
    lasts[20] = 200  # frame 20 stays on for two
    onsets = np.cumsum(np.concatenate([[1], lasts]))
    stimulus = np.arange(40) + 0.5
    # A spike at each frame's onset, out of order; another 150 samples into frame 20.
    running = [[*onsets[:-1][::-1], onsets[20] + 150], [onsets[3] + 99]]
    shown, first = [], []
    for repeat, clock in enumerate(([10, 11] * 4, [11, 10] * 4)):
        values = np.arange(8) + (0.0 if repeat else 90.0)  # repeat 1 is stored wrongly
        first.append(sum(len(x) for x in shown) + 1)
        shown.append(np.repeat(values, clock))
    bounds = [*first, sum(len(x) for x in shown) + 1]
    # The first sample of each frame, and the last of each: both stay in their frame.
    starts = [
        np.cumsum([first[0], *[10, 11] * 4])[:-1],
        np.cumsum([first[1], *[11, 10] * 4])[:-1],
    ]
    ends = [np.append(s[1:], b) - 1 for s, b in zip(starts, bounds[1:], strict=True)]
    repeated = [np.concatenate(starts), np.concatenate(ends)]

    def shown_file(path):
        both = np.stack([np.concatenate(shown), np.zeros(bounds[-1] - 1)])
        scipy.io.savemat(path, {"Extended": both, "bounds": np.array(bounds)[:, None]})

    files = {
        "stim.mat": lambda path: scipy.io.savemat(
            path, {"Stim": stimulus[None], "stimtimes": onsets[None, :-1]}
        ),
        "sp.mat": lambda path: units(path, "SpTimes", running),
        "rep.mat": lambda path: units(path, "RepSpTimes", repeated),
        "shown.mat": shown_file,
    }
    words = {"reader": "matlab_units", "lead": 2, "splits": UNIT_SPLITS}
    made = split(load(write(files, UNITS, **words)))
    clip = made.train[0]
    assert len(clip.stimulus) == 31  # 30 frames, one of them twice
    wanted = np.insert(stimulus[:30], 20, stimulus[20])
    np.testing.assert_array_equal(clip.stimulus, wanted.astype(np.float32))
    # Both rows of frame 20 hold one spike: at its onset, and 150 samples later.
    np.testing.assert_array_equal(clip.response[0, :, 0], np.ones(31))
    assert np.flatnonzero(clip.response[0, :, 1]).tolist() == [3]
    # Ranges count the file's frames: validation begins with frame 30 after 2 of lead.
    np.testing.assert_array_equal(
        made.validation[0].stimulus, stimulus[28:40].astype(np.float32)
    )
    test = made.test[0]
    np.testing.assert_array_equal(test.stimulus, np.arange(8, dtype=np.float32))
    np.testing.assert_array_equal(test.response, np.ones((2, 8, 2)))


# HDF5 --------------------------------------------------------------------------------

QUANTA = """
file = "a.hdf5"
stimulus = "stim"
counts = "r"
count_s = 0.01
cell = "one"
"""


def quanta(path, bins=30, axes=2):
    rng = np.random.default_rng(4)
    counts = rng.poisson(2.0, (2, bins))
    with h5py.File(path, "w") as file:
        file["stim"] = rng.uniform(0, 1, 300)
        file["r"] = counts.astype(float) if axes == 2 else counts[0].astype(float)


QUANTA_WORDS = {"reader": "hdf5_quanta", "frame_s": 0.001, "cells": 1, "lead": 10}
QUANTA_WORDS["extra"] = 'native_bin_s = 0.01\nevent = "quantum"'


def test_hdf5_quanta(write):
    made = split(load(write({"a.hdf5": quanta}, QUANTA, **QUANTA_WORDS)))
    assert made.spec.event == "quantum" and made.spec.bin_s == 0.01
    clip = made.train[0]
    assert clip.response.shape == (2, 20, 1) and clip.skip == 1
    counts = np.random.default_rng(4).poisson(2.0, (2, 30))
    np.testing.assert_array_equal(clip.response[..., 0], counts[:, :20])


@pytest.mark.parametrize(
    ("broken", "error", "said"),
    [
        (lambda path: quanta(path, bins=25), ShapeMismatch, r"0\.300 s.*0\.250 s"),
        (lambda path: quanta(path, axes=1), ShapeMismatch, "not the axes .trial, bin."),
        (text, UnreadableFile, "not a readable HDF5"),
    ],
)
def test_an_hdf5_file_that_does_not_fit(write, broken, error, said):
    with pytest.raises(error, match=said):
        load(write({"a.hdf5": broken}, QUANTA, **QUANTA_WORDS))


def test_a_truncated_hdf5_file(write):
    def broken(path):
        quanta(path)
        path.write_bytes(path.read_bytes()[:1000])

    with pytest.raises(UnreadableFile, match="not a readable HDF5"):
        load(write({"a.hdf5": broken}, QUANTA, **QUANTA_WORDS))


def test_an_hdf5_file_without_the_data_set(write):
    options = QUANTA.replace('"stim"', '"stimm"')
    with pytest.raises(UnreadableFile, match="no array 'stimm'.*'stim'"):
        load(write({"a.hdf5": quanta}, options, **QUANTA_WORDS))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            '"a.hdf5"',
            '"a.hdf5"\nstimulous = "stim"',
            "no option 'stimulous'.*'stimulus'",
        ),
        ('cell = "one"\n', "", "needs the option 'cell'"),
    ],
)
def test_an_option_that_the_reader_does_not_have(write, old, new, said):
    with pytest.raises(BadCard, match=said):
        load(write({"a.hdf5": quanta}, QUANTA.replace(old, new), **QUANTA_WORDS))


def test_splits_that_cut_a_count_bin_are_refused(write):
    from .conftest import SPLITS

    splits = SPLITS.replace("[10, 200]", "[15, 200]")
    with pytest.raises(BadCard, match="edges of the 0.01-s count bins"):
        load(write({"a.hdf5": quanta}, QUANTA, splits=splits, **QUANTA_WORDS))
