"""The convolutional model over a recursive temporal basis: no window on the past."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from retina.errors import at_least_one, at_least_zero
from retina.fitting.start import mean_counts, spike_triggered_average, time_courses
from retina.layers.door import image_shape
from retina.layers.nonlinearity import output, output_from_mean
from retina.layers.recursive import best_tau, recursive_basis
from retina.models.cnn import clipwise, trunk, weight_squares
from retina.models.recursive_ln import averaged_lags
from retina.stage import Model, before, chain
from retina.types import Spec


def recursive_cnn(
    spec: Spec,
    /,
    *,
    stages: int | None = None,
    channels: int | None = None,
    sizes: tuple[int, int] = (9, 5),
    stride: int = 1,
    nonlinearity: str = "relu",
    readout_rank: int = 8,
    output_kind: str = "softplus",
    shrink: float = 4e-5,
    readout_shrink: float = 2e-6,
) -> Model:
    """The `cnn` whose first layer sees each pixel's past through Laguerre functions.

    stages: functions, of one trained time constant, that every channel of the first
            layer mixes freely. None: 4 on an image, 8 where the frame is one pixel.
    channels, sizes, stride, nonlinearity, readout_rank, output_kind, shrink,
    readout_shrink: as in `cnn`.
    source: McIntosh et al. 2016, arXiv 1702.01825 (the model); Marmarelis 1993,
            doi 10.1007/BF02368639 (filters from Laguerre functions).

    >>> recursive_cnn(Spec((20, 20), 3, 0.01), channels=2).stage.lags
    0
    """
    at_least_one(stages=stages)
    at_least_zero(shrink=shrink, readout_shrink=readout_shrink)
    image = image_shape(spec)
    count = stages or (8 if image == (1, 1) else 4)
    layers, look = trunk(
        spec,
        recursive_basis(image, count, spec.bin_s),
        count,
        channels=channels,
        sizes=sizes,
        stride=stride,
        nonlinearity=nonlinearity,
        readout_rank=readout_rank,
    )
    stage = chain(*layers, output(output_kind, spec.cells))

    def warm_start(params, clips):
        average = spike_triggered_average(clips, averaged_lags(clips, spec), spec)
        params = params | look(params, average)
        courses = time_courses(average, min(count, len(average))).astype(np.float64)
        tau, _ = best_tau(courses, count, spec.bin_s)
        params["recursive_basis"] = {"tau_s": jnp.float32(tau)}
        counts = mean_counts(clips)
        params["output"] = output_from_mean(output_kind, params["output"], counts)
        return params

    return Model(
        "recursive_cnn",
        spec,
        stage,
        warm_start=warm_start,
        penalty=lambda params: weight_squares(params, shrink, readout_shrink),
        recipe=clipwise(spec),
        core=before(stage, "factorised"),
    )
