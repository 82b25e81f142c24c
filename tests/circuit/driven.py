"""A stage run over a clip, and what it is given."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np

from retina.circuit.cascade import cascade

LEAKY = functools.partial(cascade, stages=1, tau_s=0.03)
BIN_S = 0.02


def run(stage, x, params=None):
    params = stage.init(jax.random.key(0)) if params is None else params
    x = jnp.asarray(x, jnp.float32)
    return np.asarray(jax.jit(stage.apply)(params, stage.start(params), x)[1])


def drawn(bins: int, cells: int) -> np.ndarray:
    return np.abs(np.random.default_rng(0).standard_normal((bins, cells)))
