"""A synapse of K states in a row, by the probability of being in each.

    dp_k = x (up_(k-1) p_(k-1) - down_(k-1) p_k - up_k p_k + down_k p_(k+1))

x is the expected number of events in the step, at most 1; an event moves the synapse
one state up or down; in state k it passes on w_k = k / (K - 1). What `state_machine`
does at random, this does in the mean, for K - 1 edges in every step. Source: chosen (a
chain of efficacies, as in Fusi, Drew & Abbott 2005, Neuron 45:599, no branches).

Where both ways are taken by events, a lasting rate of them changes how soon the chain
settles but not where: what an event passes on is then the same at any rate. A synapse
that tires under a graded drive R goes down by events and up in time (`timed`):

    dp_k/dt = up_(k-1) p_(k-1) - up_k p_k + R (down_k p_(k+1) - down_(k-1) p_k)

k is then a number of vesicles ready, and R sum w_k p_k is released (chosen).
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np

from retina.circuit.substeps import repeat, substeps
from retina.circuit.synapses.synapse import POOLS_S, Synapse, at_dt
from retina.errors import BadSetting
from retina.parameter import Parameter

# Each below a half: an event can then not take more out of a state than is in it.
CHANCE = {
    "up": Parameter(0.05, "1", 0.0, 0.5, source="chosen", axes=("edge",)),
    "down": Parameter(0.1, "1", 0.0, 0.5, source="chosen", axes=("edge",)),
}
# In a step at most one event is heard: of a terminal 30 per second in steps of STEP_S,
# more in shorter ones. What leaves a state in it is then at most what is in it,
# up * STEP_S + down <= 1.
STEP_S = 1 / 30
TIMED = {
    "up": Parameter(8.0, "1/s", 0.0, 15.0, source="chosen", axes=("edge",)),
    "down": Parameter(0.4, "1", 0.0, 0.5, source="chosen", axes=("edge",)),
}
USUAL_HZ = 7.0  # of `rungs`' gate at a drive of 0: where the chain starts settled
LEAST = 1e-6  # per second: a rate of 0 has no logarithm


def markov(count: int, dt_s: float, states: int = 8, *, timed: bool = False) -> Synapse:
    """Rung S10, graded. Pre: expected events in a step; out: expected efficacy passed.

    count, dt_s: see `Synapse`.
    states:      K.
    timed:       True: up in time; pre is events per second and out their efficacy per
                 second. Its parameters may be (count, K - 1), each synapse's own.
    raises:      BadSetting for fewer than two states.

    >>> markov(1, 0.001, 4).start(markov(1, 0.001, 4).init(None))["p"].shape
    (1, 4)
    """
    at_dt("markov", dt_s)
    efficacy = row(states)
    if timed:
        return _timed(count, dt_s, efficacy)

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


def _timed(count: int, dt_s: float, efficacy: np.ndarray) -> Synapse:
    states = len(efficacy)
    number, dt = substeps("markov", dt_s, STEP_S)

    def start(params, key=None):
        """Settled at the usual rate: as much goes up over each edge as down."""
        down = jnp.log(USUAL_HZ * params["down"] + LEAST)
        # Of logarithms: the product of 31 ratios of 20 is no number of float32.
        filled = jnp.cumsum(jnp.log(params["up"] + LEAST) - down, -1)
        filled = jnp.concatenate([jnp.zeros_like(filled[..., :1]), filled], -1)
        return {"p": jnp.broadcast_to(jax.nn.softmax(filled, -1), (count, states))}

    def step(params, state, pre, post_mv):
        x = jnp.minimum(pre * dt, 1)[:, None]
        up, down = (jnp.atleast_2d(params[n]) for n in ("up", "down"))
        up, down = up * dt, x * down
        weights = jnp.asarray(efficacy, state["p"].dtype) * (1 / number)

        def once(carried):
            p, passed = carried
            return moved(up * p[:, :-1] - down * p[:, 1:], p), passed + p @ weights

        p, passed = repeat(once, (state["p"], jnp.zeros_like(pre)), number)
        return {"p": p}, pre * passed

    return Synapse(
        count,
        dt_s,
        init=lambda key: {
            n: jnp.full(states - 1, parameter.value or 0.0, jnp.float32)
            for n, parameter in TIMED.items()
        },
        start=start,
        step=step,
        on_event=None,
        parameters=TIMED,
        about=("markov", states, "timed"),
        burn_in_s=POOLS_S,
        hears=(0.0, math.inf),
        substeps=number,
    )


def chain_step(up, down, p, x):
    """Occupancies after x events: 6 FLOPs an edge.

    up, down: (K - 1,) chance of the step over each edge, given an event.
    p:        (count, K). x: (count, 1).
    """
    return moved(x * (up[None] * p[:, :-1] - down[None] * p[:, 1:]), p)


def moved(over, p):
    """Occupancies (count, K) after flows (count, K - 1) from each state to the next."""
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
