"""Distances of spike trains: closed forms, one done another way, and elephant."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from retina.errors import BadResponse, BadSetting
from retina.metrics import van_rossum as rossum
from retina.metrics import victor_purpura as victor
from retina.metrics.arrays import chances

BIN_S = 0.02


def trains(seed: int, mean: float = 12.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return tuple(np.sort(rng.random(rng.poisson(mean))) for _ in range(2))  # type: ignore


def times(counts: np.ndarray) -> np.ndarray:
    return (np.repeat(np.arange(len(counts)), counts.astype(int)) + 0.5) * BIN_S


def test_victor_purpura_in_its_limits():
    for seed in range(5):
        one, other = trains(seed)
        more = abs(len(one) - len(other))
        assert victor.distance(one, other, 0.0) == more
        assert victor.distance(one, other, 1e9) == len(one) + len(other)
        assert victor.distance(one, one, 50.0) == 0
        assert victor.distance(one, [], 50.0) == len(one)
        near = victor.distance(one, other, 20.0)
        assert near == pytest.approx(victor.distance(other, one, 20.0), rel=1e-12)
        assert more <= near <= len(one) + len(other)
        third = trains(seed + 100)[0]
        sides = victor.distance(one, third, 20.0) + victor.distance(third, other, 20.0)
        assert near <= sides + 1e-9


def test_victor_purpura_by_hand():
    # Move 0.1 by 0.01 s (cost 0.2), delete 0.5, add 0.8.
    assert victor.distance([0.1, 0.5], [0.11, 0.8], 20.0) == pytest.approx(2.2)
    # A chain: both move by 0.02 s, though the second could stay.
    assert victor.distance([0.1, 0.12], [0.12, 0.14], 20.0) == pytest.approx(0.8)


@pytest.mark.parametrize("cost_per_s", [2.0, 20.0, 49.0, 200.0])
def test_victor_purpura_is_that_of_drawn_trains_spike_by_spike(cost_per_s: float):
    """Scipy's counts and `distance`, where the metric goes bin by bin."""
    rng = np.random.default_rng(1)
    rate = rng.gamma(1.0, 0.6, (60, 2))
    rate[10:14] = 0.0
    response = rng.poisson(rate, (3, 60, 2)).astype(float)

    def mean(pairs, upto: int) -> float:
        each = [
            victor.distance(times(a[:upto]), times(b[:upto]), cost_per_s)
            for a, b in pairs
        ]
        return sum(each) / len(each)

    left = victor.SUMS.terms(rate, response, bin_s=BIN_S, cost_per_s=cost_per_s)["left"]
    found = victor.victor_purpura(rate, response, BIN_S, cost_per_s)
    for cell in range(2):
        trials = response[..., cell]
        chance = chances(trials).random((victor.DRAWN, 60))
        drawn = stats.poisson.ppf(chance, rate[:, cell])
        for upto in (20, 60):  # what a block adds is what a bootstrap draws
            apart = mean(itertools.product(drawn, trials), upto)
            own = mean(itertools.combinations(drawn, 2), upto)
            assert left[:upto, cell].sum() == pytest.approx(apart - own / 2, abs=1e-9)
        want = 1 - (apart - own / 2) / trials.sum(axis=1).mean()
        assert found[cell] == pytest.approx(want, abs=1e-9)


def test_van_rossum_in_closed_form():
    assert rossum.distance([0.3], []) ** 2 == pytest.approx(0.5)
    for lag in (0.0, 0.01, 0.1):  # two spikes: 1 - exp(-lag / tau)
        found = rossum.distance([0.3], [0.3 + lag], 0.02) ** 2
        assert found == pytest.approx(1 - np.exp(-lag / 0.02), abs=1e-12)
    one, other = trains(3)
    # A long memory counts spikes, a short one sees no two together.
    assert rossum.distance(one, other, 1e6) ** 2 == pytest.approx(
        (len(one) - len(other)) ** 2 / 2, abs=1e-3
    )
    apart = rossum.distance(one, other, 1e-7) ** 2
    assert apart == pytest.approx((len(one) + len(other)) / 2)


