"""A temporal convolutional network over what each cell sees."""

from __future__ import annotations

from retina.errors import at_least_one, at_least_zero
from retina.fitting.start import mean_counts, spike_triggered_average
from retina.layers.causal_convolution import causal_convolution
from retina.layers.linear import linear
from retina.layers.nonlinearity import output, output_from_mean, pointwise
from retina.models.mlp import squares, what_cells_see
from retina.recipe import Recipe
from retina.stage import Model, chain
from retina.types import Spec


def tcn(
    spec: Spec,
    /,
    *,
    taps: int = 5,
    dilation: int = 2,
    width: int = 32,
    depth: int = 3,
    rank: int = 2,
    window: int = 13,
    nonlinearity: str = "relu",
    output_kind: str = "softplus",
    shrink: float = 4e-5,
) -> Model:
    """Views of each cell's window, causal convolutions in time, a linear readout.

    taps:         lags that each layer mixes.
    dilation:     bins between the lags of a layer, over those of the layer before: with
                  2 the layers see every bin, every second, every fourth ...; 1: none
                  is left out. The network sees 1 + (taps - 1) * (1 + dilation + ...)
                  bins, 29 by default.
    width, depth: channels per layer, layers.
    rank, window: views per cell and the pixels they span, as in `mlp`.
    nonlinearity: relu, softplus, elu or sigmoid of each channel.
    output_kind:  softplus, exp or spline.
    shrink:       weight of the sum of squares of all weights, as in `mlp`.
    source:       Bai et al. 2018, arXiv 1803.01271; as a model of a neuron: Beniaguev
                  et al. 2021, doi 10.1016/j.neuron.2021.07.002.

    >>> tcn(Spec((), 2, 0.01)).stage.lags
    28
    """
    at_least_one(taps=taps, dilation=dilation, width=width, depth=depth)
    at_least_zero(shrink=shrink)
    stages, seen, warm = what_cells_see(spec, rank, window)
    inputs = seen
    for layer in range(depth):
        holes = dilation**layer
        stages += [
            causal_convolution(inputs, width, taps, dilation=holes),
            pointwise(nonlinearity),
        ]
        inputs = width
    stages += [
        linear(inputs, spec.cells, bias=False, spread=0.1),
        output(output_kind, spec.cells),
    ]
    stage = chain(*stages)

    def warm_start(params, clips):
        average = spike_triggered_average(clips, stage.lags + 1, spec)
        start = output_from_mean(output_kind, params["output"], mean_counts(clips))
        return params | warm(average) | {"output": start}

    return Model(
        "tcn",
        spec,
        stage,
        warm_start=warm_start,
        penalty=lambda params: shrink * squares(params, "filters", "kernel"),
        recipe=Recipe("adam", learning_rate=2e-2, clip_bins=128, batch=4),
    )
