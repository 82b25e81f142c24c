"""Silent, saturated and constant cells, and what a gain or an offset changes."""

from __future__ import annotations

import numpy as np
import pytest

from retina.errors import BadSetting, ShapeMismatch
from retina.metrics.bits_per_spike import bits_per_spike
from retina.metrics.cc_max import cc_max
from retina.metrics.cc_norm import cc_norm
from retina.metrics.deviance import deviance
from retina.metrics.feve import feve
from retina.metrics.pearson import pearson
from retina.metrics.pearson_trial import pearson_trial
from retina.metrics.signal_power import signal_power

TRIALS, TIME = 8, 300


def repeats(seed: int = 0, cells: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    rate = rng.gamma(1.0, 0.5, (TIME, cells))
    return rate, rng.poisson(rate, (TRIALS, TIME, cells)).astype(np.float64)


def constant_response(value: float) -> tuple[np.ndarray, np.ndarray]:
    rate, _ = repeats()
    return rate, np.full((TRIALS, TIME, 3), value)


def test_cc_norm_knows_no_gain_and_no_offset():
    rate, response = repeats()
    # 1e-12: the scaled rate is itself rounded.
    for other in (7.0 * rate, 0.01 * rate + 5, rate - 3):
        np.testing.assert_allclose(
            cc_norm(other, response), cc_norm(rate, response), rtol=1e-12
        )
    np.testing.assert_allclose(
        cc_norm(-rate, response), -cc_norm(rate, response), rtol=1e-12
    )


def test_feve_charges_gain_and_offset_by_their_exact_price():
    """An offset b adds b**2 to the error; the denominator stays."""
    rate, response = repeats()
    value = feve(rate, response)
    noise = response.var(axis=0, ddof=1).mean(axis=0)
    explainable = response.transpose(2, 0, 1).reshape(3, -1).var(1, ddof=1) - noise
    error = response.mean(axis=(0, 1)) - rate.mean(axis=0)
    cost = (0.3**2 - 2 * 0.3 * error) / explainable
    np.testing.assert_allclose(feve(rate + 0.3, response), value - cost, rtol=1e-10)
    assert (feve(2 * rate, response) < value - 0.5).all()


@pytest.mark.parametrize("value", [0.0, 1.0, 0.1, 3.0])
def test_a_cell_that_never_changes_has_no_signal(value: float):
    """Silent (0) and saturated (1 in each bin): nothing to correlate with."""
    rate, response = constant_response(value)
    np.testing.assert_array_equal(signal_power(rate, response), 0)
    for metric in (pearson, pearson_trial, cc_norm, cc_max, feve):
        assert np.isnan(metric(rate, response)).all(), metric.__name__


def test_a_silent_cell_has_no_bits_but_a_deviance():
    rate, response = constant_response(0.0)
    null = np.full(3, 0.5)
    assert np.isnan(bits_per_spike(rate, response, null)).all()
    # Without counts D is twice the sum of the rate.
    want = 1 - rate.mean(axis=0) / 0.5
    np.testing.assert_allclose(deviance(rate, response, null), want, rtol=1e-12)


def test_a_saturated_cell_predicted_as_such():
    _, response = constant_response(1.0)
    rate = np.ones((TIME, 3))
    null = np.full(3, 0.5)
    # ln 2 - (1 - 1/2) nats for each spike.
    want = (np.log(2) - 0.5) / np.log(2)
    np.testing.assert_allclose(bits_per_spike(rate, response, null), want, rtol=1e-12)
    np.testing.assert_allclose(deviance(rate, response, null), 1, rtol=1e-12)


@pytest.mark.parametrize("constant", [0.0, 0.1, 1.0, 1e9])
def test_a_constant_rate_scores_zero_and_is_not_dropped(constant: float):
    rate, response = repeats()
    flat = np.full_like(rate, constant)
    for metric in (pearson, pearson_trial, cc_norm):
        np.testing.assert_array_equal(metric(flat, response), 0)
    # Rounding of a float32 model is no modulation either.
    rng = np.random.default_rng(1)
    rounded = (flat * (1 + 1e-7 * rng.normal(size=flat.shape))).astype(np.float32)
    for metric in (pearson, pearson_trial, cc_norm):
        np.testing.assert_array_equal(metric(rounded, response), 0)


def test_the_mean_rate_explains_no_variance():
    """feve of each cell's test mean is 0 up to (n - 1) / n in the total variance."""
    rate, response = repeats()
    flat = np.broadcast_to(response.mean(axis=(0, 1)), rate.shape)
    assert np.abs(feve(flat, response)).max() < 2e-3


def test_nothing_is_clipped():
    rate, response = repeats()
    assert (feve(-5 * rate, response) < -10).all()
    assert (cc_norm(-rate, response) < -0.9).all()
    # With few noisy repeats the estimates pass 1; some cell of many does.
    rng = np.random.default_rng(2)
    weak = rng.gamma(1.0, 0.1, (200, 60))
    counts = rng.poisson(weak, (3, 200, 60))
    assert np.nanmax(cc_norm(weak, counts)) > 1
    assert np.nanmax(feve(weak, counts)) > 1
    assert np.nanmin(signal_power(weak, counts)) < 0


def test_where_signal_power_is_not_positive_the_ceiling_metrics_are_nan():
    rng = np.random.default_rng(3)
    rate = np.full((200, 80), 0.05)
    noise = rng.poisson(rate, (4, 200, 80))
    power = signal_power(rate, noise)
    gone = power <= 0
    assert 10 < gone.sum() < 70  # no signal at all: about half
    model = rng.gamma(1.0, 1.0, rate.shape)
    for metric in (cc_norm, cc_max, feve):
        np.testing.assert_array_equal(np.isnan(metric(model, noise))[gone], True)
    np.testing.assert_array_equal(np.isnan(cc_norm(model, noise)), gone)


def test_one_trial_has_no_noise_ceiling():
    rate, response = repeats()
    for metric in (signal_power, cc_max, cc_norm, feve):
        assert np.isnan(metric(rate, response[:1])).all(), metric.__name__


def test_one_bin_is_not_enough_for_a_variance():
    for metric in (pearson, pearson_trial, cc_norm, cc_max, feve, signal_power):
        value = metric(np.ones((1, 2)), np.ones((3, 1, 2)))
        assert np.isnan(value).all(), metric.__name__


def test_identical_trials_leave_no_noise():
    rate, _ = repeats()
    response = np.repeat(np.round(rate * 4)[None], 5, axis=0)
    np.testing.assert_allclose(cc_max(rate, response), 1, rtol=1e-12)
    np.testing.assert_allclose(feve(response[0], response), 1, rtol=1e-12)


def test_large_means_do_not_drown_small_modulations():
    """Sums of squares of uncentred counts would lose 12 of 16 digits here."""
    rng = np.random.default_rng(4)
    signal = rng.integers(0, 5, (TIME, 2)).astype(np.float64)
    response = signal + rng.integers(0, 2, (4, TIME, 2))
    shifted = response + 1e6
    model = 0.5 * signal + 2e5
    np.testing.assert_allclose(
        cc_norm(model, shifted), cc_norm(0.5 * signal, response), rtol=1e-8
    )


def test_silent_trials_are_left_out_of_the_single_trial_r():
    rate, response = repeats()
    with_silent = np.concatenate([response, np.zeros((3, TIME, 3))])
    np.testing.assert_allclose(
        pearson_trial(rate, with_silent), pearson_trial(rate, response), rtol=1e-12
    )


def test_a_spike_where_the_rate_is_zero_is_minus_infinity():
    rate, response = repeats()
    null = np.full(3, 0.5)
    at = np.argwhere(response[0, :, 1] > 0)[0, 0]
    rate[at, 1] = 0.0
    bits = bits_per_spike(rate, response, null)
    explained = deviance(rate, response, null)
    assert bits[1] == -np.inf and explained[1] == -np.inf
    assert np.isfinite(bits[[0, 2]]).all() and np.isfinite(explained[[0, 2]]).all()


def test_a_rate_of_zero_without_spikes_is_fine():
    rate, response = repeats()
    rate[5], response[:, 5] = 0.0, 0.0
    assert np.isfinite(bits_per_spike(rate, response, np.full(3, 0.5))).all()
    assert np.isfinite(deviance(rate, response, np.full(3, 0.5))).all()


def test_a_cell_silent_in_training_has_no_null():
    rate, response = repeats()
    null = np.array([0.5, 0.0, 0.5])
    for metric in (bits_per_spike, deviance):
        assert np.isnan(metric(rate, response, null)).tolist() == [False, True, False]


def test_the_null_scores_zero():
    rate, response = repeats()
    null = np.array([0.4, 0.5, 0.6])
    flat = np.broadcast_to(null, rate.shape)
    # The sums cancel to rounding, 1e-13 of a bit at this length.
    for metric in (bits_per_spike, deviance):
        np.testing.assert_allclose(metric(flat, response, null), 0, atol=1e-12)


@pytest.mark.parametrize("metric", [bits_per_spike, deviance])
def test_what_a_likelihood_cannot_take(metric):
    rate, response = repeats()
    with pytest.raises(BadSetting, match=r"rate is -0\.1 at bin 4, cell 2"):
        negative = rate.copy()
        negative[4, 2] = -0.1
        metric(negative, response, np.full(3, 0.5))
    with pytest.raises(BadSetting, match="null_rate=fit.null_rate"):
        metric(rate, response, None)
    with pytest.raises(ShapeMismatch, match=r"null_rate \(2,\) and rate \(300, 3\)"):
        metric(rate, response, np.full(2, 0.5))
    with pytest.raises(BadSetting, match="0 or more"):
        metric(rate, response, np.array([0.5, -1.0, 0.5]))
