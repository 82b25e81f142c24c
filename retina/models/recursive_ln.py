"""Linear-nonlinear with a few leaky integrators in place of a window on the past."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from retina.errors import at_least_one, at_least_zero
from retina.fitting.start import mean_counts, spike_triggered_average
from retina.layers import receptive_field as field
from retina.layers.door import door, image_shape
from retina.layers.nonlinearity import output, output_from_mean
from retina.layers.recursive import best_tau, recursive
from retina.models.ln import roughness, separate_along
from retina.recipe import Recipe
from retina.stage import Model, chain
from retina.types import Clip, Spec

AVERAGE_S = 0.6  # how far back the average reaches that the filters start from


def recursive_ln(
    spec: Spec,
    /,
    *,
    rank: int = 2,
    stages: int = 4,
    window: int = 13,
    output_kind: str = "softplus",
    smooth: float = 1e-4,
) -> Model:
    """The `ln` model whose temporal filters are recursions of a few states each.

    rank, window, output_kind, smooth: as in `ln`.
    stages: integrators per temporal filter, in a row, with one trained time constant.
    source: Chichilnisky 2001, doi 10.1080/713663221 (the model); Marmarelis 1993,
            doi 10.1007/BF02368639 (filters from Laguerre functions).

    >>> recursive_ln(Spec((8, 8), 3, 0.01)).stage.lags
    0
    """
    at_least_one(rank=rank, stages=stages, window=window)
    at_least_zero(smooth=smooth)
    image = image_shape(spec)
    rank = min(rank, int(np.prod(field.window_size(image, window))))
    stage = chain(
        door(spec),
        field.spatial(image, spec.cells, rank, window),
        recursive(spec.cells, rank, stages, spec.bin_s),
        output(output_kind, spec.cells),
    )

    def warm_start(params, clips):
        average = spike_triggered_average(clips, averaged_lags(clips, spec), spec)
        corner = field.place(average, window)
        seen = field.cut_windows(average, corner, window)
        space, time, tau_s = [], [], []
        for n in range(spec.cells):
            pixels = seen[:, n].reshape(len(seen), -1).astype(np.float64)
            u, size, _ = np.linalg.svd(pixels, full_matrices=False)
            tau, courses = best_tau((u * size)[:, :rank], stages, spec.bin_s)
            each = separate_along(seen[:, n : n + 1], rank, courses)
            space.append(each[0])
            time.append(each[1])
            tau_s.append(np.full((1, rank), tau, np.float32))
        counts = mean_counts(clips)
        return {
            "door": {},
            "spatial": {
                "filters": jnp.asarray(np.concatenate(space)),
                "corner": jnp.asarray(corner),
            },
            "recursive": {
                "weights": jnp.asarray(np.concatenate(time, axis=1)),
                "tau_s": jnp.asarray(np.concatenate(tau_s)),
            },
            "output": output_from_mean(output_kind, params["output"], counts),
        }

    return Model(
        "recursive_ln",
        spec,
        stage,
        warm_start=warm_start,
        penalty=lambda params: smooth * roughness(params),
        recipe=Recipe("lbfgs", max_steps=400),
    )


def averaged_lags(clips: tuple[Clip, ...], spec: Spec) -> int:
    """Bins of a spike-triggered average of AVERAGE_S, or what the clips hold."""
    shortest = min(len(clip.stimulus) for clip in clips)
    return max(1, min(round(AVERAGE_S / spec.bin_s), shortest))
