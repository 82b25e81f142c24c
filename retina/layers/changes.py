"""A layer that is told only of changes larger than a threshold.

What it has been told follows its input at a distance: it moves when the input has gone
further than the threshold, and no further than to be that near again. So it is always
within the threshold of the input. Delta networks jump to the input instead, at moments
that the last bit of a sum decides; here a small difference stays a small one, and the
streaming step and the clip view agree.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from retina.layers.linear import linear
from retina.parameter import Parameter
from retina.stage import Params, Signal, Stage, State

CHANGES = "on changes"


def on_changes(
    part: Stage, heard: Any, threshold: float = 0.0, burn_in_s: float = 0.0
) -> Stage:
    """A layer whose products are with changes of its input, most of them zero.

    part:      a memoryless stage whose output is a matrix times its input, and an
               offset.
    heard:     shape and dtype of its input.
    threshold: change of an input that is not told, in the input's unit, as it starts;
               it is kept among the parameters and no fit moves it.
    burn_in_s: seconds until the start is taken as forgotten. What was told is forgotten
               when the input has crossed the band, two thresholds wide, and never by
               time alone; without a threshold, in one bin.
    returns:   the stage with, for its state, what it was told and what it last said.
    source:    Krasnosel'skii & Pokrovskii 1989, Systems with Hysteresis (the play
               operator, recalled); Neil et al. 2017, arXiv 1612.05571 (delta networks).

    >>> told = on_changes(linear(1, 1), jax.ShapeDtypeStruct((1,), "f4"), 0.5)
    >>> params = told.init(jax.random.key(0))
    >>> x = jnp.array([[1.0], [1.4], [0.2]])
    >>> state, _ = told.apply(params, told.start(params), x)
    >>> round(state["told"].item(), 3)  # by way of 0.5 and 0.9
    0.7
    """

    def init(key: jax.Array) -> Params:
        return part.init(key) | {"threshold": jnp.float32(threshold)}

    def start(params: Params, key: jax.Array | None = None) -> State:
        silent = jnp.zeros(heard.shape, heard.dtype)
        return {"told": silent, "said": part.step(params, (), silent)[1]}

    def follow(params: Params, told: jax.Array, x: jax.Array) -> jax.Array:
        far = params["threshold"]
        return jnp.clip(told, x - far, x + far)

    def step(params: Params, state: State, x: Signal) -> tuple[State, Signal]:
        told = follow(params, state["told"], x)
        # The offset is in what was said before: a slope knows only of the product.
        _, more = jax.jvp(
            lambda x: part.step(params, (), x)[1],
            (told,),
            (told - state["told"],),
        )
        said = state["said"] + more
        return {"told": told, "said": said}, said

    def apply(params: Params, state: State, x: Signal) -> tuple[State, Signal]:
        def one(told: jax.Array, x_t: jax.Array):
            told = follow(params, told, x_t)
            return told, told

        _, told = lax.scan(one, state["told"], x)
        _, said = part.apply(params, (), told)
        return {"told": told[-1], "said": said[-1]}, said

    distance = Parameter(
        unit="input's", low=0.0, trainable=False, source="share of the input's s.d."
    )
    return part.seen(
        init=init,
        start=start,
        step=step,
        apply=apply,
        burn_in_s=burn_in_s,
        parameters={**part.parameters, "threshold": distance},
        about=(part.name, CHANGES, part.about),  # parameters stay where they were
    )


def contract() -> list[tuple[Stage, tuple[int, ...]]]:
    heard = jax.ShapeDtypeStruct((3,), jnp.float32)
    settings = ((0.0, 0.0), (1.0, 1.0))
    return [(on_changes(linear(3, 2), heard, *each), (3,)) for each in settings]
