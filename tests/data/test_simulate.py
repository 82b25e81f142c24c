"""The embedded recording: its truth, its rates, its refractoriness, its file."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from retina.data import card as cards
from retina.data import simulated_circuit as circuit
from retina.data import simulated_spikes as spiking
from retina.data.simulate import LEAD, Plan, simulated
from retina.errors import BadSetting

LEVELS = [[1.0, 1.0], [0.5, 1.2]]
SMALL = {
    "train_blocks": 2,
    "validation_blocks": 1,
    "running_blocks": 1,
    "block_s": 4.0,
    "frozen_s": 3.0,
    "repeats": 3,
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The recording that is shipped, with a third of its minutes in single trials."""
    fewer = {"train_blocks": 6, "validation_blocks": 1, "running_blocks": 1}
    return simulated(fewer, tmp_path_factory.mktemp("simulated"))


@pytest.fixture(scope="module")
def shown_steps(tmp_path_factory):
    """The checkerboard of the card simulated_steps, with less to train on."""
    card = cards.read("simulated_steps").variant("checkerboard")
    short = {"train_blocks": 1, "validation_blocks": 1, "running_blocks": 1}
    options = dict(card.options) | short | {"block_s": 4.0}
    return simulated(options, tmp_path_factory.mktemp("steps"))


def counts(block):
    """(trial, frame, cell) spikes per frame after the lead."""
    per_frame = [
        [np.histogram(train, block.onsets_s)[0] for train in trial]
        for trial in block.spikes
    ]
    return np.array(per_frame).transpose(0, 2, 1)[:, block.lead :]


def frozen(recording):
    block = next(b for b in recording.blocks if b.group == "frozen")
    return counts(block), recording.truth[block.name]["expected"][block.lead :]


def same(one, other):
    for a, b in zip(one.blocks, other.blocks, strict=True):
        assert (a.name, a.role, a.group) == (b.name, b.role, b.group)
        np.testing.assert_array_equal(a.stimulus, b.stimulus)
        for trial, twin in zip(a.spikes, b.spikes, strict=True):
            for train, other_train in zip(trial, twin, strict=True):
                np.testing.assert_array_equal(train, other_train)
        for name, truth in one.truth[a.name].items():
            np.testing.assert_array_equal(truth, other.truth[a.name][name])


def test_what_is_shown(whole):
    for role, blocks in (("train", 6), ("validation", 1)):
        shown = [b.onsets_s[-1] for b in whole.role(role)]
        assert shown == pytest.approx([Plan().block_s] * blocks)
    minute = Plan().block_s / 60
    assert Plan().train_blocks * minute >= 15 and Plan().validation_blocks * minute >= 3
    groups = {b.group: b for b in whole.role("test")}
    assert groups["frozen"].trials == 40 and groups["running"].trials == 1
    assert groups["frozen"].onsets_s[-1] == pytest.approx(20)
    assert whole.frame == (20, 20) and whole.frame_s == 1 / 30
    assert whole.coding == "contrast" and len(whole.cells) == 12
    assert sorted({cell.type for cell in whole.cells}) == [
        "OFF sustained",
        "OFF transient",
        "ON sustained",
        "ON transient",
    ]
    for block in whole.blocks:
        assert block.stimulus.dtype == np.int8 and block.lead == LEAD
        assert set(np.unique(block.stimulus)) == {-1, 1}


def test_pixels_are_independent_and_blocks_differ(whole):
    train = whole.role("train")
    shown = np.concatenate([b.stimulus for b in train]).reshape(-1, 400).astype("f4")
    n = len(shown)
    # The mean of n fair signs has sd 1 / sqrt(n); 400 of them stay below 4.5 sd.
    assert np.abs(shown.mean(0)).max() < 4.5 / np.sqrt(n)
    assert np.abs((shown[1:] * shown[:-1]).mean(0)).max() < 4.5 / np.sqrt(n)
    for i, block in enumerate(whole.blocks):
        for other in whole.blocks[i + 1 :]:
            frames = min(len(block.stimulus), len(other.stimulus))
            assert (block.stimulus[:frames] == other.stimulus[:frames]).mean() < 0.51


