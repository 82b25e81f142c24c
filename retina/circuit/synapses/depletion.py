"""One pool of vesicles that release empties and time refills: depression, graded.

    dD/dt = (1 - D) / tau - k u D,   release u D

D is the filled part of the pool; u, at least 0, is the release of a full pool.
The step is implicit (backward Euler), D' = (D + dt/tau) / (1 + dt/tau + dt k u): stable
at any step, D never leaves [0, 1], and what is released and refilled in a step is
exactly what the pool loses and gains. It is the mean of the depressing synapse of
Tsodyks & Markram 1997, PNAS 94:719, for graded release; with k = 0 it passes u.
"""

from __future__ import annotations

import math

import jax.numpy as jnp
from jax import lax

from retina.circuit.synapses.synapse import Synapse, at_dt
from retina.parameter import Parameter

PARAMETERS = {
    "use": Parameter(1.0, "1/s", 0.0, 100.0, source="chosen"),
    "tau_s": Parameter(0.8, "s", 0.02, 2.0, source="Van Hook et al. 2014, cone ribbon"),
}


def depletion(count: int, dt_s: float) -> Synapse:
    """Graded. Pre: release u of a full pool, at least 0; out: u D.

    count, dt_s: see `Synapse`; any step is stable.

    >>> pool = depletion(1, 0.01)
    >>> params = {"use": jnp.float32(5.0), "tau_s": jnp.float32(0.8)}
    >>> state = pool.start(params)
    >>> for _ in range(1000):
    ...     state, out = pool.step(params, state, jnp.ones(1), None)
    >>> round(out.item(), 4)  # 1 / (1 + k tau u)
    0.2
    """
    at_dt("depletion", dt_s)

    def init(key):
        return {n: jnp.float32(p.value) for n, p in PARAMETERS.items()}

    def start(params, key=None):
        return {"filled": jnp.ones(count, params["tau_s"].dtype)}

    def refill_and_keep(params, pre):
        """D' = (D + refill) keep."""
        refill = dt_s / params["tau_s"]
        return refill, 1 / ((1 + refill) + (params["use"] * dt_s) * pre)

    def step(params, state, pre, post_mv):
        refill, keep = refill_and_keep(params, pre)
        filled = (state["filled"] + refill) * keep
        return {"filled": filled}, pre * filled

    def clip(params, state, pre, post_mv):
        """All that is not recursion is done at once."""
        along = {n: jnp.broadcast_to(v, (1, count)) for n, v in params.items()}
        refill, keep = refill_and_keep(along, pre)
        refill = refill[0]

        def once(filled, keep):
            filled = (filled + refill) * keep
            return filled, filled

        last, filled = lax.scan(once, state["filled"], keep)
        return {"filled": last}, pre * filled

    return Synapse(
        count,
        dt_s,
        init=init,
        start=start,
        step=step,
        on_event=None,
        parameters=PARAMETERS,
        about=("depletion",),
        # Release empties the pool as well, so that it forgets sooner than by refill.
        burn_in_s=3 * PARAMETERS["tau_s"].high,
        hears=(0.0, math.inf),
        clip=clip,
    )
