"""A model small enough to be fitted in no time, which breaks when asked to."""

from __future__ import annotations

import time

import jax.numpy as jnp

from retina.fitting.start import mean_counts
from retina.parameter import Parameter
from retina.stage import Model, Recipe, memoryless


def tiny(spec, /, *, pixel=0, weight=0.1, breaks="", wide=None, pause_s=0.0):
    """rate = mean * exp(weight * one pixel); `breaks` raises, or hangs."""
    if breaks == "value":
        raise ValueError("as asked\nand more")
    if breaks == "hang":
        time.sleep(3600)

    time.sleep(pause_s)

    def one(params, x):
        return params["rate"] * jnp.exp(jnp.float32(weight) * x.astype("f4")[pixel, 0])

    stage = memoryless(
        one,
        init=lambda key: {"rate": jnp.ones(spec.cells, jnp.float32)},
        parameters={"rate": Parameter(unit="count", low=0.0)},
        about=("tiny", spec.cells, pixel, weight),
    )

    def warm_start(params, clips):
        return {"rate": jnp.asarray(mean_counts(clips), jnp.float32)}

    recipe = Recipe("lbfgs", max_steps=0)
    return Model("tiny", spec, stage, warm_start=warm_start, recipe=recipe)
