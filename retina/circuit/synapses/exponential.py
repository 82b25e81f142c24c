"""Exponential synapse: g jumps by its weight and decays, dg/dt = -g / tau.

Exact at the ends of time steps, whatever their length; driven by a rate, in its mean
over a step too.
"""

from __future__ import annotations

import jax.numpy as jnp

from retina.circuit.synapses.synapse import Synapse, at_dt
from retina.parameter import Parameter

TAU = Parameter(0.003, "s", 1e-4, 1.0, source="recalled: AMPA 2-5 ms at ganglion cells")


def exponential(count: int, dt_s: float, tau: Parameter = TAU) -> Synapse:
    """Rung S1. Out: g at the start of the step, in the unit of the weights.

    count, dt_s: see `Synapse`.
    tau:         of the decay: its start and bounds.

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

    def on_rate(params, state, rate, post_mv):
        g, mean = leak(state["g"], rate, params["tau_s"], dt_s)
        return {"g": g}, mean

    return Synapse(
        count,
        dt_s,
        init=lambda key: {"tau_s": jnp.float32(tau.value)},
        start=start,
        step=step,
        on_event=on_event,
        parameters={"tau_s": tau},
        about=("exponential", *(() if tau is TAU else (tau.value, tau.high))),
        burn_in_s=10 * tau.high,
        linear=True,
        on_rate=on_rate,
    )


def leak(g, inflow, tau_s, dt_s: float):
    """(at its end, mean over it) of a step of dg/dt = inflow - g / tau, exactly.

    >>> end, mean = leak(jnp.float32(0), jnp.float32(2), jnp.float32(0.5), 0.5)
    >>> round(float(end), 4), round(float(mean), 4)  # 1 - 1/e, 1/e
    (0.6321, 0.3679)
    """
    steps = dt_s / tau_s
    goal = inflow * tau_s
    apart = g - goal
    # 1 - e^(-x) itself: where x is small the rounding of e^(-x) would show.
    mean = goal + apart * (-jnp.expm1(-steps) / steps)
    return goal + apart * jnp.exp(-steps), mean
