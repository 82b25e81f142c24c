"""Frames that stayed on for several, of readers whose files say when each began."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.io

from retina.data import held
from retina.data.check import check
from retina.data.export import export
from retina.data.held import on_the_clock
from retina.data.load import load
from retina.data.parts import Part
from retina.data.split import split

from . import layouts
from .conftest import card_text

FRAMES, LONG = 60, {12: 2, 33: 3}  # frame -> frames that it stayed on for
ROWS = np.array([LONG.get(frame, 1) for frame in range(FRAMES)])
SHOWN = np.random.default_rng(0).standard_normal(FRAMES).astype(np.float32)
JITTER = np.random.default_rng(1).uniform(-0.01, 0.01, FRAMES + 1)  # of 0.1 s
ONSETS = 5 + np.concatenate([[0], np.cumsum(ROWS)]) * 0.1 + JITTER
# Of cell 0 a spike at the middle of each tick of the clock; of cell 1 one at the onset
# of every frame: what stayed on for three has one of the latter, three of the former.
TICKS = np.concatenate(
    [a + (b - a) * (np.arange(n) + 0.5) / n
     for a, b, n in zip(ONSETS[:-1], ONSETS[1:], ROWS, strict=True)]
)  # fmt: skip
SPIKES = np.concatenate([TICKS, ONSETS[:-1]])
CELLS = np.repeat([0, 1], [len(TICKS), FRAMES])
SPLITS = """
[[splits]]
role = "train"
frames = [2, 30]

[[splits]]
role = "validation"
frames = [30, 40]

[[splits]]
role = "test"
group = "running"
frames = [42, 60]
"""


def npz(folder):
    named = {"stimulus": SHOWN, "onsets_s": ONSETS}
    np.savez(folder / "a.npz", **named, spike_s=SPIKES, spike_cell=CELLS)
    return ["a.npz"], 'file = "a.npz"'


def csv(folder):
    np.savez(folder / "shown.npz", light=SHOWN, onset=ONSETS)
    rows = [f"{c},{t!r}\n" for t, c in zip(SPIKES.tolist(), CELLS, strict=True)]
    (folder / "a.csv").write_text("cell,time_s\n" + "".join(rows))
    options = 'spikes = "a.csv"\nstimulus = ["shown.npz", "light"]\n'
    return ["a.csv", "shown.npz"], options + 'onsets = ["shown.npz", "onset"]'


def matlab5(folder):
    named = {"light": SHOWN, "onset": ONSETS, "time": SPIKES, "unit": CELLS + 1.0}
    scipy.io.savemat(folder / "a.mat", named)
    options = 'file = "a.mat"\nfirst = 1\n[options.parts.""]\nstimulus_axes = "frame"\n'
    options += 'stimulus = "light"\nonsets = "onset"\n'
    return ["a.mat"], options + 'spike_s = "time"\nspike_cell = "unit"'


def matlab_trains(folder):
    cells = np.empty((1, 2), object)
    for cell in range(2):
        cells[0, cell] = SPIKES[CELLS == cell][:, None]
    named = {"light": SHOWN, "onset": ONSETS[:-1], "trains": cells}
    scipy.io.savemat(folder / "a.mat", named)
    options = 'stimulus = ["a.mat", "light"]\nonsets = ["a.mat", "onset"]\n'
    return ["a.mat"], options + 'spikes = ["a.mat", "trains"]'


def write(cache, layout, **words):
    folder = cache / "small"
    folder.mkdir(exist_ok=True)
    names, options = layout(folder)
    card = cache / "small.toml"
    given = {"reader": layout.__name__, "splits": SPLITS, "lead": 2, **words}
    files = {name: folder / name for name in names}
    card.write_text(card_text(files, options, **given))
    return card


@pytest.mark.parametrize("reader", [npz, csv, matlab5, matlab_trains])
def test_a_frame_that_stayed_on_is_a_row_for_each_tick(cache, reader):
    recording = load(write(cache, reader))
    (note,) = recording.notes
    assert note == (
        "frame 12 (2), 33 (3) stayed on for so many frames: each becomes as many rows"
    )
    made = split(recording)
    # The splits count the file's frames.
    for clip, (first, last) in zip(
        (*made.train, *made.validation, *made.test),
        ((0, 30), (28, 40), (40, 60)),
        strict=True,
    ):
        rows = ROWS[first:last]
        wanted = np.repeat(SHOWN[first:last].ravel(), rows)
        np.testing.assert_array_equal(clip.stimulus.ravel(), wanted)
        began = np.concatenate([[1] + [0] * (n - 1) for n in rows])
        np.testing.assert_array_equal(clip.response[0, :, 0], 1)
        np.testing.assert_array_equal(clip.response[0, :, 1], began)


def test_it_is_told_by_check_and_exported_as_it_is(cache, tmp_path):
    card = write(cache, npz)
    told = [one for one in check(card) if one.about == "read"]
    assert [one.level for one in told] == ["note"] and "33 (3)" in told[0].text
    _, beside = export(card, tmp_path / "mine.h5", "hdf5")
    for one, two in zip(load(card).blocks, load(beside).blocks, strict=True):
        np.testing.assert_array_equal(one.stimulus, two.stimulus)
        np.testing.assert_array_equal(one.onsets_s, two.onsets_s)


def test_counts_on_their_own_clock_meet_the_frames_they_belong_to(cache):
    """Count bins go on by 0.1 s through a frame of 0.3 s: each is its row's."""
    onsets = np.concatenate([[0], np.cumsum(ROWS)]) * 0.1
    said = np.arange(ROWS.sum())[None, :, None] % 7

    def npz(folder):
        named = {"stimulus": SHOWN, "onsets_s": onsets, "count_s": np.array(0.1)}
        np.savez(folder / "a.npz", **named, counts=said)
        return ["a.npz"], 'file = "a.npz"'

    made = split(load(write(cache, npz, cells=1)))
    clip = made.validation[0]
    np.testing.assert_array_equal(clip.stimulus, np.repeat(SHOWN[28:40], ROWS[28:40]))
    # 28 frames before it lasted 29 ticks.
    np.testing.assert_array_equal(clip.response, said[:, 29:43])


