"""Model template: say here, in one line, what it computes."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from retina.errors import BadSetting
from retina.layers.door import door, image_shape
from retina.parameter import Parameter
from retina.stage import Model, Recipe, chain, memoryless, windowed
from retina.types import Spec


def template(spec: Spec, /, *, lags: int = 20, smooth: float = 1e-4) -> Model:
    """A full space-time filter per cell and a softplus; this signature is the config.

    lags:   bins of stimulus that the filter sees, the present one included.
    smooth: weight of the mean squared filter in the loss.
    source: name the paper and its equation here.

    >>> from retina.types import Spec
    >>> template(Spec((8, 8), 3, 0.01), lags=5).stage.lags
    4
    """
    if lags < 1:
        raise BadSetting(f"lags {lags}: a filter needs at least 1 (the present bin)")
    shape = (lags, *image_shape(spec))

    def draw(key: jax.Array):
        return {"filters": 0.01 * jax.random.normal(key, (spec.cells, *shape))}

    # A window sees the last `lags` frames, oldest first, and gives one number per cell.
    drive = windowed(
        lambda params, seen: jnp.einsum("cthw,thw->c", params["filters"], seen),
        lags,
        shape=shape[1:],
        init=draw,
        parameters={"filters": Parameter(unit="1")},
        about=("filters", lags),
    )
    # Expected counts per bin: never negative.
    output = memoryless(
        lambda params, u: params["gain"] * jax.nn.softplus(u + params["bias"]),
        init=lambda key: {
            "gain": jnp.full(spec.cells, 0.1, jnp.float32),
            "bias": jnp.zeros(spec.cells, jnp.float32),
        },
        parameters={
            "gain": Parameter(unit="count", low=0.0),
            "bias": Parameter(unit="1"),
        },
        about=("softplus", spec.cells),
    )
    return Model(
        "template",
        spec,
        chain(door(spec), drive, output),
        penalty=lambda params: smooth * jnp.mean(params["filters"]["filters"] ** 2),
        recipe=Recipe("lbfgs", max_steps=200),
    )
