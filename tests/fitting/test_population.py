"""What a fit predicts of cells together, where the truth is known."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import retina
from retina.errors import BadSetting, MissingData
from retina.fitting.population import population
from retina.fitting.simulate import simulate
from retina.types import Clip, Fit
from tests.fitting import synthetic

CELLS = 6


def chained(weight: float) -> Fit:
    """The first three cells hear one another's last count; the others hear nobody."""
    split = synthetic.split(synthetic.truth((), CELLS), train=100, held_out=100)
    model = retina.model("glm", split.spec, lags=4, history=2, coupling=True)
    params = jax.tree.map(jnp.zeros_like, model.stage.init(jax.random.key(0)))
    heard = np.zeros((2, CELLS, CELLS), np.float32)
    heard[0, :3, :3] = weight
    output = params["history_output"] | {"history": jnp.asarray(heard)}
    params = params | {
        "history_output": output | {"gain": jnp.ones(CELLS)},
        "temporal": jax.tree.map(jnp.ones_like, params["temporal"]),
        "spatial": params["spatial"] | {"filters": jnp.full((CELLS, 1, 1, 1), 0.3)},
    }
    return Fit(model, params, (params,), np.full(CELLS, 0.5), {}, (), {})


def spoken(fit: Fit, trials: int) -> Clip:
    """A test clip of what the fit itself says."""
    stimulus = np.random.default_rng(0).normal(size=300).astype("f4")
    counts = simulate(
        fit.model, fit.params, stimulus, key=jax.random.key(1), trials=trials
    )
    return Clip("one", stimulus, counts, skip=4, group="frozen")


def test_noise_that_is_shared_is_simulated_by_who_couples_and_by_no_other():
    clip = spoken(chained(0.4), 40)
    (with_it,) = population(chained(0.4), [clip])
    assert (with_it.group, with_it.cells, with_it.trials) == ("frozen", CELLS, 40)
    assert with_it.pairs == 15
    assert with_it.noise_chance == pytest.approx(1 / np.sqrt(39 * 296))
    assert with_it.noise_r > 0.9  # three pairs of the fifteen, in both
    (without,) = population(chained(0.0), [clip])
    assert without.noise_recorded == with_it.noise_recorded
    assert abs(without.noise_simulated) < 2 * without.noise_chance
    assert without.noise_r < 0.9
    # One filter for all, so one prediction.
    assert without.effective_rank == pytest.approx(1, abs=1e-3)
    assert without.cells_needed == 1
    assert "15 pairs: recorded" in without.sentence


def test_longer_bins_are_those_of_the_counts_added_up():
    fit, clip = chained(0.4), spoken(chained(0.4), 10)
    (found,) = population(fit, [clip], bin_s=3 * fit.model.spec.bin_s)
    assert found.bin_s == pytest.approx(3 * fit.model.spec.bin_s)
    assert found.noise_chance == pytest.approx(1 / np.sqrt(9 * 98))  # 296 // 3
    counts = clip.response[:, 4:298].reshape(10, 98, 3, CELLS).sum(2)
    residual = (counts - counts.mean(0)).reshape(-1, CELLS)
    by_hand = np.corrcoef(residual.T)[np.triu_indices(CELLS, 1)]
    assert found.noise_recorded == pytest.approx(np.median(by_hand), abs=1e-6)
    with pytest.raises(BadSetting, match="no multiple"):
        population(fit, [clip], bin_s=1.5 * fit.model.spec.bin_s)


def test_single_trials_have_no_noise_to_compare():
    fit = chained(0.0)
    clip = spoken(fit, 1)
    (found,) = population(fit, [dataclasses.replace(clip, group="running")])
    assert found.pairs == 0 and np.isnan(found.noise_recorded)
    assert "no repeats" in found.sentence
    with pytest.raises(MissingData):
        population(fit, [])
