"""The cheap photoreceptor: a fixed linear filter, right at one mean light level alone.

    F(t) = a (t/tau_R)^3 / (1 + (t/tau_R)^3) e^(-t/tau_D),   output = F * Phi in pA

Source: Chen et al. 2024, eLife 93795 (the linear form that the cascade of
`phototransduction` is compared with).
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax import lax

from retina.errors import BadSetting, nearest
from retina.parameter import Parameter
from retina.stage import Stage, windowed

SOURCE = "Chen et al. 2024, eLife 93795"
# a in pA per R*, tau_R and tau_D in seconds.
KINDS = {
    "primate_cone": (0.31, 0.0106, 0.0236),
    "mouse_cone": (0.031, 0.0316, 0.0567),
    "primate_rod": (5.3, 0.141, 0.208),
    "mouse_rod": (4.7, 0.115, 0.185),
}
UNITS = {"a": "pA", "tau_r_s": "s", "tau_d_s": "s"}
LONG = 8.0  # decay constants kept: the rest is below 1 % of the area
# A fit may make a filter twice as slow: the window then cuts off 4 % of it at most.
SLOWER = 2.0


def linear_photoreceptor(
    cells: int, bin_s: float, *, kind: str = "primate_cone"
) -> Stage:
    """Stage (cells,) -> (cells,): light in R*/receptor/s to the change of current, pA.

    kind:   primate_cone, mouse_cone, primate_rod or mouse_rod.
    raises: BadSetting for an unknown kind.

    >>> linear_photoreceptor(1, 0.01).lags
    18
    """
    if kind not in KINDS:
        raise BadSetting(f"kind {kind!r}: {nearest(kind, KINDS)}")
    values = dict(zip(UNITS, KINDS[kind], strict=True))
    taps = math.ceil(LONG * values["tau_d_s"] / bin_s)
    described = {
        n: Parameter(v, u, v / 10, v * (SLOWER if u == "s" else 10), source=SOURCE)
        for (n, v), u in zip(values.items(), UNITS.values(), strict=True)
    }

    def kernel(params) -> jax.Array:
        """(taps,) pA per R*/s, oldest first; each bin's middle stands for the bin."""
        middle = (taps - 0.5 - jnp.arange(taps, dtype=params["a"].dtype)) * bin_s
        rise = (middle / params["tau_r_s"]) ** 3
        fall = jnp.exp(-middle / params["tau_d_s"])
        return params["a"] * bin_s * rise / (1 + rise) * fall

    def batch(params, x: jax.Array) -> jax.Array:
        found = lax.conv_general_dilated(
            x.T[:, None], kernel(params)[None, None], (1,), "VALID"
        )
        return found[:, 0].T

    return windowed(
        lambda params, past: kernel(params) @ past,
        taps,
        shape=(cells,),
        init=lambda key: {n: jnp.float32(v) for n, v in values.items()},
        parameters=described,
        batch=batch,
        about=("linear_photoreceptor", cells, bin_s, kind),
    )


def contract() -> list[tuple[Stage, tuple[int, ...]]]:
    return [(linear_photoreceptor(2, 0.02), (2,))]
