"""Generalised linear model: LN with spike history and, if asked, coupling."""

from __future__ import annotations

from retina.clocks import frames_of, on_frames, two_clocks
from retina.errors import at_least_one, at_least_zero
from retina.fitting.start import mean_counts
from retina.layers.history import history_output, loudness, silent_start
from retina.models.ln import roughness, stimulus_filter
from retina.recipe import Recipe
from retina.stage import Model
from retina.types import Spec


def glm(
    spec: Spec,
    /,
    *,
    lags: int = 30,
    rank: int | None = 2,
    basis: int | None = None,
    window: int = 13,
    history: int = 30,
    history_basis: int = 8,
    coupling: bool = False,
    output_kind: str = "softplus",
    smooth: float = 1e-4,
    shrink: float = 1e-5,
) -> Model:
    """The LN model's drive plus filtered past counts, then the output nonlinearity.

    Where a bin is shorter than a frame, the filter runs once per frame.

    lags, rank, basis, window, output_kind, smooth: as in `ln`, lags in frames.
    history:       bins of past counts each cell hears.
    history_basis: raised cosines per history filter.
    coupling:      hear every other cell too, not only itself.
    shrink:        weight of the mean squared history weight.
    source:        Pillow et al. 2008, doi 10.1038/nature07140.

    >>> glm(Spec((), 2, 0.01), coupling=True).stage.uses_response
    True
    """
    at_least_one(history=history, history_basis=history_basis)
    at_least_zero(smooth=smooth, shrink=shrink)
    stages, warm = stimulus_filter(
        on_frames(spec), lags, rank, basis, window, output_kind
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
        return smooth * roughness(params) + shrink * loudness(params["history_output"])

    return Model(
        "glm",
        spec,
        two_clocks(spec, *stages, last),
        warm_start=warm_start,
        penalty=penalty,
        recipe=Recipe("lbfgs", max_steps=400),
        independent=True,
    )
