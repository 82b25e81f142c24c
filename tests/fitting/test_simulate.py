"""Counts sampled from a model, and rates that hear their own sampled past."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import poisson

from retina import build
from retina.fitting.predict import streamed
from retina.fitting.simulate import (
    LOUDEST,
    free_running,
    poisson_at,
    sampled,
    simulate,
)
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
    # Rates of a few counts per bin: they are cut at LOUDEST when sampled from.
    filters = params["space_time"]["filters"]
    params["space_time"]["filters"] = 0.4 * filters
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
    stimuli = np.stack([_stimulus(0), _stimulus(1)])
    free = free_running(model, params, stimuli, key=jax.random.key(3), runs=7)
    rate = streamed(model, params, stimuli)
    rate = np.minimum(rate, LOUDEST)  # where a runaway would be stopped
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
    stimuli = _stimulus()[None]
    free = free_running(model, params, stimuli, key=jax.random.key(6), runs=2000)[0]
    psth = simulate(
        model, params, _stimulus(), key=jax.random.key(7), trials=4000
    ).mean(0)
    # Counts scatter more than rates: standard error below sqrt(rate / 4000), twice.
    error = np.sqrt(free / 4000) * 1.5
    assert np.all(np.abs(psth - free) < 4.5 * error)
    silent = streamed(model, params, _stimulus()[None])[0]
    assert free.mean() < 0.9 * silent.mean()


def test_counts_are_the_quantiles_of_scipys_poisson():
    """At chances from the bottom to a millionth below the top."""
    rates = np.array([0.0, 0.01, 0.3, 1.0, 4.7, 20.0, LOUDEST], np.float32)
    chances = np.concatenate(
        [np.linspace(1e-4, 0.999, 400), 1 - np.logspace(-3, -6, 40)]
    )
    chances, rates = np.meshgrid(chances.astype(np.float32), rates, indexing="ij")
    found = np.asarray(poisson_at(jnp.asarray(chances), jnp.asarray(rates)))
    # A chance this close to a step of the CDF may fall on either side of it: the sum of
    # some 50 float32 terms is good to about 1e-6.
    low, high = (poisson.ppf(chances + off, rates) for off in (-1e-6, 1e-6))
    assert np.all((found >= low) & (found <= high))


def test_the_largest_chance_there_is_gives_a_count_that_can_happen():
    """The float32 sum of the probabilities may end below it: counting must end too."""
    rates = np.linspace(0, LOUDEST, 500).astype(np.float32)
    for step in range(1, 5):
        chance = jnp.full(500, 1 - step * 2.0**-23, jnp.float32)
        found = np.asarray(poisson_at(chance, jnp.asarray(rates)))
        # Beyond this count lies less than 1e-10 of the distribution.
        assert np.all(found <= poisson.isf(1e-10, rates) + 1)
        assert np.all(found >= poisson.isf(1e-4, rates))


def test_a_runaway_stops_at_a_finite_rate():
    model, params = _glm(3.0)
    stimuli = _stimulus()[None]
    rates = free_running(model, params, stimuli, key=jax.random.key(8), runs=2)
    assert np.all(np.isfinite(rates)) and rates.max() <= LOUDEST


def test_a_loud_rate_is_not_cut():
    """120 counts a bin: mean and variance within 5 standard errors of 4000 bins."""
    model = build.model("mean", Spec((), 1, 0.05))
    key = jax.random.key(3)
    params = jax.tree.map(lambda _: jnp.full(1, 120.0), model.stage.init(key))
    counts, rate = sampled(model, params, jnp.zeros((1000,)), key, 4)
    assert float(rate.min()) == float(rate.max()) == 120
    assert counts.mean() == pytest.approx(120, abs=5 * np.sqrt(120 / 4000))
    assert counts.var() == pytest.approx(120, rel=5 * np.sqrt(2 / 4000))
    assert np.all(counts == np.round(counts))


def test_a_program_is_kept_from_call_to_call():
    """Each clip, seed and test group would otherwise be compiled for anew."""
    model = build.model("mean", SPEC)
    params, traced = model.stage.init(jax.random.key(0)), []

    def step(*given):
        traced.append(1)
        return model.stage.step(*given)

    watched = model._replace(stage=model.stage._replace(step=step))
    for seed in range(2):
        key = jax.random.key(seed)
        free_running(watched, params, [_stimulus(seed)], key=key, runs=2)
        if not seed:
            once = len(traced)
    assert len(traced) == once > 0
