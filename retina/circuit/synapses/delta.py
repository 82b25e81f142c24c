"""Delta synapse: an event adds its weight to the target at once, and is gone.

V <- V + w: the 1 FLOP per spike through a synapse of the low published guess.
"""

from __future__ import annotations

import jax.numpy as jnp

from retina.circuit.synapses.synapse import Synapse, at_dt


def delta(count: int, dt_s: float) -> Synapse:
    """Rung S0. Out: the sum of the weights that arrived in this step, in their unit.

    count, dt_s: see `Synapse`.

    >>> from retina.circuit.synapses.price import price
    >>> price(delta(1, 0.001)).event.flops, price(delta(1, 0.001)).step.flops
    (1, 0)
    """
    at_dt("delta", dt_s)

    def start(params, key=None):
        return {"sum": jnp.zeros(count, jnp.float32)}

    def on_event(params, state, event):
        return {"sum": state["sum"] + event.amount}

    def step(params, state, pre, post_mv):
        return {"sum": jnp.zeros_like(state["sum"])}, state["sum"]

    return Synapse(
        count,
        dt_s,
        init=lambda key: {},
        start=start,
        step=step,
        on_event=on_event,
        parameters={},
        about=("delta",),
        burn_in_s=0.0,
        linear=True,
        on_rate=lambda params, state, rate, post_mv: (state, rate * dt_s),
    )
