"""Ribbon synapse that releases whole vesicles, or the mean of what it releases.

In every step: release ~ BetaBinomial(docked, p, rho), dock ~ Binomial(ribbon, d) as far
as there is room for D docked, refill ~ Poisson(lambda) as far as there is room for R on
the ribbon; p = p_0 + (1 - p_0) sigmoid(k (Ca - x_0)). The mean form puts the mean in
place of each draw: equal to the mean over draws as long as neither room is used up.
Source: Schroeder, James, Lagnado & Berens 2019, NeurIPS, code abc-ribbon 6edbf7a, a fit
to binary noise in steps of 10 ms. d differs 20 times between stimuli: weakly known.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax

from retina.circuit.substeps import substeps
from retina.circuit.synapses.synapse import POOLS_S, Synapse
from retina.parameter import Parameter
from retina.quanta import quanta

SOURCE = "Schroeder et al. 2019 (abc-ribbon), binary noise"
STEP_S = 0.01
LEAST = 0.001  # p_0
CERTAIN = 1e-6  # what is left of doubt
PARAMETERS = {
    "slope": Parameter(40.9, "1", 1.0, 100.0, source=SOURCE),
    "half": Parameter(1.033, "1", 0.0, 2.0, source=SOURCE),
    "dock": Parameter(0.106, "1", 1e-4, 1.0, source=SOURCE),
    "refill": Parameter(0.376, "vesicle", 1e-3, 10.0, source=SOURCE),
    "correlation": Parameter(0.289, "1", 0.01, 0.99, False, SOURCE),
    "docked_max": Parameter(7.0, "vesicle", 1.0, 50.0, False, SOURCE),
    "ribbon_max": Parameter(50.0, "vesicle", 1.0, 500.0, False, SOURCE),
}


def ribbon_quanta(count: int, dt_s: float, *, mean: bool = False) -> Synapse:
    """Rung S8, graded. Pre: calcium, rescaled to [0, 1]; out: vesicles released.

    count, dt_s: see `Synapse`; a step of more than 10 ms, at which the numbers hold as
                 published, is cut into sub-steps and their releases are added; in
                 shorter ones every probability is that of its share.
    mean:        True: expected vesicles, for fitting. False: drawn, for simulation.

    >>> ribbon_quanta(2, 0.01, mean=True).start({"dock": jnp.float32(0.1)})["docked"]
    Array([0., 0.], dtype=float32)
    """
    number, dt = substeps("ribbon_quanta", dt_s, STEP_S)
    share = dt / STEP_S

    def init(key):
        return {n: jnp.float32(p.value) for n, p in PARAMETERS.items()}

    def start(params, key=None):
        empty = jnp.zeros(count, params["dock"].dtype)
        state = {"docked": empty, "ribbon": empty}
        if not mean:
            state["key"] = jax.random.key(0) if key is None else key
        return state

    def in_step(probability):
        if share == 1:
            return probability
        # The power's slope at certainty is infinite.
        return 1 - jnp.maximum(1 - probability, CERTAIN) ** share

    def step(params, state, pre, post_mv):
        opened = jax.nn.sigmoid(params["slope"] * (pre - params["half"]))
        p = in_step(LEAST + (1 - LEAST) * opened)
        dock, refill = in_step(params["dock"]), params["refill"] * share
        spread = 1 / params["correlation"] - 1

        def once(state, _=None):
            docked, ribbon = state["docked"], state["ribbon"]
            after = {}
            if mean:
                released, moved, added = p * docked, dock * ribbon, refill
            else:
                after["key"], *keys = jax.random.split(state["key"], 4)
                # Beta-binomial: vesicles of one ribbon share their luck.
                luck = jax.random.beta(keys[0], p * spread, (1 - p) * spread)
                released, moved = jax.random.binomial(
                    keys[1],
                    jnp.stack([docked, ribbon]),
                    jnp.stack([luck, jnp.broadcast_to(dock, luck.shape)]),
                )
                added = jax.random.poisson(keys[2], refill, ribbon.shape)
                added = added.astype(ribbon.dtype)
            left = docked - released
            moved = jnp.minimum(moved, params["docked_max"] - left)
            waiting = ribbon - moved
            after["docked"] = left + moved
            after["ribbon"] = jnp.minimum(waiting + added, params["ribbon_max"])
            return after, released

        if number == 1:
            state, released = once(state)
            return state, quanta(released)
        state, released = lax.scan(once, state, None, length=number)
        return state, quanta(released.sum(0))

    return Synapse(
        count,
        dt_s,
        init=init,
        start=start,
        step=step,
        on_event=None,
        parameters=PARAMETERS,
        about=("ribbon_quanta", mean, number),
        burn_in_s=POOLS_S,
        substeps=number,
    )
