"""Metrics of spikes and trials, where what they should say is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from retina.errors import BadResponse, BadSetting
from retina.metrics.bits_per_second import bits_per_second
from retina.metrics.bits_per_spike import bits_per_spike
from retina.metrics.cc_max import cc_max
from retina.metrics.fano import fano
from retina.metrics.oracle import oracle
from retina.metrics.spike_information import spike_information
from retina.metrics.split_half import split_half
from retina.metrics.time_rescaling import band, distance, rescaled, time_rescaling
from retina.metrics.van_rossum import van_rossum
from retina.metrics.victor_purpura import victor_purpura

CELLS, BINS, SIGMA = 400, 500, 0.8


def simulate(mean: float, repeats: int, seed: int = 0, cells: int = CELLS):
    """Log-normal rates, as in test_truth."""
    rng = np.random.default_rng(seed)
    rate = mean * np.exp(SIGMA * rng.normal(size=(BINS, cells)) - SIGMA**2 / 2)
    return rate, rng.poisson(rate, (repeats, BINS, cells)).astype(np.float64)


def test_bits_per_second_are_bits_per_spike_times_spikes_per_second():
    rate, response = simulate(0.3, 3, cells=5)
    null = np.full(5, 0.2)
    spikes_per_s = response.mean((0, 1)) / 0.02
    np.testing.assert_allclose(
        bits_per_second(rate, response, null, 0.02),
        bits_per_spike(rate, response, null) * spikes_per_s,
        rtol=1e-12,
    )
    # Silence predicted where the mean rate is 0.2 a bin: 0.2 nats a bin.
    none = np.zeros((1, BINS, 5))
    told = bits_per_second(0 * rate, none, null, 0.02)
    np.testing.assert_allclose(told, 0.2 / 0.02 / np.log(2), rtol=1e-12)
    assert (bits_per_second(0 * rate, response, null, 0.02) == -np.inf).all()


def test_oracle_is_r_over_all_trials():
    _, response = simulate(0.6, 5, cells=3)
    for cell, value in enumerate(oracle(response[0], response)):
        y = response[..., cell]
        others = np.stack([np.delete(y, n, 0).mean(0) for n in range(5)])
        want = np.corrcoef(y.ravel(), others.ravel())[0, 1]
        np.testing.assert_allclose(value, want, rtol=1e-10)
    assert np.isnan(oracle(response[0], response[:1])).all()
    assert np.isnan(oracle(response[0], np.ones_like(response))).all()


def test_the_oracle_comes_up_to_the_single_trial_ceiling_from_below():
    """Known for many trials: sqrt of signal over total power of one trial, to 5 %."""
    values = {}
    for repeats in (2, 50):
        rate, response = simulate(0.5, repeats, cells=40)
        values[repeats] = np.median(oracle(rate, response))
    ceiling = np.median(np.sqrt(rate.var(0) / (rate.var(0) + rate.mean(0))))
    assert values[2] < 0.75 * ceiling
    assert 0.95 * ceiling < values[50] < ceiling


def test_split_halves_in_the_published_form():
    """Six trials, by all ten splits, and Hsu's formula for the ceiling."""
    rate, response = simulate(0.6, 6, cells=1)
    y = response[..., 0]
    halves = []
    for code in range(32):
        one = [0] + [n + 1 for n in range(5) if code >> n & 1]
        if len(one) == 3:
            other = [n for n in range(6) if n not in one]
            halves.append(stats.pearsonr(y[one].mean(0), y[other].mean(0))[0])
    assert len(halves) == 10
    want = np.sqrt(2 / (1 + np.sqrt(1 / np.mean(halves) ** 2)))
    np.testing.assert_allclose(split_half(rate, response), want, rtol=1e-10)


@pytest.mark.parametrize("repeats", [4, 5, 9, 20])
def test_both_ceilings_agree_with_the_truth(repeats: int):
    """Known given the rates. Each within 2 %, and within 1 % of each other."""
    rate, response = simulate(0.6, repeats, cells=60)
    signal, noise = rate.var(0, ddof=1), rate.mean(0)
    known = np.median(1 / np.sqrt(1 + noise / signal / repeats))
    by_power = np.median(cc_max(rate, response))
    by_halves = np.median(split_half(rate, response))
    assert abs(by_power - known) < 0.02 * known
    assert abs(by_halves - by_power) < 0.01 * known


