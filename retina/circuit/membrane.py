"""A passive membrane: currents to a potential, and what it releases above threshold.

    C dV/dt = g_L (E_L - V) + I,   output k softplus((V - V_th) / k) in mV

The leak is exact at any step. Conductances onto it are currents I of the potential a
step before (`Population.voltage`): they add to the leak's pull, and the step is stable
below 2 C / (g_L + g): a population with a voltage gives its safe_s, SAFE_S below.
Source: the conductance form of any circuit model; the membrane's 10 ms are recalled,
all else chosen.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from retina.parameter import Parameter
from retina.stage import Stage, recurrent

LEAK_NS = 1.0
PARAMETERS = {
    "g_leak": Parameter(LEAK_NS, "nS", 0.1, 10.0, False, "chosen"),
    "e_leak_mv": Parameter(-60.0, "mV", -90.0, -30.0, False, "chosen"),
    "c_nf": Parameter(0.01, "nF", 0.002, 0.1, source="recalled: tau 10 ms"),
    "threshold_mv": Parameter(
        -45.0, "mV", -70.0, -10.0, source="chosen", axes=("cell",)
    ),
    "softness_mv": Parameter(2.0, "mV", 0.1, 20.0, source="chosen"),
}
# Conductances of 19 times the leak do not ring; from 39 times on nothing is stable. At
# the lower bound of the capacitance it is a fifth of that: 3.5 times, and 8.
SAFE_S = 0.0005


def membrane(cells: int, dt_s: float) -> Stage:
    """Stage (cells,) -> (cells,): current in pA to release in mV, above 0.

    Its state "V" is the potential in mV, at rest to begin with.

    >>> stage = membrane(1, 0.0005)
    >>> params = stage.init(jax.random.key(0))
    >>> state, _ = stage.apply(params, stage.start(params), jnp.full((400, 1), 20.0))
    >>> round(state["V"].item(), 3)  # 20 pA over 1 nS
    -40.0
    """

    def init(key: jax.Array):
        params = {n: jnp.float32(p.value) for n, p in PARAMETERS.items()}
        return params | {"threshold_mv": jnp.full(cells, params["threshold_mv"])}

    def start(params, key=None):
        return {"V": jnp.full(cells, params["e_leak_mv"])}

    def step(params, state, current):
        keep = jnp.exp(-dt_s * params["g_leak"] / params["c_nf"])
        goal = params["e_leak_mv"] + current * (1 / params["g_leak"])
        v = goal + (state["V"] - goal) * keep
        return {"V": v}, released(params, v)

    return recurrent(
        step,
        start=start,
        init=init,
        parameters=PARAMETERS,
        burn_in_s=10 * PARAMETERS["c_nf"].high / LEAK_NS,
        about=("membrane", cells, dt_s),
    )


def released(params, v: jax.Array) -> jax.Array:
    """The smoothly rectified potential above threshold, in mV."""
    above = (v - params["threshold_mv"]) / params["softness_mv"]
    return params["softness_mv"] * jax.nn.softplus(above)


def potential(state) -> jax.Array:
    """What `Population.voltage` wants."""
    return state["V"]


def contract() -> list[tuple[Stage, tuple[int, ...]]]:
    return [(membrane(2, 0.005), (2,))]
