"""The convolutional model with spike history and, if asked, coupling."""

from __future__ import annotations

from retina.clocks import frames_of, on_frames, two_clocks
from retina.errors import at_least_one, at_least_zero
from retina.fitting.start import mean_counts
from retina.layers.history import history_output, loudness, silent_start
from retina.models.cnn import clipwise, core, weight_squares
from retina.stage import Model, before
from retina.types import Spec


def cnn_history(
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
    history: int = 30,
    history_basis: int = 8,
    coupling: bool = False,
    output_kind: str = "softplus",
    shrink: float = 4e-5,
    readout_shrink: float = 2e-6,
    history_shrink: float = 1e-5,
) -> Model:
    """The `cnn`'s drive plus filtered past counts, then the output nonlinearity.

    Where a bin is shorter than a frame, the convolutions run once per frame.

    lags, basis, channels, sizes, stride, nonlinearity, readout_rank, output_kind,
    shrink, readout_shrink: as in `cnn`, lags in frames.
    history, history_basis, coupling: as in `glm`.
    history_shrink: weight of the mean squared history weight.
    source:         McIntosh et al. 2016, arXiv 1702.01825; Pillow et al. 2008,
                    doi 10.1038/nature07140 (history).

    >>> cnn_history(Spec((20, 20), 3, 0.01), channels=2).stage.uses_response
    True
    """
    at_least_one(history=history, history_basis=history_basis)
    at_least_zero(shrink=shrink, readout_shrink=readout_shrink)
    at_least_zero(history_shrink=history_shrink)
    stages, warm = core(
        on_frames(spec),
        lags=lags,
        basis=basis,
        channels=channels,
        sizes=sizes,
        stride=stride,
        nonlinearity=nonlinearity,
        readout_rank=readout_rank,
    )
    last = history_output(
        output_kind, spec.cells, taps=history, basis=history_basis, coupling=coupling
    )

    def warm_start(params, clips):
        params = params | warm(params, frames_of(clips, spec))
        own = params["history_output"]
        silent = silent_start(output_kind, own, mean_counts(clips))
        return params | {"history_output": silent}

    def penalty(params):
        heard = history_shrink * loudness(params["history_output"])
        return weight_squares(params, shrink, readout_shrink) + heard

    stage = two_clocks(spec, *stages, last)
    return Model(
        "cnn_history",
        spec,
        stage,
        warm_start=warm_start,
        penalty=penalty,
        recipe=clipwise(spec),
        core=before(stage, "factorised"),
    )
