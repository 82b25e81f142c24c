"""A synapse of K states in a row, by the probability of being in each.

    dp_k = x (up_(k-1) p_(k-1) - down_(k-1) p_k - up_k p_k + down_k p_(k+1))

x is the expected number of events in the step, at most 1; an event moves the synapse
one state up or down; in state k it passes on w_k = k / (K - 1). What `state_machine`
does at random, this does in the mean, for K - 1 edges in every step. Source: chosen (a
chain of efficacies, as in Fusi, Drew & Abbott 2005, Neuron 45:599, no branches).
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from retina.circuit.synapses.synapse import Synapse, at_dt
from retina.errors import BadSetting
from retina.parameter import Parameter

# Each below a half: an event can then not take more out of a state than is in it.
CHANCE = {
    "up": Parameter(0.05, "1", 0.0, 0.5, source="chosen", axes=("edge",)),
    "down": Parameter(0.1, "1", 0.0, 0.5, source="chosen", axes=("edge",)),
}


def markov(count: int, dt_s: float, states: int = 8) -> Synapse:
    """Rung S10, graded. Pre: expected events in a step; out: expected efficacy passed.

    count, dt_s: see `Synapse`.
    states:      K.
    raises:      BadSetting for fewer than two states.

    >>> markov(1, 0.001, 4).start(markov(1, 0.001, 4).init(None))["p"].shape
    (1, 4)
    """
    at_dt("markov", dt_s)
    efficacy = row(states)

    def start(params, key=None):
        p = jnp.zeros((count, states), params["up"].dtype)
        return {"p": p.at[:, (states - 1) // 2].set(1)}  # as `state_machine` starts

    def step(params, state, pre, post_mv):
        p, x = state["p"], jnp.clip(pre, 0, 1)[:, None]
        out = x[:, 0] * (p @ efficacy.astype(p.dtype))
        return {"p": chain_step(params["up"], params["down"], p, x)}, out

    return Synapse(
        count,
        dt_s,
        init=lambda key: chances(states),
        start=start,
        step=step,
        on_event=None,
        parameters=CHANCE,
        about=("markov", states),
        burn_in_s=60.0,
    )


def chain_step(up, down, p, x):
    """Occupancies after x events: 6 FLOPs an edge.

    up, down: (K - 1,) chance of the step over each edge, given an event.
    p:        (count, K). x: (count, 1).
    """
    over = x * (up[None] * p[:, :-1] - down[None] * p[:, 1:])
    first, last = p[:, :1] - over[:, :1], p[:, -1:] + over[:, -1:]
    between = p[:, 1:-1] + (over[:, :-1] - over[:, 1:])
    return jnp.concatenate([first, between, last], axis=1)


def row(states: int) -> np.ndarray:
    """(K,) float32: the efficacy of each state, from 0 to 1."""
    if states < 2:
        raise BadSetting(f"states {states}: give 2 or more")
    return np.linspace(0, 1, states, dtype=np.float32)


def chances(states: int):
    """Params to start from: the same chance over every edge."""
    return {
        n: jnp.full(states - 1, parameter.value or 0.0, jnp.float32)
        for n, parameter in CHANCE.items()
    }
