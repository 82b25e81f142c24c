"""A multilayer perceptron on the past of what each cell sees."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from retina.errors import at_least_one, at_least_zero
from retina.fitting.start import mean_counts, spike_triggered_average, time_courses
from retina.layers import receptive_field as field
from retina.layers.door import door, image_shape
from retina.layers.fir import temporal_basis
from retina.layers.linear import linear
from retina.layers.nonlinearity import output, output_from_mean, pointwise
from retina.layers.views import looking, views, views_size
from retina.models.ln import separate
from retina.recipe import Recipe
from retina.stage import Model, Stage, chain, memoryless
from retina.types import Spec


def mlp(
    spec: Spec,
    /,
    *,
    lags: int = 30,
    basis: int | None = None,
    rank: int = 2,
    window: int = 13,
    width: int = 64,
    depth: int = 2,
    nonlinearity: str = "relu",
    output_kind: str = "softplus",
    shrink: float = 4e-5,
) -> Model:
    """Views of each cell's window, their past, hidden layers that all cells share.

    lags:         bins of stimulus seen.
    basis:        time courses that each view's past is projected on, taken from the
                  spike-triggered averages; `lags` or more: every lag. None: 4 on an
                  image, every lag where the frame is one pixel.
    rank:         views per cell: spatial filters on its window, which start as the
                  spike-triggered average's best and are then fitted.
    window:       pixels on a side of the window, centred on the cell's receptive field.
    width, depth: units per hidden layer, hidden layers.
    nonlinearity: relu, softplus, elu or sigmoid of each unit.
    output_kind:  softplus, exp or spline.
    shrink:       weight of the sum of squares of all weights as stored, with unit
                  spread: a prior of the same width for each.

    >>> mlp(Spec((), 2, 0.01), width=8).stage.lags
    29
    """
    at_least_one(lags=lags, basis=basis, width=width, depth=depth)
    at_least_zero(shrink=shrink)
    stages, seen, warm = what_cells_see(spec, rank, window)
    if basis is None:
        basis = lags if seen == 1 else 4
    basis = min(basis, lags)
    inputs = seen * basis
    stages += [temporal_basis((seen,), lags, basis), flat((seen, basis))]
    for _ in range(depth):
        stages += [linear(inputs, width), pointwise(nonlinearity)]
        inputs = width
    stages += [
        linear(inputs, spec.cells, bias=False, spread=0.1),
        output(output_kind, spec.cells),
    ]

    def warm_start(params, clips):
        average = spike_triggered_average(clips, lags, spec)
        params = params | warm(average)
        if basis < lags:
            courses = jnp.asarray(time_courses(average, basis))
            params["temporal_basis"] = {"courses": courses}
        start = output_from_mean(output_kind, params["output"], mean_counts(clips))
        return params | {"output": start}

    return Model(
        "mlp",
        spec,
        chain(*stages),
        warm_start=warm_start,
        penalty=lambda params: shrink * squares(params, "filters", "kernel"),
        recipe=Recipe("adam", learning_rate=2e-2, clip_bins=128, batch=2),
    )


def what_cells_see(
    spec: Spec, rank: int, window: int
) -> tuple[list[Stage], int, Callable[[np.ndarray], dict]]:
    """Stages from the frame to `rank` views per cell, how many, and their warm start.

    The start is a function of a spike-triggered average (taps, cell, height, width).
    """
    at_least_one(rank=rank, window=window)
    image = image_shape(spec)
    rank = min(rank, int(np.prod(field.window_size(image, window))))
    stages = [door(spec), views(image, spec.cells, rank, window)]

    def warm(average: np.ndarray) -> dict:
        if image == (1, 1):
            return {}
        corner = field.place(average, window)
        seen = field.cut_windows(average, corner, window)
        return {"views": looking(corner, separate(seen, rank, len(average))[0])}

    return stages, views_size(image, spec.cells, rank), warm


def flat(shape: tuple[int, ...]) -> Stage:
    """(*shape) -> (size,)."""
    return memoryless(
        lambda params, x: x.reshape(-1),
        batch=lambda params, x: x.reshape(x.shape[0], -1),
        about=("flat", shape),
    )


def squares(params, *names: str) -> jax.Array:
    """Sum of squares of every leaf whose own name is one of `names`."""
    leaves = jax.tree_util.tree_leaves_with_path(params)
    chosen = [leaf for path, leaf in leaves if path[-1].key in names]
    return sum((jnp.sum(jnp.square(leaf)) for leaf in chosen), jnp.float32(0))