def test_a_pause_ends_a_block_and_no_history_crosses_it(cache):
    gap = ONSETS + np.where(np.arange(FRAMES + 1) > 20, 7.0, 0)  # after frame 20
    spikes = np.sort(
        np.append((gap[:-1] + gap[1:])[:20] / 2, gap[20] + np.arange(70) / 10)
    )
    spikes = np.append(spikes, [gap[21] + 0.05, gap[40] + 0.05])

    def npz(folder):
        named = {"stimulus": SHOWN, "onsets_s": gap, "spike_s": spikes}
        cell = np.zeros(len(spikes), int)
        np.savez(folder / "a.npz", **named, spike_cell=cell)
        return ["a.npz"], 'file = "a.npz"'

    recording = load(write(cache, npz, cells=1))
    assert (
        "from frame 20 on" in recording.notes[0]
        and "lasts 70.9 frames" in recording.notes[0]
    )
    before, after = split(recording).train
    assert len(before.stimulus) == 22 and len(after.stimulus) == 9  # 12 is two rows
    # Frame 20 ends after 0.1 s: of the 70 spikes of the pause it holds one.
    assert before.response[0, -1, 0] == 1
    np.testing.assert_array_equal(after.stimulus, SHOWN[21:30])
    assert after.skip == 2 and after.response[0, :, 0].tolist() == [1] + [0] * 8


def test_the_frame_before_a_beginning_lasts_one():
    """What begins anew later leaves a gap, through which no frame stayed on."""
    onsets = np.array([0, 1, 2, 7, 8, 10, 11.0])
    made, notes = on_the_clock(Part(np.arange(6), onsets, begin=(0, 3)), 1.0)
    assert made.stimulus.tolist() == [0, 1, 2, 3, 4, 4, 5] and made.begin == (0, 3)
    assert made.onsets_s.tolist() == [0, 1, 2, 7, 8, 9, 10, 11]
    assert len(notes) == 1 and "frame 4 (2)" in notes[0]


