"""Alpha synapse: a second-order filter, g(t) = w (t/tau) e^(1 - t/tau).

tau dh/dt = -h, tau dg/dt = h - g. Exact at the ends of time steps: with h in units that
hold dt/tau, g <- a g + h and h <- a h, a = e^(-dt/tau).
"""

from __future__ import annotations

import math

import jax.numpy as jnp

from retina.circuit.synapses.synapse import Synapse, at_dt
from retina.parameter import Parameter

TAU = Parameter(0.003, "s", 1e-4, 1.0, source="chosen: near AMPA at ganglion cells")


def alpha(count: int, dt_s: float, tau: Parameter = TAU) -> Synapse:
    """Rung S3. Out: g at the start of the step; it peaks at the weight, at t = tau.

    count, dt_s: see `Synapse`.
    tau:         of both stages: its start and bounds.

    >>> import jax
    >>> synapse = alpha(1, 0.003)
    >>> round(float(synapse.scale(synapse.init(jax.random.key(0)))), 3)  # dt = tau
    1.0
    """
    at_dt("alpha", dt_s)

    def keep(params):
        return jnp.exp(-dt_s / params["tau_s"])

    def start(params, key=None):
        still = jnp.zeros(count, params["tau_s"].dtype)
        return {"g": still, "h": still}

    def on_event(params, state, event):
        return state | {"h": state["h"] + event.amount}

    def step(params, state, pre, post_mv):
        a = keep(params)
        after = {"g": a * state["g"] + state["h"], "h": a * state["h"]}
        return after, state["g"]

    def on_rate(params, state, rate, post_mv):
        """h is e times the first filter here, without the unit of a step."""
        tau = params["tau_s"]
        steps = dt_s / tau
        a, part = jnp.exp(-steps), -jnp.expm1(-steps)
        goal = math.e * tau * rate
        h, g = state["h"] - goal, state["g"] - goal
        after = {"g": goal + a * (g + steps * h), "h": goal + a * h}
        return after, goal + (g * part + h * (part - steps * a)) / steps

    return Synapse(
        count,
        dt_s,
        init=lambda key: {"tau_s": jnp.float32(tau.value)},
        start=start,
        step=step,
        on_event=on_event,
        parameters={"tau_s": tau},
        about=("alpha", *(() if tau is TAU else (tau.value, tau.high))),
        burn_in_s=15 * tau.high,
        linear=True,
        on_rate=on_rate,
        scale=lambda params: math.e * dt_s / params["tau_s"] * keep(params),
    )
