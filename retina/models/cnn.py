"""Two convolutional layers over a temporal basis, one readout per cell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from retina.errors import at_least_one, at_least_zero
from retina.fitting.start import (
    field_centres,
    mean_counts,
    spike_triggered_average,
    time_courses,
)
from retina.layers.convolution import conv2d, output_shape
from retina.layers.door import door, image_shape
from retina.layers.fir import temporal_basis
from retina.layers.nonlinearity import output, output_from_mean, pointwise
from retina.layers.readout import factorised, look_at
from retina.recipe import Recipe
from retina.stage import Model, Stage, before, chain
from retina.types import Spec


def cnn(
    spec: Spec,
    /,
    *,
    lags: int = 30,
    basis: int | None = None,
    channels: int | None = None,
    sizes: tuple[int, int] = (9, 5),
    stride: int = 1,
    nonlinearity: str = "relu",
    readout_rank: int = 8,
    output_kind: str = "softplus",
    shrink: float = 4e-5,
    readout_shrink: float = 2e-6,
) -> Model:
    """Temporal basis, convolution, convolution, factorised readout, output.

    lags:         bins of stimulus seen.
    basis:        time courses that each pixel's past is projected on, taken from the
                  spike-triggered averages; every channel of the first layer mixes them
                  freely. None: 4 on an image; every lag where the frame is one pixel.
    channels:     per layer; None: 8 on an image, 32 where the frame is one pixel and
                  convolution has no places to reuse its channels at.
    sizes:        kernels' height and width in pixels; larger than the frame: the frame.
    stride:       pixels between neighbouring units of the first layer.
    nonlinearity: relu, softplus, elu or sigmoid after each convolution.
    readout_rank: spatial masks per cell, each with its own weights of the features.
    output_kind:  softplus, exp or spline.
    shrink:       weight of the sum of squares of the kernels as stored, with unit
                  spread: a prior of the same width for each weight, however many.
    readout_shrink: the same for the masks and their features.
    source:       McIntosh et al. 2016, arXiv 1702.01825; Klindt et al. 2017,
                  arXiv 1711.02653 (readout).

    >>> cnn(Spec((20, 20), 3, 0.01), channels=2).stage.lags
    29
    """
    at_least_zero(shrink=shrink, readout_shrink=readout_shrink)
    stages, warm = core(
        spec,
        lags=lags,
        basis=basis,
        channels=channels,
        sizes=sizes,
        stride=stride,
        nonlinearity=nonlinearity,
        readout_rank=readout_rank,
    )
    last = output(output_kind, spec.cells)

    def warm_start(params, clips):
        params = params | warm(params, clips)
        counts = mean_counts(clips)
        params["output"] = output_from_mean(output_kind, params["output"], counts)
        return params

    stage = chain(*stages, last)
    return Model(
        "cnn",
        spec,
        stage,
        warm_start=warm_start,
        penalty=lambda params: weight_squares(params, shrink, readout_shrink),
        recipe=clipwise(spec),
        core=before(stage, "factorised"),
    )


def core(
    spec: Spec,
    *,
    lags: int,
    basis: int | None,
    channels: int | None,
    sizes: tuple[int, int],
    stride: int,
    nonlinearity: str,
    readout_rank: int,
) -> tuple[list[Stage], Callable[..., dict[str, Any]]]:
    """The stages from frame to one drive per cell, and their start from the STA."""
    at_least_one(lags=lags, basis=basis)
    image = image_shape(spec)
    if basis is None:
        basis = lags if image == (1, 1) else 4
    past = temporal_basis(image, lags, basis)
    stages, look = trunk(
        spec,
        past,
        min(basis, lags),
        channels=channels,
        sizes=sizes,
        stride=stride,
        nonlinearity=nonlinearity,
        readout_rank=readout_rank,
    )

    def warm(params, clips):
        average = spike_triggered_average(clips, lags, spec)
        started = look(params, average)
        if basis < lags:
            courses = jnp.asarray(time_courses(average, basis))
            started["temporal_basis"] = {"courses": courses}
        return started

    return stages, warm


def trunk(
    spec: Spec,
    past: Stage,
    courses: int,
    *,
    channels: int | None,
    sizes: tuple[int, int],
    stride: int,
    nonlinearity: str,
    readout_rank: int,
) -> tuple[list[Stage], Callable[..., dict[str, Any]]]:
    """Convolution, convolution and readout of what `past` keeps of each pixel.

    past:    stage (height, width) -> (height, width, courses).
    returns: the stages, the door included, and (params, average) -> where to look.
    """
    at_least_one(channels=channels, sizes=sizes)
    at_least_one(stride=stride, readout_rank=readout_rank)
    image = image_shape(spec)
    if channels is None:
        channels = 32 if image == (1, 1) else 8
    seen = (*image, courses)
    first = conv2d(seen, channels, sizes[0], stride=stride)
    hidden = output_shape(seen, channels, sizes[0], stride)
    second = conv2d(hidden, channels, sizes[1])
    features = output_shape(hidden, channels, sizes[1])
    places = features[0] * features[1]
    bend = pointwise(nonlinearity)
    readout = factorised(features, spec.cells, min(readout_rank, places))

    def look(params, average) -> dict[str, Any]:
        if features[:2] == (1, 1):
            return {}
        centres = field_centres(average, image, features[:2], stride)
        mask = look_at(centres, features[:2], params["factorised"]["mask"])
        return {"factorised": params["factorised"] | {"mask": mask}}

    return [door(spec), past, first, bend, second, bend, readout], look


def clipwise(spec: Spec) -> Recipe:
    """Two clips a step; on an image each is work enough for a CPU on its own."""
    alone = image_shape(spec) != (1, 1)
    bins = 128 * spec.bins_per_frame
    return Recipe(learning_rate=2e-2, clip_bins=bins, batch=2, in_turn=alone)


def weight_squares(params, shrink: float, readout_shrink: float):
    """Sums of squares of kernels and of masks with their features, weighted."""

    def squares(part: str, *names: str):
        return sum(jnp.sum(jnp.square(params[part][name])) for name in names)

    kernels = squares("conv2d", "kernel") + squares("conv2d2", "kernel")
    readout = squares("factorised", "mask", "features")
    return shrink * kernels + readout_shrink * readout
