"""A convolution, a convolutional GRU over its map, one readout per cell."""

from __future__ import annotations

from retina.errors import BadSetting, at_least_one, at_least_zero
from retina.fitting.start import field_centres, mean_counts, spike_triggered_average
from retina.layers import conv_gru as gated
from retina.layers.convolution import conv2d, output_shape
from retina.layers.door import door, image_shape, one_channel
from retina.layers.nonlinearity import output, output_from_mean
from retina.layers.readout import factorised, look_at
from retina.models.mlp import squares
from retina.recipe import Recipe
from retina.stage import Model, before, chain
from retina.types import Spec

START_LAGS_S = 0.5  # seconds of stimulus behind the spike-triggered average


def conv_gru(
    spec: Spec,
    /,
    *,
    channels: int = 8,
    sizes: tuple[int, int] = (9, 3),
    stride: int = 2,
    readout_rank: int = 2,
    burn_in_s: float = 0.5,
    output_kind: str = "softplus",
    shrink: float = 4e-5,
    readout_shrink: float = 2e-6,
) -> Model:
    """Space by convolution, time by gates: no bin of the stimulus is kept.

    What the convolution gives is passed on with its sign; the gates are what bends.

    channels:     of the convolution and of the GRU.
    sizes:        kernels' height and width: the first in pixels, the GRU's in places of
                  its map.
    stride:       pixels between neighbouring places; where it does not divide what the
                  kernels leave, the frame's last pixels are not seen.
    readout_rank: spatial masks per cell, each with its own weights of the channels.
    burn_in_s:    seconds of stimulus before a clip's first bin of loss. The GRU may
                  learn to remember for longer; a fit sees no further back.
    output_kind:  softplus, exp or spline.
    shrink, readout_shrink: weights of the sums of squares of the kernels and of the
                  readout, as in `cnn`.
    source:       Ballas et al. 2016, arXiv 1511.06432; Klindt et al. 2017,
                  arXiv 1711.02653 (readout).

    >>> conv_gru(Spec((20, 20), 3, 0.01), channels=2).stage.burn_in_s
    0.5
    """
    at_least_one(channels=channels, sizes=sizes, stride=stride)
    at_least_one(readout_rank=readout_rank)
    at_least_zero(shrink=shrink, readout_shrink=readout_shrink)
    if not burn_in_s > 0:
        raise BadSetting(f"burn_in_s {burn_in_s:g}: above 0")
    image = image_shape(spec)
    seen = (*image, 1)
    features = output_shape(seen, channels, sizes[0], stride)
    grid = features[:2]
    stage = chain(
        door(spec),
        one_channel(),
        conv2d(seen, channels, sizes[0], stride=stride),
        gated.conv_gru(features, channels, sizes[1], burn_in_s=burn_in_s),
        factorised(features, spec.cells, min(readout_rank, grid[0] * grid[1])),
        output(output_kind, spec.cells),
    )

    def warm_start(params, clips):
        start = output_from_mean(output_kind, params["output"], mean_counts(clips))
        params = params | {"output": start}
        if grid == (1, 1):
            return params
        taps = max(1, round(START_LAGS_S / spec.bin_s))
        average = spike_triggered_average(clips, taps, spec)
        centres = field_centres(average, image, grid, stride)
        mask = look_at(centres, grid, params["factorised"]["mask"])
        params["factorised"] = params["factorised"] | {"mask": mask}
        return params

    def penalty(params):
        kernels = squares(params, "kernel", "input", "state")
        return shrink * kernels + readout_shrink * squares(params, "mask", "features")

    return Model(
        "conv_gru",
        spec,
        stage,
        warm_start=warm_start,
        penalty=penalty,
        recipe=Recipe("adam", learning_rate=2e-2, clip_bins=128, batch=2),
        core=before(stage, "factorised"),
    )
