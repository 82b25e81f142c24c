"""Each question about a recording, asked of one that has just that fault."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from retina.data.caveats import SHIFTED
from retina.data.check import _spans
from retina.data.quality.ceiling import ceiling, ceilings
from retina.data.quality.clock import clock
from retina.data.quality.drift import drift
from retina.data.quality.fields import field, fields
from retina.data.quality.follows import _signal, follows
from retina.data.quality.intervals import intervals
from retina.data.quality.shared_spikes import shared_spikes, shares
from retina.data.quality.shift import alignment, averages, between_trials
from retina.data.quality.shifted import shifted
from retina.data.quality.silence import silence
from retina.data.quality.whole import whole
from retina.data.split import split
from retina.types import GRADED, Cell, Clip, Recording, Spec, Split

from .drawn import CELLS, FRAME_S, drawn_recording


@pytest.fixture(scope="module")
def sound() -> Recording:
    return drawn_recording()


def with_block(recording: Recording, index: int, **change) -> Recording:
    blocks = list(recording.blocks)
    blocks[index] = dataclasses.replace(blocks[index], **change)
    return dataclasses.replace(recording, blocks=tuple(blocks))


def all_of(recording: Recording):
    made = split(recording)
    found = averages(made)
    return [
        *clock(recording),
        *silence(recording),
        *intervals(recording),
        *shared_spikes(recording),
        *drift(made),
        *between_trials(made),
        *ceiling(made),
        *alignment(made, found),
        *follows(made, found),
        *fields(made, found.past),
    ]


def test_a_sound_recording_has_nothing_odd(sound):
    found = all_of(sound)
    assert {one.level for one in found} == {"ok"}
    about = {one.about for one in found}
    asked = {"clock", "silence", "intervals", "shared", "drift", "ceiling", "alignment"}
    assert about == asked
    assert shifted(split(sound)) == []


def test_a_lost_trigger_is_found(sound):
    block = sound.blocks[0]
    onsets = block.onsets_s.copy()
    onsets[701:] += FRAME_S
    (found,) = clock(with_block(sound, 0, onsets_s=onsets))
    assert found.level == "note"
    assert "frame 700 lasts 2 frames, from 35.000 s on" in found.text


def test_a_frame_shown_twice_is_found_and_flicker_of_two_values_is_not(sound):
    shown = sound.blocks[0].stimulus.copy()
    shown[901] = shown[900]
    (found,) = clock(with_block(sound, 0, stimulus=shown))
    assert "frame 901 (counted from 0) is the same" in found.text
    binary = np.sign(shown)
    assert [one.level for one in clock(with_block(sound, 0, stimulus=binary))] == ["ok"]


@pytest.mark.parametrize(("factor", "level"), [(1.002, "note"), (1.05, "wrong")])
def test_another_frame_rate_is_found(sound, factor, level):
    slow = with_block(sound, 0, onsets_s=sound.blocks[0].onsets_s * factor)
    (found,) = [one for one in clock(slow) if "the card says" in one.text]
    assert found.level == level


def test_a_silent_beginning_and_a_gap_are_found(sound):
    def without(start, end):
        return tuple(
            tuple(train[(train < start) | (train >= end)] for train in trial)
            for trial in sound.blocks[0].spikes
        )

    (found,) = silence(with_block(sound, 0, spikes=without(0, 0.9)))
    assert "in the first 0.9" in found.text and "history only" in found.text
    (found,) = silence(with_block(sound, 0, spikes=without(50, 52)))
    assert "from 49.9" in found.text or "from 50.0" in found.text
    assert "to 52.0" in found.text and "history" not in found.text


def test_a_dead_trial_and_a_mute_cell_are_found(sound):
    spikes = list(sound.blocks[2].spikes)
    spikes[3] = tuple(train[:5] for train in spikes[3])
    mute = spikes[1]
    spikes[1] = (mute[0], np.empty(0), mute[2])
    texts = [one.text for one in silence(with_block(sound, 2, spikes=tuple(spikes)))]
    assert any("trial 4 holds 15 events" in text for text in texts)
    assert any("silent in some trials" in text and "cell b" in text for text in texts)


def test_units_that_share_spikes_are_found(sound):
    spikes = sound.blocks[0].spikes[0]
    rng = np.random.default_rng(5)
    # Of a's spikes, four fifths once more in b, off by less than 2 ms.
    copied = spikes[0][rng.random(len(spikes[0])) < 0.8]
    twin = np.sort(copied + rng.uniform(-0.0019, 0.0019, len(copied)))
    changed = with_block(sound, 0, spikes=((spikes[0], twin, spikes[2]),))
    (found,) = shared_spikes(changed)
    assert found.level == "note" and found.text.startswith("1 pairs")
    assert "a and b" in found.text and "1 pairs share as much" in found.text


def test_shares_are_those_of_every_pair_counted_by_hand():
    rng = np.random.default_rng(1)
    base = np.sort(rng.uniform(0, 20, 300))
    trains = [
        base,
        np.sort(base[:200] + rng.normal(0, 1e-3, 200)),
        np.sort(rng.uniform(0, 20, 100)),
        np.empty(0),
    ]
    found = shares(trains)
    for i, one in enumerate(trains[:3]):
        for j, other in enumerate(trains[:3]):
            if i == j:
                assert np.isnan(found[i, j])
                continue
            by_hand = np.mean(np.abs(one[:, None] - other).min(1) <= 2e-3)
            if by_hand >= 0.25:
                assert found[i, j] == by_hand
            else:
                assert found[i, j] in (0, by_hand)
    assert np.isnan(found[3]).all()
    assert found[1, 0] > 0.9


def test_counts_cannot_tell_shared_spikes(sound):
    blocks = tuple(
        dataclasses.replace(
            block,
            spikes=None,
            counts=np.ones((block.trials, len(block.stimulus), CELLS), np.float32),
            count_s=FRAME_S,
        )
        for block in sound.blocks
    )
    (found,) = shared_spikes(dataclasses.replace(sound, blocks=blocks))
    assert "is not known" in found.text


def test_drift_of_one_cell_is_found(sound):
    rng = np.random.default_rng(6)
    spikes = sound.blocks[0].spikes[0]
    end = sound.blocks[0].onsets_s[-1]
    kept = spikes[1][rng.random(len(spikes[1])) > spikes[1] / end]
    changed = with_block(sound, 0, spikes=((spikes[0], kept, spikes[2]),))
    (found,) = drift(split(changed))
    assert found.level == "note" and "cell b (1 of 3 cells" in found.text


@pytest.mark.parametrize("by", [-1, 1, 2])
def test_a_part_whose_frames_are_shifted_is_found(sound, by):
    late = with_block(sound, 2, stimulus=np.roll(sound.blocks[2].stimulus, by))
    made = split(late)
    (found,) = [one for one in alignment(made, averages(made)) if one.level == "wrong"]
    # Frames that are stored late make the events look early.
    words = f"{abs(by)} bin{'s' if abs(by) > 1 else ''} {'early' if by > 0 else 'late'}"
    assert found.text.startswith("test 'frozen'") and words in found.text
    (said,) = shifted(made)  # what a fit says of it by itself
    assert said.startswith(SHIFTED) and found.text in said and "two clocks" in said


def test_a_fit_says_that_all_frames_are_late(sound):
    blocks = tuple(
        dataclasses.replace(block, stimulus=np.roll(block.stimulus, 4))
        for block in sound.blocks
    )
    made = split(dataclasses.replace(sound, blocks=blocks))
    (said,) = shifted(made)
    assert said.startswith(SHIFTED) and "in frames that came after" in said
    # Of other numbers than events no average is sure; too few of them say nothing.
    graded = dataclasses.replace(made.spec, event=GRADED)
    assert shifted(dataclasses.replace(made, spec=graded)) == []
    (clip,) = made.train
    cut = {"stimulus": clip.stimulus[:900], "response": clip.response[:, :900]}
    few = (dataclasses.replace(clip, **cut),)
    assert shifted(dataclasses.replace(made, train=few)) == []


def test_cells_that_follow_nothing_are_on_another_clock(sound):
    """Frames of another hour, and events that no trial shares."""

    def told(recording):
        made = split(recording)
        return [(f.level, f.text[:29]) for f in follows(made, averages(made))]

    none = "no cell follows the stimulus:"
    other = with_block(sound, 0, stimulus=np.roll(sound.blocks[0].stimulus, 900))
    assert told(other) == []  # the repeats are alike: it is not the clock
    late = tuple(
        tuple((train + 1.7 * n) % 30.0 for train in trial)
        for n, trial in enumerate(sound.blocks[2].spikes)
    )
    late = tuple(tuple(map(np.sort, trial)) for trial in late)
    assert told(with_block(other, 2, spikes=late)) == [("wrong", none)]
    assert told(with_block(other, 2, spikes=late[:2])) == [("note", none)]
    assert told(with_block(sound, 2, spikes=late)) == []


def test_repeats_of_few_events_say_nothing():
    """No two of them in one bin, as many in each piece: that is no knowledge."""
    response = np.zeros((5, 800, 1), np.float32)
    response[np.arange(16) % 5, np.arange(16) * 50, 0] = 1

    def signal(response):
        clip = Clip("a", np.arange(800.0), response, skip=0, group="a")
        return _signal([clip])

    found = signal(response)
    assert found is not None and found[0] + 3 * found[1] > 1
    assert signal(np.zeros_like(response)) is None


def test_a_grey_test_part_does_not_speak_for_another(sound, monkeypatch):
    made = split(with_block(sound, 0, stimulus=np.roll(sound.blocks[0].stimulus, 900)))
    shares = iter([(0.2, 0.1), (0.0, 0.001)])
    monkeypatch.setattr("retina.data.quality.follows._signal", lambda _: next(shares))
    two = (*made.test, dataclasses.replace(made.test[0], name="b", group="grey"))
    made = dataclasses.replace(made, test=two)
    (found,) = follows(made, averages(made))
    assert found.level == "note"


def test_spikes_listed_twice_are_found(sound):
    a, *others = sound.blocks[0].spikes[0]
    twice = ((np.sort(np.concatenate([a, a])), *others),)
    (found,) = intervals(with_block(sound, 0, spikes=twice))
    assert found.level == "note" and "at the same time" in found.text
    assert "cell a 0.4" in found.text and "cell b" not in found.text
    near = ((np.sort(np.concatenate([a, a + 5e-4])), *others),)
    (found,) = intervals(with_block(sound, 0, spikes=near))
    assert "within 1 ms" in found.text and "cell a 0.5:" in found.text


def test_chance_beside_a_grey_block_is_no_shift():
    """Spikes that heed no stimulus, of which the first block shows none."""
    rng = np.random.default_rng(0)
    shown = np.zeros(500, np.float32), rng.standard_normal(3000, dtype=np.float32)
    counts = [rng.poisson(0.2, (1, len(x), 3)).astype(np.float32) for x in shown]
    grey, noise = map(Clip, ("grey", "noise"), shown, counts)
    made = Split(Spec((), 3, 0.01), (grey, noise), (noise,), (noise,))
    assert shifted(made) == []


def test_a_peak_of_chance_in_few_cells_is_not_called_wrong():
    rng = np.random.default_rng(2)
    shown = rng.standard_normal((1500, 3)).astype(np.float32)
    counts = rng.poisson(0.05, (1, 1500, 12)).astype(np.float32)
    cells = tuple(Cell(str(n)) for n in range(12))
    noise = Clip("noise", shown, counts, skip=3)
    made = Split(Spec((3,), 12, 0.1), (noise,), (), (), cells=cells)
    found = list(alignment(made, averages(made)))
    assert any("after the events: by chance" in one.text for one in found)
    assert all(one.level == "note" for one in found)


def test_a_trial_that_began_late_is_found(sound):
    spikes = list(sound.blocks[2].spikes)
    spikes[4] = tuple(train[train < 29] + FRAME_S for train in spikes[4])
    (found,) = between_trials(split(with_block(sound, 2, spikes=tuple(spikes))))
    assert found.level == "note" and "trial 5 by +1" in found.text


def test_a_cell_whose_repeats_say_nothing_is_named(sound):
    rng = np.random.default_rng(7)
    spikes = [
        (trial[0], np.sort(rng.uniform(0, 30, 200)), trial[2])
        for trial in sound.blocks[2].spikes
    ]
    made = split(with_block(sound, 2, spikes=tuple(spikes)))
    reached = ceilings(made)["frozen"]
    assert np.isnan(reached[1]) or reached[1] < 0.5
    assert reached[0] > 0.8 and reached[2] > 0.8
    notes = [one.text for one in ceiling(made) if one.level == "note"]
    assert len(notes) == 1 and "cell b" in notes[0]
    (each,) = [dict(one.per_cell) for one in ceiling(made) if one.per_cell]
    assert list(each) == ["a", "b", "c"]
    np.testing.assert_array_equal(list(each.values()), reached)


def test_a_mean_over_trials_is_no_count(sound):
    counts = np.ones((2, len(sound.blocks[1].stimulus), CELLS))
    given = {"spikes": None, "count_s": FRAME_S}
    counted = with_block(sound, 1, counts=counts.copy(), **given)
    assert not list(whole(counted))
    counts[1, 7:9, 2] = 1.25
    broken = with_block(sound, 1, counts=counts, **given)
    (found,) = whole(broken)
    assert found.level == "note" and "2 of 3600 counts" in found.text
    assert "the first is 1.25; cell c: a mean over trials" in found.text
    assert not list(whole(dataclasses.replace(broken, event="graded")))


def test_rates_stored_as_counts_are_found(sound):
    blocks = []
    for block in sound.blocks:
        shape = (block.trials, len(block.stimulus), CELLS)
        counts = np.random.default_rng(0).poisson(1.0, shape).astype(np.float32)
        more = {"spikes": None, "count_s": FRAME_S}
        blocks.append(dataclasses.replace(block, counts=counts, **more))
    counted = dataclasses.replace(sound, blocks=tuple(blocks))
    assert not list(whole(counted)) and not list(_spans(counted, ""))
    for block in counted.blocks:
        block.counts[:] *= 20
    (found,) = whole(counted)
    assert found.level == "note" and "of 20, and a bin lasts 1/20 s" in found.text
    (found,) = _spans(counted, "")
    assert "spikes/s per cell" in found.text


@pytest.mark.parametrize("sign", [-1, 1])
def test_a_gaussian_field_is_found_again(sign):
    rng = np.random.default_rng(3)
    rows, columns = np.indices((24, 30))
    along = np.cos(0.6) * (columns - 17.3) + np.sin(0.6) * (rows - 9.4)
    across = -np.sin(0.6) * (columns - 17.3) + np.cos(0.6) * (rows - 9.4)
    past = rng.normal(0, 0.02, (8, 24, 30))
    past[3] += sign * np.exp(-0.5 * ((along / 3.0) ** 2 + (across / 1.5) ** 2))
    found = field(past)
    assert found is not None and found.lag == 3
    # Noise of 0.02 on some 40 pixels leaves a centre known to about a twentieth.
    np.testing.assert_allclose(found.centre, (9.4, 17.3), atol=0.1)
    np.testing.assert_allclose(found.sd, (3.0, 1.5), rtol=0.06)
    assert found.angle == pytest.approx(0.6, abs=0.05)
    assert found.amplitude * sign == pytest.approx(1, abs=0.05)
    assert found.explained > 0.9
    assert found.sd_um is None and found.centre_um is None
    large = dataclasses.replace(found, pixel_um=30.0)
    assert large.sd_um is not None and large.centre_um is not None
    np.testing.assert_allclose(large.sd_um, (90.0, 45.0), rtol=0.06)
    np.testing.assert_allclose(large.centre_um, (282.0, 519.0), atol=3.0)


def test_noise_has_no_field():
    past = np.random.default_rng(4).normal(0, 1, (8, 12, 12))
    assert field(past) is None


def test_a_test_block_without_a_group_is_told_by_its_name(sound):
    """As it is scored: not with others, and not as validation."""
    made = split(with_block(sound, 2, group=""))
    assert list(ceilings(made)) == ["test"]
    told = [one.text for one in alignment(made, averages(made))]
    assert sum(text.startswith("test 'test': ") for text in told) == 1