def test_van_rossum_is_the_integral_of_the_traces():
    """1 / tau times the integral, by steps of tau / 400: 1 % of discretisation."""
    one, other = trains(4)
    at = np.arange(0, 1.3, 0.02 / 400)

    def trace(spikes):
        late = at - spikes[:, None]
        return np.where(late >= 0, np.exp(-np.maximum(late, 0) / 0.02), 0).sum(0)

    square = ((trace(one) - trace(other)) ** 2).sum() / 400
    assert rossum.distance(one, other, 0.02) ** 2 == pytest.approx(square, rel=0.01)


def test_van_rossum_of_a_rate_is_the_mean_over_its_trains_less_their_own():
    """The exact mean that the metric takes, against trains drawn: 4 standard errors."""
    rng = np.random.default_rng(0)
    rate = rng.gamma(1.0, 0.4, (40, 1))
    response = rng.poisson(rate, (3, 40, 1)).astype(float)
    drawn = [times(x) for x in rng.poisson(rate[:, 0], (600, 40))]
    trials = [times(x) for x in response[..., 0]]
    apart = np.array(
        [np.mean([rossum.distance(a, b) ** 2 for b in trials]) for a in drawn]
    )
    own = np.array(
        [
            rossum.distance(a, b) ** 2
            for a, b in zip(drawn[::2], drawn[1::2], strict=True)
        ]
    )
    silent = np.mean([rossum.distance(b, []) ** 2 for b in trials])
    want = 1 - (apart.mean() - own.mean() / 2) / silent
    error = np.hypot(apart.std() / np.sqrt(600), own.std() / 2 / np.sqrt(300)) / silent
    assert abs(rossum.van_rossum(rate, response, BIN_S)[0] - want) < 4 * error


@pytest.mark.parametrize("metric", [rossum.van_rossum, victor.victor_purpura])
def test_silence_gains_nothing_and_the_trains_themselves_everything(metric):
    rng = np.random.default_rng(0)
    response = np.repeat(rng.poisson(0.4, (1, 200, 3)), 4, axis=0).astype(float)
    np.testing.assert_array_equal(metric(np.zeros((200, 3)), response, BIN_S), 0)
    rate = rng.gamma(1.0, 0.4, (400, 3))
    response = rng.poisson(rate, (6, 400, 3)).astype(float)
    right = metric(rate, response, BIN_S)
    # The plain distances would pay a model for firing less; these do not.
    for wrong in (0.5 * rate, 1.6 * rate, np.roll(rate, 3, axis=0)):
        assert (metric(wrong, response, BIN_S) < right).all()
    assert ((0 < right) & (right < 0.9)).all()


def test_settings_and_counts_that_make_no_distance():
    rate, response = np.ones((4, 1)), np.ones((2, 4, 1))
    with pytest.raises(BadSetting, match="tau_s=0"):
        rossum.van_rossum(rate, response, BIN_S, tau_s=0)
    with pytest.raises(BadSetting, match="cost_per_s=-1"):
        victor.victor_purpura(rate, response, BIN_S, cost_per_s=-1)
    with pytest.raises(BadSetting, match="cost_per_s=-1"):
        victor.distance([0.1], [0.2], -1)
    with pytest.raises(BadResponse, match="response is 0.5 at trial 0, bin 0, cell 0"):
        victor.victor_purpura(rate, response / 2, BIN_S)


def test_elephant_says_the_same():
    """Its van Rossum makes 1 of a spike and none, where the paper makes 1/2."""
    elephant = pytest.importorskip(
        "elephant.spike_train_dissimilarity",
        reason="pip install 'retina-frontier[test]'",
    )
    from neo import SpikeTrain
    from quantities import Hz, s

    for seed in range(4):
        one, other = trains(seed)
        made = [SpikeTrain(x * s, t_stop=1.0 * s) for x in (one, other)]
        for cost in (5.0, 20.0, 100.0):
            theirs = elephant.victor_purpura_distance(made, cost_factor=cost * Hz)[0, 1]
            assert victor.distance(one, other, cost) == pytest.approx(theirs, rel=1e-9)
        for tau in (0.005, 0.02, 0.1):
            theirs = elephant.van_rossum_distance(made, time_constant=tau * s)[0, 1]
            ours = rossum.distance(one, other, tau) * np.sqrt(2)
            assert ours == pytest.approx(theirs, rel=1e-6)
