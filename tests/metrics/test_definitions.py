"""Each metric against its definition, written out cell by cell and loop by loop."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from retina.metrics.bits_per_spike import bits_per_spike
from retina.metrics.cc_max import cc_max
from retina.metrics.cc_norm import cc_norm
from retina.metrics.deviance import deviance
from retina.metrics.feve import feve
from retina.metrics.pearson import pearson
from retina.metrics.pearson_trial import pearson_trial
from retina.metrics.signal_power import signal_power

TRIALS, TIME, CELLS = 5, 80, 4
# Sums instead of two passes: float64 rounding of at most a few hundred terms.
CLOSE = 1e-10


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    true = rng.gamma(1.0, 0.6, (TIME, CELLS))
    rate = true * rng.gamma(5.0, 0.2, (TIME, CELLS)) + 0.02
    response = rng.poisson(true, (TRIALS, TIME, CELLS)).astype(np.float64)
    return rate, response, np.array([0.5, 0.6, 0.7, 0.4])


def each_cell(rate, response):
    return [(rate[:, c], response[:, :, c]) for c in range(rate.shape[1])]


def scipys_r(one: np.ndarray, other: np.ndarray) -> Any:
    return stats.pearsonr(one, other)[0]


def schoppe_power(y: np.ndarray) -> np.floating:
    """Signal power in the form of Schoppe et al.: variance of the sum, less the sum."""
    n = len(y)
    return (np.var(y.sum(0), ddof=1) - sum(np.var(r, ddof=1) for r in y)) / n / (n - 1)


def test_pearson_is_scipy_on_the_trial_mean(data):
    rate, response, _ = data
    want = [scipys_r(p, y.mean(0)) for p, y in each_cell(rate, response)]
    np.testing.assert_allclose(pearson(rate, response), want, rtol=CLOSE)


def test_pearson_trial_is_the_mean_of_scipy_over_trials(data):
    rate, response, _ = data
    want = [
        np.mean([scipys_r(p, trial) for trial in y])
        for p, y in each_cell(rate, response)
    ]
    np.testing.assert_allclose(pearson_trial(rate, response), want, rtol=CLOSE)


def test_with_one_trial_both_correlations_are_the_same(data):
    rate, response, _ = data
    np.testing.assert_allclose(
        pearson(rate, response[:1]), pearson_trial(rate, response[:1]), rtol=CLOSE
    )


def test_signal_power_in_both_published_forms(data):
    rate, response, _ = data
    for (_, y), value in zip(
        each_cell(rate, response), signal_power(rate, response), strict=True
    ):
        total = np.mean([np.var(trial, ddof=1) for trial in y])
        sahani = (TRIALS * np.var(y.mean(0), ddof=1) - total) / (TRIALS - 1)
        np.testing.assert_allclose(value, sahani, rtol=CLOSE)
        np.testing.assert_allclose(value, schoppe_power(y), rtol=CLOSE)


def test_signal_power_is_the_mean_covariance_of_two_trials(data):
    """The identity that makes it unbiased: trials share nothing but the signal."""
    rate, response, _ = data
    for c, value in enumerate(signal_power(rate, response)):
        shared = np.cov(response[:, :, c])
        off = shared[~np.eye(TRIALS, dtype=bool)]
        np.testing.assert_allclose(value, off.mean(), rtol=CLOSE)


def test_cc_norm_is_the_correlation_over_cc_max(data):
    rate, response, _ = data
    direct = [
        np.cov(p, y.mean(0))[0, 1] / np.sqrt(np.var(p, ddof=1) * schoppe_power(y))
        for p, y in each_cell(rate, response)
    ]
    np.testing.assert_allclose(cc_norm(rate, response), direct, rtol=CLOSE)
    ratio = pearson(rate, response) / cc_max(rate, response)
    np.testing.assert_allclose(cc_norm(rate, response), ratio, rtol=CLOSE)


def test_cc_max_from_the_noise_to_signal_ratio(data):
    rate, response, _ = data
    for (_, y), value in zip(
        each_cell(rate, response), cc_max(rate, response), strict=True
    ):
        signal = schoppe_power(y)
        noise = np.mean([np.var(trial, ddof=1) for trial in y]) - signal
        want = 1 / np.sqrt(1 + noise / signal / TRIALS)
        np.testing.assert_allclose(value, want, rtol=CLOSE)


def test_feve_as_published(data):
    rate, response, _ = data
    want = []
    for p, y in each_cell(rate, response):
        total = np.var(y, ddof=1)
        noise = np.mean(np.var(y, axis=0, ddof=1))
        want.append(1 - (np.mean((y - p) ** 2) - noise) / (total - noise))
    np.testing.assert_allclose(feve(rate, response), want, rtol=CLOSE)


def test_bits_per_spike_from_scipys_poisson(data):
    rate, response, null = data
    want = []
    for (p, y), mean in zip(each_cell(rate, response), null, strict=True):
        model = stats.poisson.logpmf(y, p[None]).sum()
        constant = stats.poisson.logpmf(y, mean).sum()
        want.append((model - constant) / np.log(2) / y.sum())
    value = bits_per_spike(rate, response, null)
    np.testing.assert_allclose(value, want, rtol=1e-9)


def test_deviance_from_scipys_poisson(data):
    """D is twice the log-likelihood that a rate equal to the counts would add."""
    rate, response, null = data
    want = []
    for (p, y), mean in zip(each_cell(rate, response), null, strict=True):
        # logpmf at rate 0 and count 0 is 0, as y ln y := 0 demands.
        perfect = stats.poisson.logpmf(y, y).sum()
        model = perfect - stats.poisson.logpmf(y, p[None]).sum()
        constant = perfect - stats.poisson.logpmf(y, mean).sum()
        want.append(1 - model / constant)
    np.testing.assert_allclose(deviance(rate, response, null), want, rtol=1e-9)


def test_bits_and_deviance_agree_on_the_gain(data):
    """The numerator of both is the same log-likelihood difference."""
    rate, response, null = data
    spikes = response.sum((0, 1))
    bits = bits_per_spike(rate, response, null) * spikes * np.log(2)
    own = stats.poisson.logpmf(response, response).sum((0, 1))
    null_deviance = 2 * (own - stats.poisson.logpmf(response, null).sum((0, 1)))
    gain = deviance(rate, response, null) * null_deviance / 2
    np.testing.assert_allclose(bits, gain, rtol=1e-9)
