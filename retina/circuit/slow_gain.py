"""Slow gain of a patch: a neuromodulator or glia that follows its mean activity.

    tau dG/dt = G_0 + kappa mean(x) - G,   output x max(1 + G, 0)

tau of 1, 10 or 60 s. A negative kappa turns a busy patch down, as dopamine uncouples
cells in light; one state a patch. Source: chosen (the form, and all values).
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from retina.errors import BadSetting, at_least_one
from retina.parameter import Parameter
from retina.stage import Stage, recurrent

PARAMETERS = {
    "tau_s": Parameter(10.0, "s", 0.5, 120.0),
    "kappa": Parameter(-0.1, "1", -10.0, 10.0),
    "base": Parameter(0.0, "1", -1.0, 10.0),
}


def slow_gain(cells: int, bin_s: float, *, slowest_s: float = 120.0) -> Stage:
    """Stage (cells,) -> (cells,): any signal, scaled by the gain of its patch.

    cells:     of one patch; the gain follows their mean. Exact for any bin.
    slowest_s: the longest time constant a fit may come to; history reaches 5 of it.
    raises:    BadSetting for a bin that is no time.

    >>> stage = slow_gain(2, 0.01)
    >>> params = stage.init(jax.random.key(0))
    >>> stage.step(params, stage.start(params), jnp.ones(2))[1].tolist()
    [1.0, 1.0]
    """
    at_least_one(cells=cells)
    if not bin_s > 0:
        raise BadSetting(f"slow_gain: bin_s {bin_s:g} s; give a time above 0")
    if not slowest_s > PARAMETERS["tau_s"].low:
        raise BadSetting(f"slow_gain: slowest_s {slowest_s:g} s; give 0.5 s or more")
    start_s = min(PARAMETERS["tau_s"].value or 0.0, slowest_s / 2)
    described = PARAMETERS | {
        "tau_s": dataclasses.replace(PARAMETERS["tau_s"], value=start_s, high=slowest_s)
    }

    def init(key: jax.Array):
        return {n: jnp.float32(p.value) for n, p in described.items()}

    def start(params, key=None):
        return {"G": params["base"]}

    def step(params, state, x):
        # 1 - e^(-bin/tau) itself: the rounding of e^(-bin/tau) would show.
        part = -jnp.expm1(-bin_s / params["tau_s"])
        gain = state["G"]
        goal = params["base"] + params["kappa"] * x.mean()
        return {"G": gain + (goal - gain) * part}, x * jnp.maximum(1 + gain, 0)

    return recurrent(
        step,
        start=start,
        init=init,
        parameters=described,
        burn_in_s=5 * slowest_s,
        about=("slow_gain", cells, bin_s, slowest_s),
    )


def contract() -> list[tuple[Stage, tuple[int, ...]]]:
    return [(slow_gain(2, 0.01), (2,))]
