"""Bins, clocks and what the training stimulus tells the model."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from retina import build
from retina.data.split import split
from retina.errors import BadResponse, BadSetting, BadStimulus
from retina.fitting.checks import short_lead
from retina.types import Block, Cell, Clip, Recording

FRAME_S = 1 / 30


def recording(blocks, cells=2, **words):
    words = {"frame_s": FRAME_S, "coding": "contrast"} | words
    names = tuple(Cell(str(i)) for i in range(cells))
    return Recording("made", "none", names, tuple(blocks), **words)


def flicker(role="train", frames=90, lead=9, seed=0, shape=(), jitter=0.0):
    """A block with uneven frames and two busy cells, three trials."""
    rng = np.random.default_rng(seed)
    lasts = FRAME_S * (1 + jitter * rng.uniform(-1, 1, frames))
    onsets = 7.0 + np.concatenate([[0], np.cumsum(lasts)])
    spikes = tuple(
        tuple(np.sort(rng.uniform(onsets[0], onsets[-1], 400)) for _ in range(2))
        for _ in range(3)
    )
    stimulus = rng.choice(np.array([-1, 1], np.int8), (frames, *shape))
    return Block(role, role, stimulus, onsets, spikes, lead=lead, group="g")


def test_one_bin_per_frame_counts_from_onset_to_onset():
    block = flicker(jitter=0.2)
    clip = split(recording([block])).train[0]
    assert block.spikes is not None
    for t, trial in enumerate(block.spikes):
        for c, train in enumerate(trial):
            wanted, _ = np.histogram(train, block.onsets_s)
            np.testing.assert_array_equal(clip.response[t, :, c], wanted)
    assert clip.skip == 9 and clip.response.dtype == np.float32


def test_an_event_on_an_onset_belongs_to_the_frame_that_begins():
    block = flicker(frames=20)
    at = block.onsets_s[[0, 5, 5, 19]]
    spikes = ((np.append(at, block.onsets_s[20]), at),)
    made = Block("b", "train", block.stimulus, block.onsets_s, spikes)
    counts = split(recording([made])).train[0].response[0, :, 0]
    assert counts.sum() == 4  # the end of the last frame is outside
    assert counts[[0, 5, 19]].tolist() == [1, 2, 1]


def test_integers_stay_integers_and_nothing_is_copied():
    block = flicker(shape=(4, 5))
    clip = split(recording([block])).train[0]
    assert clip.stimulus.dtype == np.int8
    assert np.shares_memory(clip.stimulus, block.stimulus)


@pytest.mark.parametrize("bin_s", [0.010, 0.001, FRAME_S / 4.5])
def test_shorter_bins_hold_the_stimulus(bin_s):
    block = flicker(jitter=0.1)
    assert block.spikes is not None
    clip = split(recording([block]), bin_s).train[0]
    bins = len(clip.stimulus)
    starts = block.onsets_s[0] + np.arange(bins) * bin_s
    on = [int(np.flatnonzero(block.onsets_s <= s + 1e-9)[-1]) for s in starts]
    np.testing.assert_array_equal(clip.stimulus, block.stimulus[on])
    # Every event inside the bins is counted once.
    stop = starts[-1] + bin_s
    inside = sum(int((train < stop).sum()) for train in block.spikes[0])
    assert clip.response[0].sum() == inside
    # The first scored bin is the first that begins when a scored frame is on.
    assert starts[clip.skip] >= block.onsets_s[9] - 1e-9
    assert starts[clip.skip - 1] < block.onsets_s[9]


def test_an_event_on_an_edge_of_a_short_bin_falls_into_the_later_one():
    """Times on a 0.1-ms clock lie on the edges of 1-ms bins, up to rounding."""
    frames = 30
    onsets = np.arange(frames + 1) / 10
    train = np.arange(0, 30000, 10) / 1e4  # one at the start of every millisecond
    block = Block("b", "train", np.arange(frames) % 3 - 1, onsets, ((train,),))
    clip = split(recording([block], 1, frame_s=0.1), 0.001).train[0]
    assert clip.response[0, :, 0].tolist() == [1.0] * 3000


def test_longer_bins_add_counts_and_average_the_stimulus():
    block = flicker(frames=91, lead=10)
    one = split(recording([block])).train[0]
    three = split(recording([block]), 3 * FRAME_S).train[0]
    # 10 = 1 + 3 x 3: the first frame is dropped, and scoring begins with a bin.
    assert three.skip == 3 and len(three.stimulus) == 30
    np.testing.assert_array_equal(
        three.response, one.response[:, 1:].reshape(3, 30, 3, 2).sum(2)
    )
    np.testing.assert_allclose(
        three.stimulus, one.stimulus[1:].reshape(30, 3).mean(1), rtol=1e-6
    )


def test_the_lead_of_longer_bins_is_told_in_frames():
    made = split(recording([flicker(), flicker("validation")]), 2 * FRAME_S)
    (said,) = short_lead(build.model("ln", made.spec, lags=13, rank=None), made)
    assert "looks back 12 bins, but only 4" in said and "(lead = 24 on the card" in said


def counted(count_s, bins, frames=300, frame_s=0.001, lead=0):
    rng = np.random.default_rng(1)
    counts = rng.poisson(2.0, (2, bins, 1))
    stimulus = rng.uniform(0, 1, frames).astype(np.float32)
    onsets = np.arange(frames + 1) * frame_s
    block = Block(
        "c", "train", stimulus, onsets, None, counts, count_s=count_s, lead=lead
    )
    return recording([block], 1, frame_s=frame_s, native_bin_s=count_s, coding="light")


def test_published_counts_set_the_clock():
    made = counted(0.01, 30, lead=60)
    clip = split(made).train[0]
    assert clip.response.shape == (2, 30, 1) and clip.skip == 6
    wanted = made.blocks[0].stimulus.reshape(30, 10).mean(1)
    np.testing.assert_allclose(clip.stimulus, wanted, rtol=1e-6)
    twice = split(made, 0.02).train[0]
    assert twice.skip == 3
    counts = made.blocks[0].counts
    assert counts is not None
    np.testing.assert_array_equal(
        twice.response[..., 0], counts.reshape(2, 15, 2).sum(2)
    )


def test_counts_finer_than_frames_hold_the_stimulus():
    made = counted(0.01, 90, frames=30, frame_s=0.03)
    clip = split(made).train[0]
    np.testing.assert_array_equal(clip.stimulus, np.repeat(made.blocks[0].stimulus, 3))


@pytest.mark.parametrize(
    ("bin_s", "said"),
    [
        (0.005, "publishes counts per 0.01 s"),
        (0.025, "not a multiple"),
        (0.0, "above 0"),
        (float("nan"), "above 0"),
    ],
)
def test_a_clock_that_the_recording_cannot_give(bin_s, said):
    with pytest.raises(BadSetting, match=said):
        split(counted(0.01, 30), bin_s)


def test_spikes_cannot_be_binned_to_one_and_a_half_frames():
    with pytest.raises(BadSetting, match="not a multiple.*leave bin_s out"):
        split(recording([flicker()]), 1.5 * FRAME_S)


def test_only_training_sets_mean_and_sd():
    rng = np.random.default_rng(2)
    blocks = []
    for role, mean in (("train", 3.0), ("validation", 50.0), ("test", -50.0)):
        block = flicker(role)
        light = (mean + 2 * rng.standard_normal(90)).astype(np.float32)
        blocks.append(
            Block(role, role, light, block.onsets_s, block.spikes, lead=9, group="g")
        )
    spec = split(recording(blocks, coding="light")).spec
    # What is shown before the first fitted bin may belong to another role.
    fitted = blocks[0].stimulus[9:]
    np.testing.assert_allclose(spec.stimulus_mean, fitted.mean(), 1e-5)
    np.testing.assert_allclose(spec.stimulus_sd, fitted.std(), 1e-5)
    plain = split(recording(blocks, coding="contrast")).spec
    assert (plain.stimulus_mean, plain.stimulus_sd) == (0.0, 1.0)


def test_a_constant_stimulus_is_refused():
    block = flicker()
    grey = Block(
        "b", "train", np.ones(90, np.float32), block.onsets_s, block.spikes, lead=9
    )
    with pytest.raises(BadStimulus, match="constant"):
        split(recording([grey], coding="light"))


@pytest.mark.parametrize("coding", ["light", "contrast"])
def test_an_image_that_never_changes_is_refused(coding):
    """It varies from pixel to pixel, which is not what is meant."""
    block = flicker()
    still = np.tile(np.arange(6, dtype=np.float32).reshape(2, 3), (90, 1, 1))
    made = Block("b", "train", still, block.onsets_s, block.spikes, lead=9)
    with pytest.raises(BadStimulus, match="constant.*no pixel changes"):
        split(recording([made], coding=coding))


@pytest.mark.parametrize(
    ("low", "high", "odd"),
    [(-1, 1, 0), (-0.48, 0.48, 0), (0, 1, 1), (0, 255, 1), (-100, 100, 1)],
)
def test_light_that_is_called_contrast_is_told_with_what_to_write(low, high, odd):
    block = flicker()
    values = np.array([low, high], np.float32)
    shown = values[np.random.default_rng(3).integers(0, 2, 90)]
    made = Block("b", "train", shown, block.onsets_s, block.spikes, lead=9)
    notes = split(recording([made], coding="contrast")).notes
    assert len(notes) == odd
    assert all('write coding = "light"' in note for note in notes)
    assert not split(recording([made], coding="light")).notes


def test_a_silent_cell_is_named_with_what_to_type():
    block = flicker(lead=30)
    assert block.spikes is not None
    early = block.onsets_s[[3, 4]]  # spikes in the history only
    spikes = tuple((trial[0], early) for trial in block.spikes)
    made = Block("b", "train", block.stimulus, block.onsets_s, spikes, lead=30)
    with pytest.raises(BadResponse, match=r"cell 1 has no spike.*--cells=-1 "):
        split(recording([made]))


@pytest.mark.parametrize(
    ("frames", "lead", "bin_s"),
    [
        (90, 9, 100 * FRAME_S),  # longer than the block
        (90, 85, 10 * FRAME_S),  # than what follows its lead
        (10, 9, 0.99 * FRAME_S),  # than what is left over at the block's end
    ],
)
def test_a_bin_that_does_not_fit_into_a_block_is_refused(frames, lead, bin_s):
    with pytest.raises(BadSetting, match=r"block 'train'.*bin_s = \S+ is longer"):
        split(recording([flicker(frames=frames, lead=lead)]), bin_s)


def test_a_cell_silent_in_validation_is_told():
    """Its spikes in the history do not count; a wholly silent block is for `fit`."""
    train, held_out = flicker(lead=30), flicker("validation", lead=30)
    assert held_out.spikes is not None
    early = held_out.onsets_s[[3, 4]]
    for silent, notes in (((), 0), ((1,), 1), ((0, 1), 0)):
        spikes = tuple(
            tuple(early if c in silent else train for c, train in enumerate(trial))
            for trial in held_out.spikes
        )
        made = split(recording([train, dataclasses.replace(held_out, spikes=spikes)]))
        assert len(made.notes) == notes
        assert all("cell 1 has no spike in the validation" in n for n in made.notes)


def test_each_trial_is_a_clip_of_its_own():
    blocks = [
        dataclasses.replace(flicker(seed=i, frames=40 + i), name=str(i))
        for i in range(3)
    ]
    made = split(recording(blocks))
    assert [len(clip.stimulus) for clip in made.train] == [40, 41, 42]
    assert all(clip.skip == 9 for clip in made.train)


def test_counts_that_begin_inside_a_bin_are_refused():
    """Else they would be held against light of up to half a count bin away."""
    frames, each = 200, 10
    onsets = np.arange(frames + 1) * 1e-3
    counts = np.ones((1, frames // each, 2))
    block = Block(
        *("b", "train", np.arange(frames, dtype=np.float32), onsets),
        counts=counts,
        count_s=each * 1e-3,
        lead=65,
    )
    with pytest.raises(BadSetting, match="0.50 count bins"):
        split(recording([block], frame_s=1e-3, native_bin_s=each * 1e-3))


def test_names_are_given_once():
    with pytest.raises(BadResponse, match="two blocks are named 'train'"):
        recording([flicker(), flicker(seed=1)])
    twice = (Cell("a"), Cell("a"))
    with pytest.raises(BadResponse, match="two cells are named 'a'"):
        Recording("made", "none", twice, (flicker(),), FRAME_S)


@pytest.mark.parametrize("count", [-1.0, np.nan, np.inf])
def test_counts_that_nothing_can_have_are_refused_where_they_are_made(count):
    counts = np.ones((1, 5, 2), np.float32)
    counts[0, 3, 1] = count
    said = f"1 counts are .*{count} at trial 0, bin 3, cell 1"
    with pytest.raises(BadResponse, match=said):
        Clip("c", np.zeros(5), counts)
    with pytest.raises(BadResponse, match=said):
        onsets = np.arange(6.0)
        Block("b", "train", np.zeros(5), onsets, counts=counts, count_s=1.0)
    Clip("c", np.zeros(5), np.full((1, 5, 2), 0.25, np.float32))  # a mean over trials
