"""A long short-term memory over what each cell sees."""

from __future__ import annotations

from flax import nnx

from retina.errors import BadSetting, at_least_one, at_least_zero
from retina.fitting.start import mean_counts, spike_triggered_average
from retina.layers.from_nnx import from_nnx
from retina.layers.linear import linear
from retina.layers.nonlinearity import output, output_from_mean
from retina.models.mlp import squares, what_cells_see
from retina.recipe import Recipe
from retina.stage import Model, chain
from retina.types import Spec

START_LAGS_S = 0.5  # seconds of stimulus behind the spike-triggered average


def lstm(
    spec: Spec,
    /,
    *,
    units: int = 32,
    rank: int = 2,
    window: int = 13,
    burn_in_s: float = 1.0,
    output_kind: str = "softplus",
    shrink: float = 4e-5,
) -> Model:
    """Views of each cell's window, one LSTM that all cells share, a linear readout.

    units:     memory cells of the LSTM (`flax.nnx.OptimizedLSTMCell`).
    rank:      views per cell, as in `mlp`; the past is the LSTM's own affair.
    window:    pixels on a side of the window, centred on the cell's receptive field.
    burn_in_s: seconds of stimulus before a clip's first bin of loss. An LSTM may learn
               to remember for longer; a fit sees no further back.
    output_kind: softplus, exp or spline.
    shrink:    weight of the sum of squares of the views' filters, the LSTM's kernels
               and the readout.
    source:    Hochreiter & Schmidhuber 1997, doi 10.1162/neco.1997.9.8.1735; recurrent
               networks on ganglion cells: Batty et al. 2017,
               openreview.net/forum?id=HkEI22jeg.

    >>> lstm(Spec((), 2, 0.01), units=4).stage.burn_in_s
    1.0
    """
    at_least_one(units=units)
    at_least_zero(shrink=shrink)
    if not burn_in_s > 0:
        raise BadSetting(f"burn_in_s {burn_in_s:g}: above 0")
    stages, seen, warm = what_cells_see(spec, rank, window)
    memory = from_nnx(
        lambda rngs: nnx.OptimizedLSTMCell(seen, units, rngs=rngs),
        name="lstm",
        burn_in_s=burn_in_s,
    )
    stages += [
        memory,
        linear(units, spec.cells, bias=False, spread=0.1),
        output(output_kind, spec.cells),
    ]

    def warm_start(params, clips):
        taps = max(1, round(START_LAGS_S / spec.bin_s))
        params = params | warm(spike_triggered_average(clips, taps, spec))
        start = output_from_mean(output_kind, params["output"], mean_counts(clips))
        return params | {"output": start}

    return Model(
        "lstm",
        spec,
        chain(*stages),
        warm_start=warm_start,
        penalty=lambda params: shrink * squares(params, "filters", "kernel"),
        recipe=Recipe("adam", learning_rate=2e-2, clip_bins=128, batch=4),
    )