def test_same_seed_same_bytes_and_another_seed_another_retina(tmp_path):
    made = [simulated(SMALL, tmp_path / name) for name in "ab"]
    files = [next((tmp_path / name).iterdir()) for name in "ab"]
    assert files[0].name == files[1].name
    assert files[0].read_bytes() == files[1].read_bytes()
    same(*made)
    other = simulated(SMALL | {"seed": 1}, tmp_path / "a")
    assert len(list((tmp_path / "a").iterdir())) == 2
    assert (other.blocks[0].stimulus != made[0].blocks[0].stimulus).any()


def test_what_came_later_leaves_the_plain_recording_as_it_was(tmp_path):
    """Its name, and its noise bit for bit, from before there were levels."""
    simulated(SMALL, tmp_path)
    (file,) = tmp_path.iterdir()
    assert file.name == "simulated-1e17190e4592cb93.npz"
    arrays = hashlib.sha256()
    with np.load(file) as kept:
        for name in sorted(kept.files):
            if name.endswith(("bits", "shape")):
                arrays.update(kept[name].tobytes())
    assert arrays.hexdigest() == (
        "fb4f7048f11ca763cdabacd507967a0fcee93eb909eebe053acfc1636e151fa4"
    )


@pytest.mark.parametrize("full_field", [False, True])
def test_levels_follow_each_other_and_begin_one_later_in_each_block(
    tmp_path, full_field
):
    plan = SMALL | {"levels": LEVELS, "level_s": 1.0, "full_field": full_field}
    recording = simulated(plan, tmp_path)
    assert recording.frame == (() if full_field else (20, 20))
    first, second = (block.stimulus for block in recording.role("train"))
    light = 1 + circuit.PHOTORECEPTOR.contrast * first
    assert first.dtype == np.float32 and light.min() >= 0
    for seconds in range(4):
        for shown, level in ((first, seconds % 2), (second, (seconds + 1) % 2)):
            contrast, mean = LEVELS[level]
            values = shown[30 * seconds : 30 * seconds + 30]
            noise = (values - (mean - 1) / 0.9) / (contrast * mean)
            # float32 rounds a few times.
            assert np.abs(noise).max() <= 1 + 1e-6
            if full_field:
                # 30 draws from an even spread: their largest is above 0.7 in all but
                # 1 of 40,000 cases, and the seed is fixed.
                assert np.abs(noise).max() > 0.7
            else:
                np.testing.assert_allclose(np.abs(noise), 1, rtol=1e-5)


def test_a_full_field_drives_the_cells_of_a_type_alike(tmp_path):
    plan = SMALL | {"full_field": True, "levels": [[0.5, 1.0]], "level_s": 1.0}
    truth = simulated(plan, tmp_path).truth
    assert truth is not None
    hazard = truth["frozen"]["hazard"].reshape(-1, 4, 3)
    # Their weights add up to 1 in another order: float32 sums differ in the last bits.
    np.testing.assert_allclose(hazard, hazard[..., :1] + 0 * hazard, rtol=1e-3)
    assert hazard.std(0).min() > 0


def test_spikes_follow_the_steps_and_the_card_repeats_several(shown_steps):
    block = next(b for b in shown_steps.blocks if b.group == "frozen")
    assert block.trials >= 40 and block.onsets_s[-1] >= 8 * 4.0
    # Eight levels of 120 frames: contrast 1.0 is the first and fifth, 0.7 follows.
    wanted = shown_steps.truth["frozen"]["expected"][: 8 * 120]
    per_level = wanted.reshape(8, 120, 12).mean(1)
    assert np.all(per_level[[0, 4]].mean(0) > per_level[[1, 5]].mean(0))


