"""A synapse of K states in a row, in one of them: a random draw and a table per event.

The chain of `markov`, drawn: an event of a synapse in state k goes up with chance up_k,
down with chance down_(k-1), and passes on its weight times k / (K - 1). The draw is one
of 256, looked up in a table, so chances are rounded to 1/256. A state is log2 K bits;
between events nothing happens.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from retina.circuit.synapses.markov import CHANCE, chances, row
from retina.circuit.synapses.synapse import Event, Synapse
from retina.errors import BadSetting

DRAWS = 256


def state_machine(inner: Synapse, states: int = 8) -> Synapse:
    """Rung S10'': an event reaches the inner rung with the efficacy of the state.

    inner:  the postsynaptic rung, driven by events.
    states: K.
    raises: BadSetting for fewer than two states or a graded inner rung.

    >>> from retina.circuit.synapses.delta import delta
    >>> from retina.circuit.synapses.price import price
    >>> price(state_machine(delta(1, 0.001))).event.flops
    2
    """
    if inner.on_event is None:
        raise BadSetting(f"{inner.about[0]} is not driven by events; give one that is")
    hear, efficacy = inner.on_event, row(states)

    def start(params, key=None):
        key = jax.random.key(0) if key is None else key
        return {
            "level": jnp.full(inner.count, (states - 1) // 2, jnp.int32),
            "key": key,
            "target": inner.start(params, key),
        }

    def on_event(params, state, event):
        key, now = jax.random.split(state["key"])
        level = state["level"]
        passed = event.amount * jnp.asarray(efficacy)[level]
        # uint8 bits are a draw of one of 256.
        drawn = jax.random.bits(now, level.shape, jnp.uint8).astype(jnp.int32)
        return {
            "level": table(params)[level, drawn],
            "key": key,
            "target": hear(params, state["target"], Event(passed, event.time_s)),
        }

    def step(params, state, pre, post_mv):
        target, out = inner.step(params, state["target"], pre, post_mv)
        return state | {"target": target}, out

    def older(state, dt_s):
        return state | {"target": inner.older(state["target"], dt_s)}

    return inner._replace(
        init=lambda key: inner.init(key) | chances(states),
        start=start,
        on_event=on_event,
        step=step,
        parameters={**inner.parameters, **CHANCE},
        about=("state_machine", states, inner.about),
        burn_in_s=inner.burn_in_s + 60.0,
        linear=False,
        on_rate=None,
        older=older,
    )


def table(params) -> jax.Array:
    """(K, 256) int32: the next state, by the state and the draw."""
    never = jnp.zeros(1, params["up"].dtype)
    up = jnp.round(DRAWS * jnp.concatenate([params["up"], never]))
    down = jnp.round(DRAWS * jnp.concatenate([never, params["down"]]))
    draw = jnp.arange(DRAWS, dtype=up.dtype)[None]
    rises = draw < up[:, None]
    falls = draw >= DRAWS - down[:, None]
    here = jnp.arange(up.size, dtype=jnp.int32)[:, None]
    return here + rises.astype(jnp.int32) - falls.astype(jnp.int32)