def test_a_time_that_came_late_doubles_no_frame():
    onsets = np.arange(21.0)
    onsets[7] += 0.7
    made, notes = on_the_clock(Part(np.arange(20), onsets), 1.0)
    assert made.stimulus.tolist() == list(range(20)) and not notes


def test_a_stretch_in_which_most_frames_stayed_on():
    """Its own usual frame would be two."""
    onsets = np.append(np.arange(21.0), 20 + 2 * np.arange(1, 6))
    made, _ = on_the_clock(Part(np.arange(25), onsets, begin=(0, 20)), 1.0)
    wanted = [*range(20), *np.repeat(np.arange(20, 25), 2)]
    assert made.stimulus.tolist() == wanted and made.begin == (0, 20)


def test_a_frame_that_lasts_longer_than_the_card_says_is_told():
    _, (note,) = on_the_clock(Part(np.arange(30), np.arange(31) * 1.03), 1.0)
    assert "lasts 1.03 s by their times, but frame_s = 1 on the card" in note


def missed(folder):
    """A pulse for each frame and one for the end, of which one was not recorded."""
    names, options = csv(folder)
    clock = np.delete(5 + np.arange(FRAMES + 1) * 0.1, 20)
    np.savez(folder / "shown.npz", light=SHOWN, onset=clock)
    return names, options


def test_a_lone_long_interval_says_what_is_taken_for_granted(cache):
    (note,) = load(write(cache, missed, reader="csv")).notes
    assert "frame 19 (2) stayed on" in note and "write missed_pulses = true" in note
    card = write(cache, missed, reader="csv", extra="missed_pulses = true")
    recording = load(card)
    assert not recording.notes
    for block, (first, last) in zip(
        recording.blocks, ((0, 30), (28, 40), (40, 60)), strict=True
    ):
        np.testing.assert_array_equal(block.stimulus, SHOWN[first:last])
        wanted = 5 + np.arange(first, last + 1) * 0.1
        np.testing.assert_allclose(block.onsets_s, wanted)


def test_counts_of_frames_that_jitter_are_of_their_frames(cache):
    """A count for each frame, and the times at which the frames really came."""
    said = np.arange(FRAMES)[None, :, None] % 7
    clock = 5 + np.arange(FRAMES + 1) * 0.1 + JITTER

    def npz(folder):
        named = {"stimulus": SHOWN, "onsets_s": clock, "count_s": np.array(0.10003)}
        np.savez(folder / "a.npz", **named, counts=said)
        return ["a.npz"], 'file = "a.npz"'

    made = split(load(write(cache, npz, cells=1)))
    np.testing.assert_array_equal(made.validation[0].response, said[:, 28:40])


def test_a_mapped_movie_keeps_its_rows(tmp_path):
    np.save(tmp_path / "movie.npy", layouts.movie(3))
    shown = np.load(tmp_path / "movie.npy", mmap_mode="r")
    part = Part(shown, np.array([0, 1, 3, 4.0]))
    made, (note,) = on_the_clock(part, 1.0)
    assert made.stimulus is shown and "keeps its rows" in note


def test_where_a_split_ends_does_not_cut_a_row_that_was_kept(cache, monkeypatch):
    """Frame 12 stayed on for two, and is the last of training."""
    monkeypatch.setattr(held, "mapped", lambda stimulus: True)
    card = write(cache, npz)
    card.write_text(card.read_text().replace("[2, 30]", "[2, 13]"))
    (block,) = load(card).role("train")
    assert np.diff(block.onsets_s)[-1] == pytest.approx(0.2, abs=0.03)
    assert len(block.spikes[0][0]) == ROWS[:13].sum()
