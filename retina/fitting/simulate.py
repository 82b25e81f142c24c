"""The verb `simulate`: spike counts sampled from a model."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from retina.stage import Model, Tree

LOUDEST = 1e3  # counts per bin; a runaway of a history filter stops here


def simulate(
    model: Model, params: Tree, stimulus, *, key: jax.Array, trials: int = 1
) -> np.ndarray:
    """Poisson counts given the stimulus; a model with history hears its own counts.

    stimulus: (time, *frame).
    key:      jax.random.key.
    trials:   independent repeats, from the same cold start.
    returns:  (trial, time, cell) float32, counts per bin.

    >>> import jax
    >>> from retina.build import model
    >>> from retina.types import Spec
    >>> mean = model("mean", Spec((), 2, 0.01))
    >>> params = mean.stage.init(jax.random.key(0))
    >>> simulate(mean, params, np.zeros(5), key=jax.random.key(1), trials=3).shape
    (3, 5, 2)
    """
    return np.asarray(sampled(model, params, jnp.asarray(stimulus), key, trials)[0])


def free_running(
    model: Model, params: Tree, stimulus, *, key: jax.Array, runs: int
) -> np.ndarray:
    """Expected counts given the stimulus alone: the mean over `runs` sampled histories.

    returns: (time, cell) float64; its price is `runs` times that of one run.
    """
    rates = sampled(model, params, jnp.asarray(stimulus), key, runs)[1]
    return np.asarray(rates, np.float64)


def sampled(model: Model, params: Tree, stimulus, key: jax.Array, trials: int):
    """(trial, time, cell) counts and their mean rate (time, cell)."""
    stage = model.stage

    def one_trial(params, stimulus, key):
        key, begin = jax.random.split(key)

        def step(carry, x_t):
            state, heard, key = carry
            key, now = jax.random.split(key)
            signal = (x_t, heard) if stage.uses_response else x_t
            state, rate = stage.step(params, state, signal)
            rate = jnp.clip(rate, 0, LOUDEST)
            counts = jax.random.poisson(now, rate).astype(jnp.float32)
            return (state, counts, key), (counts, rate)

        silent = jnp.zeros(model.spec.cells, jnp.float32)
        start = (stage.start(params, begin), silent, key)
        return lax.scan(step, start, stimulus)[1]

    @jax.jit
    def run(params, stimulus, keys):
        counts, rates = jax.vmap(one_trial, (None, None, 0))(params, stimulus, keys)
        return counts, rates.mean(0)

    return run(params, stimulus, jax.random.split(key, trials))