def test_halves_that_do_not_correlate_have_no_ceiling():
    """No signal at all: the mean correlation is below 0 for about half the cells."""
    noise = np.random.default_rng(0).poisson(0.3, (4, 200, 80))
    gone = np.isnan(split_half(noise[0], noise))
    assert 20 < gone.sum() < 60
    assert np.isnan(split_half(noise[0], noise[:1])).all()


@pytest.mark.parametrize("regular", [1, 3])
def test_the_fano_factor_of_poisson_and_of_regular_counts(regular: int):
    """Binomial of n draws: 1 - p. Pooled over 40 cells x 500 bins: to 1 %."""
    rng = np.random.default_rng(0)
    if regular == 1:
        rate, counts = simulate(0.5, 12, cells=40)
        known = 1.0
    else:
        p = 0.3
        counts = rng.binomial(regular, p, (12, BINS, 40)).astype(float)
        rate, known = np.full((BINS, 40), regular * p), 1 - p
    assert abs(fano(rate, counts).mean() / known - 1) < 0.01
    assert np.isnan(fano(rate, counts[:1])).all()
    assert (fano(rate, np.ones_like(counts)) == 0).all()


# What the docstring says, and what the plain estimate would say (measures.md's table).
INFORMATION = {2: (1.3, 2.64), 10: (0.49, 1.13), 20: (0.4, 0.78), 50: (0.38, 0.54)}


@pytest.mark.parametrize("repeats", INFORMATION)
def test_spike_information_is_corrected_for_its_bias(repeats: int):
    """Known: sigma**2 / 2 nats for log-normal rates, here 0.38 bits as in the table.

    Plain within 5 %: the distribution of the table's rates is not known.
    """
    sigma = np.sqrt(2 * 0.38 * np.log(2))
    rng = np.random.default_rng(0)
    rate = 0.1 * np.exp(sigma * rng.normal(size=(BINS, 200)) - sigma**2 / 2)
    response = rng.poisson(rate, (repeats, BINS, 200)).astype(float)
    corrected, plain = INFORMATION[repeats]
    assert abs(spike_information(rate, response).mean() - corrected) < 0.03
    psth = response.mean(0) / response.mean((0, 1))
    direct = (psth * np.log2(np.where(psth > 0, psth, 1))).mean(0)
    assert abs(direct.mean() / plain - 1) < 0.05


def test_what_remains_of_the_bias_is_as_the_docstring_says():
    """m E1(2 m) nats for each bin of m expected counts; 5 standard errors."""
    from scipy.special import exp1

    rate, response = simulate(0.1, 3)
    m = 3 * rate
    spikes = m.sum(0)
    known = (m * np.log(m)).sum(0) / spikes - np.log(spikes / BINS)
    left = (m * exp1(2 * m)).sum(0) / spikes
    off = spike_information(rate, response) - (known + left) / np.log(2)
    assert abs(off.mean()) < 5 * off.std() / np.sqrt(CELLS)


def test_a_mean_over_trials_has_no_spikes():
    rate, response = simulate(0.3, 2, cells=2)
    for metric in (spike_information, time_rescaling):
        with pytest.raises(BadResponse, match="no whole|a mean over trials"):
            metric(rate, response / 2)
    with pytest.raises(BadSetting, match="0 or more"):
        time_rescaling(rate - 1, response)


@pytest.mark.parametrize("mean", [0.02, 0.3, 3.0])
def test_the_true_rate_stays_within_the_band_in_95_of_100(mean: float):
    """400 cells: a share of 95 % is known to 1.1 %; three such errors.

    At 3 spikes a bin as at 0.02: spikes get a drawn place within their bin.
    """
    rate, response = simulate(mean, 4)
    assert abs((time_rescaling(rate, response) >= 0).mean() - 0.95) < 0.033


