"""The training mean: what any model must beat, and what costs nothing."""

from __future__ import annotations

import jax.numpy as jnp

from retina.fitting.start import mean_counts
from retina.parameter import Parameter
from retina.recipe import Recipe
from retina.stage import Model, memoryless
from retina.types import Spec


def mean(spec: Spec, /) -> Model:
    """Every bin's expected count is the cell's mean count in training.

    >>> mean(Spec((), 2, 0.01)).stage.name
    'mean'
    """
    stage = memoryless(
        lambda params, x: params["rate"],
        batch=lambda params, x: jnp.tile(params["rate"], (x.shape[0], 1)),
        init=lambda key: {"rate": jnp.ones(spec.cells, jnp.float32)},
        parameters={"rate": Parameter(unit="count", low=0.0, axes=("cell",))},
        about=("mean", spec.cells),
    )

    def warm_start(params, clips):
        return {"rate": jnp.asarray(mean_counts(clips), jnp.float32)}

    return Model(
        "mean", spec, stage, warm_start=warm_start, recipe=Recipe("lbfgs", max_steps=0)
    )
