"""Counts sampled from a model, and rates that hear their own sampled past."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from retina import build
from retina.fitting.predict import streamed
from retina.fitting.simulate import LOUDEST, free_running, simulate
from retina.types import Spec

SPEC = Spec((), 2, 0.05)
TIME = 60


def _stimulus(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(TIME).astype(np.float32)


def _glm(history: float):
    """exp output; every lag of history weighs `history`."""
    model = build.model(
        "glm",
        SPEC,
        lags=4,
        rank=None,
        history=3,
        history_basis=3,
        output_kind="exp",
    )
    params = model.stage.init(jax.random.key(0))
    params["history_output"]["history"] = jnp.full((3, 2), history, jnp.float32)
    return model, params


def test_counts_have_the_mean_and_variance_of_the_rate():
    """A model without history: Poisson around its rate, bin by bin."""
    model = build.model("ln", SPEC, lags=4, rank=None)
    params = model.stage.init(jax.random.key(0))
    trials = 2000
    counts = simulate(
        model, params, _stimulus(), key=jax.random.key(1), trials=trials
    ).astype(np.float64)
    assert counts.shape == (trials, TIME, 2)
    assert np.all(counts == np.round(counts)) and np.all(counts >= 0)
    rate = streamed(model, params, _stimulus()[None])[0].astype(np.float64)
    # Of 120 means, each with standard error sqrt(rate / trials): 4.5 of them.
    assert np.all(np.abs(counts.mean(0) - rate) < 4.5 * np.sqrt(rate / trials))
    # All bins together: the variance over the mean is 1, to 1 / sqrt(half the draws).
    ratio = (counts.var(0) / rate).mean()
    assert ratio == pytest.approx(1, abs=5 * np.sqrt(2 / counts.size) + 0.02)


def test_cells_and_trials_are_independent():
    model = build.model("ln", SPEC, lags=4, rank=None)
    params = model.stage.init(jax.random.key(0))
    counts = simulate(model, params, _stimulus(), key=jax.random.key(1), trials=400)
    noise = (counts - counts.mean(0)).astype(np.float64)
    size = noise[..., 0].size
    between_cells = np.corrcoef(noise[..., 0].ravel(), noise[..., 1].ravel())[0, 1]
    between_trials = np.corrcoef(noise[::2].ravel(), noise[1::2].ravel())[0, 1]
    assert abs(between_cells) < 4.5 / np.sqrt(size)
    assert abs(between_trials) < 4.5 / np.sqrt(size)


def test_the_key_decides_the_counts():
    model, params = _glm(-1.0)
    one, again, other = (
        simulate(model, params, _stimulus(), key=jax.random.key(k), trials=3)
        for k in (1, 1, 2)
    )
    assert np.array_equal(one, again) and not np.array_equal(one, other)


def test_free_running_without_effective_history_is_the_rate():
    model, params = _glm(0.0)
    free = free_running(model, params, _stimulus(), key=jax.random.key(3), runs=7)
    rate = streamed(model, params, _stimulus()[None])[0]
    # The mean of 7 equal float32 numbers.
    np.testing.assert_allclose(free, rate, rtol=1e-6)


def test_a_model_hears_its_own_counts_one_bin_late():
    """The rates sampled from are those of the same counts fed back as recorded."""
    from retina.fitting.simulate import sampled

    model, params = _glm(-0.7)
    counts, rates = sampled(
        model, params, jnp.asarray(_stimulus()), jax.random.key(5), 1
    )
    assert float(counts.sum()) > 10
    forced = streamed(model, params, _stimulus()[None], np.asarray(counts))[0]
    np.testing.assert_allclose(rates, forced, rtol=1e-5)


def test_free_running_is_the_mean_count_of_many_trials():
    """What it predicts is the PSTH: history makes it differ from the drive's rate."""
    model, params = _glm(-0.7)
    free = free_running(model, params, _stimulus(), key=jax.random.key(6), runs=2000)
    psth = simulate(
        model, params, _stimulus(), key=jax.random.key(7), trials=4000
    ).mean(0)
    # Counts scatter more than rates: standard error below sqrt(rate / 4000), twice.
    error = np.sqrt(free / 4000) * 1.5
    assert np.all(np.abs(psth - free) < 4.5 * error)
    silent = streamed(model, params, _stimulus()[None])[0]
    assert free.mean() < 0.9 * silent.mean()


def test_a_runaway_stops_at_a_finite_rate():
    model, params = _glm(3.0)
    rates = free_running(model, params, _stimulus(), key=jax.random.key(8), runs=2)
    assert np.all(np.isfinite(rates)) and rates.max() <= LOUDEST