def test_without_drawn_places_the_true_rate_would_fail():
    """Why they are drawn: at 0.5 counts a bin hardly a cell would pass."""
    rate, response = simulate(0.5, 4, cells=40)
    passed = 0
    for cell in range(40):
        clock = np.cumsum(np.tile(rate[:, cell], 4))
        at = np.repeat(np.arange(len(clock)), response[..., cell].ravel().astype(int))
        uniform = np.sort(1 - np.exp(-np.diff(clock[at], prepend=0)))
        d = stats.kstest(uniform, "uniform").statistic
        passed += d < band(len(uniform))
    assert passed < 4
    assert (time_rescaling(rate, response) >= 0).sum() > 34


def test_rescaled_intervals_are_uniform_and_independent():
    rate, response = simulate(0.5, 20, cells=1)
    uniform = rescaled(np.broadcast_to(rate[:, 0], (20, BINS)), response[..., 0])
    assert len(uniform) == response.sum()
    d, spikes = distance(rate, response)
    np.testing.assert_allclose(d, stats.kstest(uniform, "uniform").statistic)
    assert spikes.tolist() == [len(uniform)]
    # Two neighbours: a correlation of 0, known to 1 / sqrt(n); four of these.
    r = np.corrcoef(uniform[1:], uniform[:-1])[0, 1]
    assert abs(r) < 4 / np.sqrt(len(uniform))


@pytest.mark.parametrize("wrong", ["gain", "flat", "late", "regular"])
def test_a_wrong_model_leaves_the_band(wrong: str):
    rate, response = simulate(0.3, 10, cells=20)
    if wrong == "regular":  # the right mean, but never two spikes in a bin
        response = np.minimum(response, 1)
        rate = 1 - np.exp(-rate)
    other = {"gain": 1.3 * rate, "flat": np.full_like(rate, 0.3)}.get(wrong, rate)
    if wrong == "late":
        other = np.roll(rate, 2, axis=0)
    assert (time_rescaling(other, response) < 0).sum() > 14


def test_a_trials_own_rate_is_used_where_it_is_given():
    """Refractory cells: the conditional rate passes, the mean rate does not."""
    rng = np.random.default_rng(0)
    drive, trials = rng.gamma(1.0, 0.5, (BINS, 12)), 8
    rate, counts = np.zeros((2, trials, BINS, 12))
    for now in range(BINS):
        rested = counts[:, now - 1] == 0 if now else True
        rate[:, now] = np.where(rested, drive[now], 0.05 * drive[now])
        counts[:, now] = rng.poisson(rate[:, now])
    assert (time_rescaling(rate, counts) >= 0).sum() >= 10
    assert (time_rescaling(rate.mean(0), counts) >= 0).sum() <= 4


def test_silent_saturated_and_constant_cells():
    """No spike; one in every bin; and any model that is flat."""
    silent, full = np.zeros((4, 60, 2)), np.ones((4, 60, 2))
    flat = np.full((60, 2), 0.3)
    for metric in (oracle, split_half, fano, spike_information, time_rescaling):
        assert np.isnan(metric(flat, silent)).all(), metric.__name__
    for metric in (van_rossum, victor_purpura):
        assert np.isnan(metric(flat, silent, 0.02)).all(), metric.__name__
    for metric in (oracle, split_half):
        assert np.isnan(metric(flat, full)).all(), metric.__name__
    assert (fano(flat, full) == 0).all()
    # Each spike says what any other says; 0.02: counts of 4 are taken to be Poisson.
    assert np.abs(spike_information(flat, full)).max() < 0.02
    # As regular as that is no Poisson process, whatever its rate.
    assert (time_rescaling(np.ones((60, 2)), full) < 0).all()
    np.testing.assert_allclose(van_rossum(full[0], full, 0.02), 1, rtol=1e-12)


@pytest.mark.parametrize("value", [20, 100, 1000])
def test_the_band_is_scipys(value: int):
    """0.3 %: the approximation is to three digits."""
    assert band(value) == pytest.approx(stats.kstwo.ppf(0.95, value), rel=3e-3)
