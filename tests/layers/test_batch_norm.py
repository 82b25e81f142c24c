"""Batch normalisation against flax's, and its two views against each other."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from retina.costs.flops import count_step
from retina.layers.batch_norm import SHARE, batch_norm, normalise, training_pass
from retina.layers.nonlinearity import pointwise
from retina.stage import chain, windowed

UNITS = 5


def _params(seed: int = 0, **changes):
    keys = jax.random.split(jax.random.key(seed), 4)
    normal = [jax.random.normal(key, (UNITS,)) for key in keys]
    return {
        "scale": normal[0],
        "offset": normal[1],
        "mean": normal[2],
        "variance": jnp.exp(normal[3]),
        "batches": jnp.float32(0),
    } | changes


def _batch(seed: int = 7, examples: int = 40) -> jax.Array:
    x = jax.random.normal(jax.random.key(seed), (examples, UNITS))
    return 3 * x * jnp.arange(1.0, UNITS + 1)[None] + 2


def _theirs(params, training: bool) -> nnx.BatchNorm:
    made = nnx.BatchNorm(
        UNITS,
        use_running_average=not training,
        momentum=1 - SHARE,
        epsilon=1e-3,
        rngs=nnx.Rngs(0),
    )
    for ours, name in {"scale": "scale", "offset": "bias"}.items():
        getattr(made, name)[...] = params[ours]
    for ours, name in {"mean": "mean", "variance": "var"}.items():
        getattr(made, name)[...] = params[ours]
    return made


def test_frozen_statistics_give_what_flax_gives():
    params, x = _params(), _batch()
    y = batch_norm((UNITS,)).apply(params, (), x)[1]
    np.testing.assert_allclose(y, _theirs(params, False)(x), rtol=1e-5, atol=1e-5)


def test_a_late_training_pass_gives_and_keeps_what_flax_does():
    """Late: when enough batches were seen that each counts for SHARE."""
    params, x = _params(batches=jnp.float32(5000)), _batch()
    theirs = _theirs(params, True)
    y, moved = normalise(params, x)
    np.testing.assert_allclose(y, theirs(x), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(moved["mean"], theirs.mean[...], rtol=1e-5)
    np.testing.assert_allclose(moved["variance"], theirs.var[...], rtol=1e-4)
    assert moved["batches"] == 5001
    assert np.array_equal(moved["scale"], params["scale"])


def test_statistics_that_are_kept_have_no_slope():
    def kept(x):
        return sum(
            jnp.sum(normalise(_params(), x)[1][name]) for name in ("mean", "variance")
        )

    assert not np.any(jax.grad(kept)(_batch()))


def test_a_bin_costs_a_multiply_and_an_add_per_unit():
    stage = batch_norm((3, 4, 2))
    params = stage.init(jax.random.key(0))
    setup, step = count_step(stage, params, jnp.zeros((3, 4, 2)))
    assert (step.multiplies, step.adds, step.flops) == (24, 24, 48)
    assert setup.transcendentals == 24


def _chained(noise: float = 0.0, share: float | None = None):
    """Normalised, bent, differenced over 3 bins, and normalised again."""
    difference = windowed(
        lambda params, past: past[-1] - 0.5 * past[0],
        3,
        shape=(UNITS,),
        about=("difference",),
    )
    stages = (
        difference,
        batch_norm((UNITS,)),
        pointwise("relu"),
        batch_norm((UNITS,)),
    )
    whole = chain(*stages)
    return whole, jax.jit(training_pass(whole, stages, noise=noise, share=share))


def test_the_pass_is_the_chain_with_the_statistics_it_measured():
    """Of the bins with a whole history, and of no others: the clips start far off."""
    whole, measure = _chained(share=1.0)
    params = {
        "difference": {},
        "batch_norm": _params(1),
        "relu": {},
        "batch_norm2": _params(2),
    }
    x = _batch(examples=4 * 12).reshape(4, 12, UNITS)
    rate, after = measure(params, x, jax.random.key(0))
    assert rate.shape == (4, 10, UNITS)
    for clip in range(4):
        frozen = whole.apply(after, whole.start(after), x[clip])[1]
        np.testing.assert_allclose(rate[clip], frozen[2:], rtol=1e-4, atol=1e-4)
    seen = (x[:, 2:] - 0.5 * x[:, :-2]).reshape(-1, UNITS)
    np.testing.assert_allclose(after["batch_norm"]["mean"], seen.mean(0), rtol=1e-4)
    np.testing.assert_allclose(after["batch_norm"]["variance"], seen.var(0), rtol=1e-4)


def test_noise_of_the_size_asked_for_comes_before_the_rectification():
    """Where nothing is cut off and nothing else is random it can be read off."""
    whole, quiet = _chained()
    _, loud = _chained(noise=0.2)
    params = whole.init(jax.random.key(0))
    params["batch_norm"]["offset"] = jnp.full(UNITS, 10.0)
    # The last norm divides by the s.d. of its batch: about 1.
    x = _batch(examples=4 * 500).reshape(4, 500, UNITS)
    key = jax.random.key(3)
    clean = quiet(params, x, key)[0]
    added = np.asarray(loud(params, x, key)[0] - clean)
    # Normalised again, the sum is divided by sqrt(1 + 0.2 ** 2) and clean + noise
    # has a correlation of 1 / sqrt(1 + 0.2 ** 2) with clean.
    whole_sd = np.sqrt(1 + 0.2**2)
    left = added - np.asarray(clean) * (1 / whole_sd - 1)
    assert left.std() * whole_sd == pytest.approx(0.2, rel=0.03)
    again = np.asarray(loud(params, x, key)[0] - clean)
    other = np.asarray(loud(params, x, jax.random.key(4))[0] - clean)
    assert np.array_equal(again, added)
    assert abs(np.corrcoef(other.ravel(), added.ravel())[0, 1]) < 0.2
