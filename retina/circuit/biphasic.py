"""Kernels of bipolar cells: biphasic, of one shape, faster or slower, ON or OFF.

    F(t) = (t/tau)^3 / (1 + t/tau) e^(-(t/tau)^2) cos(100 - 2 pi t / phi)
    tau = 0.05 s / speed,   phi = 0.449 s / speed

with unit norm, so that white noise of s.d. 1 gives a drive of s.d. 1. OFF cells have
the minus. Source: Schroeder et al. 2019 and 2020, NeurIPS (code abc-ribbon 6edbf7a),
whose parameter is 1 / speed.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from retina.errors import at_least_one
from retina.parameter import Parameter
from retina.stage import Stage, windowed

TAU_S, PHI_S, PHASE = 0.05, math.pi * 0.2 / 1.4, 100.0
SPEED = Parameter(1.0, "1", 0.15, 6.0, source="chosen", axes=("kind",))


def biphasic(places: int, kinds: int, taps: int, bin_s: float, *, off: int) -> Stage:
    """Stage (places,) -> (places, kinds): each place's past through each kind's kernel.

    kinds:  of bipolar cell, the first `off` of them OFF.
    taps:   bins of history that are seen, the present one included.
    raises: BadSetting for a size below 1.

    >>> biphasic(1, 14, 30, 1 / 30, off=5).lags
    29
    """
    at_least_one(places=places, kinds=kinds, taps=taps)
    signs = np.where(np.arange(kinds) < off, -1, 1).astype(np.float32)

    def init(key: jax.Array):
        spread = jax.random.uniform(key, (kinds,), jnp.float32, 0.9, 1.1)
        return {"speed": spread * speeds(off, kinds - off)}

    def filters(params) -> jax.Array:
        """(taps, kind), oldest first."""
        return kernels(params["speed"], signs, taps, bin_s)[::-1]

    def batch(params, x: jax.Array) -> jax.Array:
        laid = filters(params).T[:, None, :]
        x = x.T[:, None, :]  # (place, 1, time)
        y = lax.conv_general_dilated(x, laid, (1,), "VALID")
        return jnp.moveaxis(y, 2, 0)

    return windowed(
        lambda params, past: past.T @ filters(params),
        taps,
        shape=(places,),
        init=init,
        parameters={"speed": SPEED},
        batch=batch,
        about=("biphasic", places, kinds, taps, bin_s, off),
    )


def kernels(speed: jax.Array, signs: np.ndarray, taps: int, bin_s: float) -> jax.Array:
    """(taps, kind), lag 0 first; a bin's middle stands for the bin."""
    t = ((jnp.arange(taps, dtype=jnp.float32) + 0.5) * bin_s)[:, None] * speed[None]
    u = t / TAU_S
    shape = u**3 / (1 + u) * jnp.exp(-u * u) * jnp.cos(PHASE - 2 * math.pi / PHI_S * t)
    norm = jnp.sqrt(jnp.sum(jnp.square(shape), 0, keepdims=True) + 1e-12)
    return shape / norm * signs[None]


def speeds(*counts: int) -> np.ndarray:
    """A start: within each group from half to twice the published, in equal ratios.

    >>> speeds(1, 3).tolist()
    [1.0, 0.5, 1.0, 2.0]
    """
    rows = [np.geomspace(0.5, 2, n) if n > 1 else np.ones(n) for n in counts]
    return np.concatenate(rows).astype(np.float32)


def contract() -> list[tuple[Stage, tuple[int, ...]]]:
    return [(biphasic(2, 3, 5, 0.03, off=1), (2,))]
