"""What is tested may not have been fitted: told without `retina check` as well."""

from __future__ import annotations

import dataclasses
import time

import jax
import numpy as np
import pytest

import retina
from retina.data import leak
from retina.data.check import check
from retina.errors import BadCard, Leak
from retina.types import Clip, Spec, Split

from .conftest import SPLITS, arrays


def clip(name: str, stimulus: np.ndarray) -> Clip:
    response = np.ones((1, len(stimulus), 1), np.float32)
    return Clip(name, np.asarray(stimulus), response)


def split(train: np.ndarray, test: np.ndarray) -> Split:
    spec = Spec(train.shape[1:], 1, 0.01, dataset="mine")
    kept = np.random.default_rng(9).choice(train, 200)
    return Split(spec, (clip("a", train),), (clip("b", kept),), (clip("c", test),))


def noise(frames: int, *shape: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((frames, *shape)).astype(np.float32)


def test_a_fit_and_a_score_refuse_what_check_calls_wrong():
    shown = noise(3000)
    sound, leaks = split(shown[:2000], shown[2000:]), split(shown, shown[2000:])
    model = retina.model("mean", sound.spec)
    fit = retina.fit(model, sound, key=jax.random.key(0))
    for refused in (
        lambda: retina.fit(model, leaks, key=jax.random.key(0)),
        lambda: retina.measure(fit, leaks),
    ):
        with pytest.raises(Leak, match="mine: bins 0-999 of 'c' are bins 2000-2999"):
            refused()
    # Nothing to be tested on: nothing leaks.
    retina.fit(model, dataclasses.replace(leaks, test=()), key=jax.random.key(0))


def test_a_split_is_looked_through_once(monkeypatch):
    made = split(noise(1000), noise(1000, seed=1))
    leak.refuse(made)
    monkeypatch.setattr(leak, "leak", lambda *clips: pytest.fail("again"))
    leak.refuse(made)


def test_a_card_whose_splits_share_frames_is_not_loaded(npz_card):
    splits = SPLITS.replace("[200, 250]", "[190, 250]")
    card = npz_card(arrays(), splits=splits)
    with pytest.raises(Leak, match=r"train \(10, 200\) and validation \(190, 250\)"):
        retina.load(card)


TRIALS = {
    "stimulus": np.random.default_rng(0).integers(0, 9, (300, 2)),
    "counts": np.random.default_rng(1).poisson(1.0, (10, 300, 2)),
    "count_s": np.array(0.1),
}


def test_a_split_takes_its_trials_alone(npz_card):
    splits = SPLITS.replace("[250, 300]", "[250, 300]\ntrials = [4, 10]")
    splits += '[[splits]]\nrole = "test"\ngroup = "early"\nframes = [250, 300]\n'
    recording = retina.load(npz_card(TRIALS, splits=splits + "trials = [0, 4]\n"))
    late, early = recording.role("test")
    np.testing.assert_array_equal(late.counts, TRIALS["counts"][4:, 240:])
    np.testing.assert_array_equal(early.counts, TRIALS["counts"][:4, 240:])
    with pytest.raises(BadCard, match=r"takes trials 4-10, but part '' has 10"):
        retina.load(npz_card(TRIALS, splits=splits.replace("[4, 10]", "[4, 11]")))


def test_other_trials_of_the_same_frames_are_the_same_stimulus(npz_card):
    splits = SPLITS.replace("[10, 200]", "[10, 200]\ntrials = [0, 5]")
    splits = splits.replace("[200, 250]", "[10, 200]\ntrials = [5, 10]")
    card = npz_card(TRIALS, splits=splits)
    with pytest.raises(Leak, match=r"train \(10, 200\) and validation \(10, 200\)"):
        retina.load(card)
    assert any("saw the same stimulus" in f.text for f in check(card))


def test_two_groups_of_one_role_may_share_frames(npz_card):
    """The same test frames under two names are scored twice, and fitted to nowhere."""
    again = '[[splits]]\nrole = "test"\ngroup = "late"\nframes = [280, 300]\n'
    card = npz_card(arrays(), splits=SPLITS + again)
    groups = {clip.group for clip in retina.load(card).role("test")}
    assert groups == {"running", "late"}
    texts = [f.text for f in check(card) if f.level == "note" and f.about == "splits"]
    assert any("test (250, 300) and test (280, 300) share" in text for text in texts)


def test_frames_held_for_many_bins_are_few_values():
    """At 1 ms a run of 500 bins would be 15 values, which come again by chance."""
    held = np.repeat(noise(4000), 33)
    assert not leak.leak([clip("c", held[100000:])], [clip("a", held[:100000])])
    assert leak.leak([clip("c", held[60000:])], [clip("a", held[:100000])])


def test_images_held_for_many_bins_are_few_images():
    rng = np.random.default_rng(0)
    held = np.repeat(rng.choice(np.array([-1, 1], np.int8), (3000, 2, 3)), 10, axis=0)
    train, test = clip("a", held[:20000]), clip("c", held[20000:])
    assert not leak.leak([test], [train])
    copied = held[20000:].copy()
    copied[3000:3300] = held[500:800]
    said = leak.leak([clip("c", copied)], [train])
    assert said.startswith("bins 3000-") and "are bins 500-" in said


def test_a_grey_screen_is_no_leak():
    shown = noise(600, 4, 4)
    shown[100:130] = shown[400:430] = 0
    assert not leak.leak([clip("c", shown[300:])], [clip("a", shown[:300])])


def test_few_kinds_of_images_come_again_by_chance():
    kinds = noise(4, 4, 4)[np.random.default_rng(1).integers(0, 4, 8000)]
    assert not leak.leak([clip("c", kinds[6000:])], [clip("a", kinds[:6000])])
    assert leak.leak([clip("c", kinds[5000:])], [clip("a", kinds[:6000])])


def drift(bins: int, memory: int = 60) -> np.ndarray:
    """Full-field noise that forgets exponentially."""
    kept, values = np.exp(-1 / memory), noise(bins, seed=3)
    for i in range(1, bins):
        values[i] += kept * values[i - 1]
    return values


@pytest.mark.parametrize("levels", [0, 256, 24])
def test_a_copy_of_slow_noise_is_seen(levels: int):
    """It is too short to be told by correlation; grey levels often follow by chance."""
    shown = drift(30000)
    if levels:
        shown = np.round(shown / np.ptp(shown) * levels).astype(np.int16)
    train = [clip("a", shown[:20000])]
    assert leak.leak([clip("c", shown[9000:9900])], train) == (
        "bins 0-899 of 'c' are bins 9000-9899 of 'a'"
    )
    other = [clip("c", shown[20000:20900])]
    assert not leak.leak(other, train) and leak.too_short(other, train) == ["c"]
    assert not leak.leak([clip("c", shown[20000:])], train)


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize(("start", "stop"), [(500, 999), (100, 800), (450, 600)])
def test_a_copied_part_of_a_full_field_is_seen(start: int, stop: int, binary: bool):
    train, test = noise(9000), noise(999, seed=1)
    if binary:
        train, test = np.sign(train), np.sign(test)
    assert not leak.leak([clip("c", test)], [clip("a", train)])
    test[start:stop] = train[3000 : 3000 + stop - start]
    said = leak.leak([clip("c", test)], [clip("a", train)])
    assert "of 'c' are bins" in said
    first, last = map(int, said.split()[1].split("-"))
    assert start - 20 < first <= start and stop <= last + 1 < stop + 20


def test_a_copied_part_sampled_a_little_differently_is_seen():
    train, test = noise(9000), noise(1999, seed=1)
    test[1499:] = train[3000:3500] + 0.2 * noise(500, seed=2)
    said = leak.leak([clip("c", test)], [clip("a", train)])
    assert said == "bins 1499-1998 of 'c' are bins 3000-3499 of 'a'"


def test_grey_after_a_copied_part_of_a_short_clip_does_not_hide_it():
    """As the last ten seconds of a full field often are."""
    train, test = noise(9000), np.zeros(300, np.float32)
    test[:180] = train[3000:3180] + 0.2 * noise(180, seed=2)
    said = leak.leak([clip("c", test)], [clip("a", train)])
    assert said == "bins 0-149 of 'c' are bins 3000-3149 of 'a'"


def test_training_in_many_short_clips_is_searched():
    train, test = noise(9000), noise(900, seed=1)
    test[:450] = train[3000:3450] + 0.2 * noise(450, seed=2)
    trials = [clip(str(i), train[i : i + 300]) for i in range(0, 9000, 300)]
    assert "of '3000'" in leak.leak([clip("c", test)], trials)


@pytest.mark.parametrize("seed", range(4))
def test_flashes_at_a_steady_pace_are_no_copy(seed: int):
    """Nor is what noise adds to them by chance before and after."""
    flashes = np.tile(np.repeat(np.array([True, False]), 3), 20)
    train, test = noise(9000) > 0, noise(999, seed=seed + 1) > 0
    train[500:620] = test[200:320] = flashes
    assert not leak.leak([clip("c", 1.0 * test)], [clip("a", 1.0 * train)])


def test_twenty_minutes_take_no_time():
    """A tenth of a second alone; the bound is for a machine that does other things."""
    shown = noise(72000, seed=2)
    begun = time.perf_counter()
    assert not leak.leak([clip("c", shown[64000:])], [clip("a", shown[:64000])])
    assert time.perf_counter() - begun < 3


@pytest.mark.parametrize("times", [2, 4, 9])
def test_a_stretch_shown_again_and_again_is_seen(times: int):
    """As frozen noise between running noise is."""
    frozen = noise(400, 4, 4, seed=1)
    parts = [noise(400, 4, 4, seed=2 + n) for n in range(times + 1)]
    shown = [parts[0], *(x for part in parts[1:] for x in (frozen, part))]
    train, test = clip("a", np.concatenate(shown)), clip("c", frozen[40:])
    assert leak.leak([test], [train]) != ""
    assert leak.too_short([test], [train]) == []
