"""Exponential synapse: g jumps by its weight and decays, dg/dt = -g / tau.

Exact at the ends of time steps, whatever their length.
"""

from __future__ import annotations

import jax.numpy as jnp

from retina.circuit.synapses.synapse import Synapse, at_dt
from retina.parameter import Parameter

TAU = Parameter(0.003, "s", 1e-4, 1.0, source="recalled: AMPA 2-5 ms at ganglion cells")


def exponential(count: int, dt_s: float) -> Synapse:
    """Rung S1. Out: g at the start of the step, in the unit of the weights.

    count, dt_s: see `Synapse`.

    >>> import jax
    >>> exponential(1, 0.001).init(jax.random.key(0))["tau_s"].item()
    0.003...
    """
    at_dt("exponential", dt_s)

    def start(params, key=None):
        return {"g": jnp.zeros(count, params["tau_s"].dtype)}

    def on_event(params, state, event):
        return {"g": state["g"] + event.amount}

    def step(params, state, pre, post_mv):
        return {"g": jnp.exp(-dt_s / params["tau_s"]) * state["g"]}, state["g"]

    return Synapse(
        count,
        dt_s,
        init=lambda key: {"tau_s": jnp.float32(TAU.value)},
        start=start,
        step=step,
        on_event=on_event,
        parameters={"tau_s": TAU},
        about=("exponential",),
        burn_in_s=10 * TAU.high,
        linear=True,
    )