def test_the_kept_file_is_read_not_made_again(tmp_path, monkeypatch):
    first = simulated(SMALL, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(circuit, "hazards", None)
        again = simulated(SMALL, tmp_path)
    same(first, again)
    assert [f.suffix for f in tmp_path.iterdir()] == [".npz"]


@pytest.mark.parametrize("left", [0, 1000])
def test_a_truncated_file_is_made_again(tmp_path, left):
    first = simulated(SMALL, tmp_path)
    file = next(tmp_path.iterdir())
    complete = file.read_bytes()
    file.write_bytes(complete[:left])
    same(first, simulated(SMALL, tmp_path))
    assert file.read_bytes() == complete


def test_a_folder_that_cannot_be_made_only_costs_the_cache(tmp_path):
    (tmp_path / "file").write_text("in the way")
    recording = simulated(SMALL, tmp_path / "file" / "below")
    assert "made anew each time: cannot write" in recording.notes[0]


def test_bad_options():
    with pytest.raises(BadSetting, match="did you mean 'repeats'"):
        simulated({"repeat": 3}, None)  # type: ignore[arg-type]
    with pytest.raises(BadSetting, match="must be 2.0 or more"):
        Plan(block_s=1)
    with pytest.raises(BadSetting, match="not whole"):
        Plan(repeats=2.5)  # type: ignore[arg-type]
    with pytest.raises(BadSetting, match="not a number"):
        Plan(seed="x")  # type: ignore[arg-type]
    with pytest.raises(BadSetting, match="give true or false"):
        Plan(full_field=1)  # type: ignore[arg-type]
    with pytest.raises(BadSetting, match="a level lasts a frame or more"):
        simulated({"levels": LEVELS}, None)  # type: ignore[arg-type]
    with pytest.raises(BadSetting, match="there are no levels"):
        Plan(level_s=1.0)
    for levels, words in (
        ("high", "give pairs of contrast"),
        ([[1.0]], "give a contrast and a mean light"),
        ([[1.2, 1.0]], "between 0 and 1.11"),
        ([[1.0, 0.0]], "mean light above 0"),
    ):
        with pytest.raises(BadSetting, match=words):
            simulated({"levels": levels, "level_s": 1.0}, None)  # type: ignore[arg-type]


def test_expected_count_of_a_constant_hazard_is_the_renewal_rate():
    # A renewal process: the stationary probability per step is 1 / mean interval, and
    # the mean interval is the sum of the survival function, computed here directly.
    hazard = 80.0
    survival = np.cumprod(
        np.exp(
            -hazard
            * spiking.CLOCK_S
            * np.append(spiking.recovery(), np.ones(20000))[:20000]
        )
    )
    interval = 1 + survival.sum()
    got = spiking.expected(np.full((1, 8 * 60, 1), hazard))
    # After 60 frames the process has long forgotten its start: equal to rounding.
    assert got[0, -1, 0] == pytest.approx(spiking.PER_FRAME / interval, rel=1e-9)
    # From an age of "long ago" the first step fires at the free hazard.
    assert got[0, 0, 0] > got[0, -1, 0]


def test_expected_agrees_with_drawn_spikes_while_the_hazard_changes():
    generator = np.random.default_rng(3)
    hazard = 150 * generator.random((1, 8 * 12, 2)) ** 3
    trials = 4000
    per_cell, steps = spiking.sample(hazard, trials, generator)
    expected = spiking.expected(hazard)[0]
    ends = np.cumsum(per_cell.ravel())
    for cell in range(2):
        trains = [steps[ends[i] - n : ends[i]] for i, n in _trains(per_cell, cell)]
        drawn = np.array(
            [np.bincount(t // spiking.PER_FRAME, minlength=12) for t in trains]
        )
        error = drawn.std(0, ddof=1) / np.sqrt(trials)
        # 24 standardised means; 4 sd is passed by chance once in 650 runs.
        assert np.abs((drawn.mean(0) - expected[:, cell]) / error).max() < 4


def _trains(per_cell, cell):
    flat = per_cell.ravel()
    return [
        (i, flat[i])
        for i in range(len(flat))
        if np.unravel_index(i, per_cell.shape)[2] == cell
    ]


def test_truth_agrees_with_the_recorded_spikes(whole):
    drawn, expected = frozen(whole)
    trials = len(drawn)
    # Bins grouped by their expected count, so that each group holds many spikes; the
    # spread of a trial's total is measured over the 40 trials.
    for cell in range(12):
        order = np.argsort(expected[:, cell])
        for group in np.array_split(order, 6):
            totals = drawn[:, group, cell].sum(1)
            wanted = expected[group, cell].sum()
            error = max(totals.std(ddof=1), np.sqrt(wanted / 4)) / np.sqrt(trials)
            # 72 groups: 4.2 sd (t with 39 degrees of freedom) is rarer than 1 in 90.
            assert abs(totals.mean() - wanted) < 4.2 * error


def test_truth_of_single_trials_holds_too(whole):
    for role in ("train", "validation", "test"):
        blocks = [b for b in whole.role(role) if b.trials == 1]
        drawn = sum(counts(b).sum((0, 1)) for b in blocks)
        wanted = sum(whole.truth[b.name]["expected"][LEAD:].sum(0) for b in blocks)
        # Refractoriness makes totals less variable than Poisson's sqrt(mean).
        assert np.all(np.abs(drawn - wanted) < 4 * np.sqrt(wanted))


def test_hazard_exceeds_what_refractoriness_lets_through(whole):
    truth = whole.truth["frozen"]
    assert np.all(truth["hazard"] >= truth["expected"] - 1e-6)
    assert np.all(truth["expected"] >= 0)


def test_rates_refractoriness_and_reliability(whole):
    shortest = min(
        np.diff(train).min()
        for block in whole.blocks
        for trial in block.spikes
        for train in trial
        if len(train) > 1
    )
    assert shortest > spiking.ABSOLUTE_S
    minutes = sum(b.onsets_s[-1] for b in whole.role("train"))
    rates = sum(np.array([len(t) for t in b.spikes[0]]) for b in whole.role("train"))
    assert np.all((rates / minutes > 3) & (rates / minutes < 25))
    drawn, _ = frozen(whole)
    total = drawn.reshape(-1, 12).var(0, ddof=1)
    noise = drawn.var(0, ddof=1).mean(0)
    assert 0.4 < np.median((total - noise) / total) < 0.7
    # Less variable than a Poisson process, as refractoriness makes it.
    assert np.all(drawn.var(0, ddof=1).mean(0) < 0.9 * drawn.mean((0, 1)))


def test_receptive_fields_lie_inside_and_share_subunits():
    wiring = circuit.wire(np.random.default_rng(0))
    linked = wiring.weights > 0
    assert np.all(linked.sum(0) == circuit.POOL)
    assert (linked.sum(1) > 1).any()
    np.testing.assert_allclose(wiring.weights.sum(0), 1)
    for cell in range(12):
        places = wiring.position[linked[:, cell]]
        assert np.all((places > circuit.CENTRE_PX) & (places < 19 - circuit.CENTRE_PX))
        kinds = wiring.bipolar_types[linked[:, cell]]
        assert np.all(kinds == wiring.types[cell])


@pytest.mark.slow
def test_one_filter_and_a_nonlinearity_stay_below_the_ceiling(tmp_path):
    # On white noise the covariance with the true expected count is the best linear
    # filter, free of spike noise; a flexible curve follows. Its correlation with the
    # truth on unseen blocks is CC_norm without sampling error.
    lags = 12

    def seen(blocks):
        return [
            np.stack([_shift(b.stimulus.reshape(-1, 400), lag) for lag in range(lags)])
            for b in blocks
        ]

    def curve(x):
        knots = np.array([-2, -1, 0, 0.7, 1.4, 2.1, 2.8])
        return np.concatenate(
            [np.maximum(x[:, None] - knots, 0), x[:, None] ** 0, x[:, None]], axis=1
        )

    whole = simulated({}, tmp_path)
    assert whole.truth is not None
    train, held = whole.role("train"), whole.role("validation")
    x, new = seen(train), seen(held)
    truth = [whole.truth[b.name]["expected"][LEAD:] for b in train]
    target = np.concatenate([whole.truth[b.name]["expected"][LEAD:] for b in held])
    wiring = circuit.wire(np.random.default_rng(np.random.SeedSequence(0).spawn(3)[0]))
    pixels = np.argwhere(np.ones((20, 20)))
    reached = []
    for cell in range(12):
        middle = wiring.position.T @ wiring.weights[:, cell]
        near = np.linalg.norm(pixels - middle, axis=1) < 6.5
        mean = np.mean([t[:, cell].mean() for t in truth])
        kernel = sum(
            np.einsum("ltp,t->lp", b[:, LEAD:, near], t[:, cell] - mean)
            for b, t in zip(x, truth, strict=True)
        )
        left, size, right = np.linalg.svd(kernel, full_matrices=False)
        kernel = (left[:, :2] * size[:2]) @ right[:2]
        drive, unseen = (
            np.concatenate(
                [np.einsum("ltp,lp->t", b[:, LEAD:, near], kernel) for b in clips]
            )
            for clips in (x, new)
        )
        unit = drive.std()
        wanted = np.concatenate([t[:, cell] for t in truth])
        weight = np.linalg.lstsq(curve(drive / unit), wanted, rcond=None)[0]
        predicted = curve(unseen / unit) @ weight
        reached.append(np.corrcoef(predicted, target[:, cell])[0, 1])
    assert max(reached) < 0.8
    assert 0.5 < np.median(reached) < 0.76


def _shift(frames, lag):
    later = np.zeros(frames.shape, "f4")
    later[lag:] = frames[: len(frames) - lag]
    return later
