"""LN-LN: convolutional subunits, rectified, pooled by each cell, rectified again."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from retina.errors import at_least_one, at_least_zero
from retina.fitting.start import field_centres, mean_counts, spike_triggered_average
from retina.layers.convolution import conv2d, output_shape
from retina.layers.door import door, image_shape, one_channel
from retina.layers.fir import fir
from retina.layers.nonlinearity import output, output_from_mean, pointwise
from retina.layers.readout import dense, look_at
from retina.models.ln import courses_for
from retina.parameter import Parameter
from retina.recipe import Recipe
from retina.stage import Model, Stage, before, chain, memoryless
from retina.types import Spec


def lnln(
    spec: Spec,
    /,
    *,
    lags: int = 30,
    basis: int | None = None,
    subunits: int = 8,
    size: int = 9,
    nonlinearity: str = "relu",
    output_kind: str = "softplus",
    shrink: float = 1e-2,
) -> Model:
    """A bank of separable subunits repeated over the frame, pooled freely by each cell.

    lags:         bins of stimulus seen.
    basis:        raised cosines per subunit's temporal filter; None as in `ln`.
    subunits:     kinds of subunit; each stands at every place of the frame.
    size:         height and width of a subunit's spatial filter, pixels.
    nonlinearity: relu, softplus, elu or sigmoid of each subunit.
    output_kind:  softplus, exp or spline.
    shrink:       weight of the mean squared pooling weight.
    source:       Maheswaranathan et al. 2018, doi 10.1371/journal.pcbi.1006291.

    >>> lnln(Spec((20, 20), 3, 0.01), subunits=2).stage.lags
    29
    """
    at_least_one(lags=lags, basis=basis, subunits=subunits, size=size)
    at_least_zero(shrink=shrink)
    image = image_shape(spec)
    seen = (*image, 1)
    places = output_shape(seen, subunits, size)
    stages: list[Stage] = [
        door(spec),
        one_channel(),
        conv2d(seen, subunits, size, bias=False),
        fir(places, lags, basis=courses_for(image, lags, basis)),
        bias(places),
        pointwise(nonlinearity),
        dense(places, spec.cells),
        output(output_kind, spec.cells),
    ]

    def warm_start(params, clips):
        params = params | look(spec, params, clips, lags, places)
        counts = mean_counts(clips)
        start = output_from_mean(output_kind, params["output"], counts)
        return params | {"output": start}

    def penalty(params):
        weights = params["dense"]["weights"]
        return shrink * jnp.mean(jnp.square(weights))

    stage = chain(*stages)
    return Model(
        "lnln",
        spec,
        stage,
        warm_start=warm_start,
        penalty=penalty,
        recipe=Recipe(
            learning_rate=2e-2, clip_bins=128, batch=2, in_turn=image != (1, 1)
        ),
        core=before(stage, "dense"),
    )


def look(
    spec: Spec, params, clips, lags: int, places: tuple[int, int, int]
) -> dict[str, dict[str, jax.Array]]:
    """Params of `dense` with which each cell pools the subunits about its own field.

    places: (height', width', subunits) of the bank.
    """
    if places[:2] == (1, 1):
        return {}
    average = spike_triggered_average(clips, lags, spec)
    centres = field_centres(average, image_shape(spec), places[:2])
    noise = params["dense"]["weights"].T.reshape(spec.cells, *places)
    bumps = [
        look_at(centres, places[:2], noise[..., kind]) for kind in range(places[2])
    ]
    # Stored weights of order one at the bump: a first drive of order one.
    weights = jnp.stack(bumps, axis=-1).reshape(spec.cells, -1).T
    return {"dense": {"weights": 0.3 * weights}}


def bias(shape: tuple[int, ...]) -> Stage:
    """One offset per channel: a subunit's threshold."""
    return memoryless(
        lambda params, x: x + params["bias"].reshape((1,) * (x.ndim - 1) + (-1,)),
        batch=lambda params, x: x + params["bias"].reshape((1,) * (x.ndim - 1) + (-1,)),
        init=lambda key: {"bias": jnp.zeros(shape[-1], jnp.float32)},
        parameters={"bias": Parameter(axes=("out",))},
        about=("bias", shape),
    )
