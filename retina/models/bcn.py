"""Bipolar cell network: types of bipolar cell, ribbons, amacrine feedback, a sum."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from retina.circuit.biphasic import SPEED, biphasic, kernels, speeds
from retina.circuit.bipolar_network import bipolar_network
from retina.errors import at_least_one, at_least_zero
from retina.fitting.start import mean_counts, spike_triggered_average
from retina.layers import receptive_field as field
from retina.layers.door import door, image_shape
from retina.layers.nonlinearity import output, output_from_mean
from retina.layers.standardise import from_measured, measured, standardise
from retina.layers.views import looking, views, views_size
from retina.models.ln import separate
from retina.parameter import Parameter
from retina.recipe import Recipe
from retina.stage import Model, Stage, chain, memoryless
from retina.types import Spec

PACES = np.geomspace(0.2, 3.0, 25).astype(np.float32)  # of all types, at the start
WITHIN = 1.01 * SPEED.low, 0.99 * SPEED.high


def bcn(
    spec: Spec,
    /,
    *,
    types: int = 14,
    amacrines: int = 45,
    lags: int = 30,
    window: int = 13,
    output_kind: str = "softplus",
    sparse: float = 0.1,
) -> Model:
    """Bipolar types of one kernel and many speeds, inhibited where they release.

    types:       of bipolar cells; 5 of 14 are OFF, the others ON.
    amacrines:   amacrine cells, each joined to all types.
    lags:        bins of stimulus that the kernels see.
    window:      as in `ln`. A full field is heard by one network; on an image a copy
                 with the same numbers stands in each cell's window, behind a spatial
                 filter of the cell's own.
    output_kind: softplus, exp or spline of a cell's positive sum of the releases.
    sparse:      weight of the mean connection of bipolar and amacrine cells.
    source:      Schroeder et al. 2020, NeurIPS 33 (code bc_network e663d3b).

    >>> bcn(Spec((), 2, 1 / 30)).stage.lags
    29
    """
    at_least_one(types=types, amacrines=amacrines, lags=lags, window=window)
    at_least_zero(sparse=sparse)
    image = image_shape(spec)
    places = views_size(image, spec.cells, 1)
    off = round(types * 5 / 14)
    signs = np.where(np.arange(types) < off, -1, 1).astype(np.float32)
    front = [
        door(spec),
        views(image, spec.cells, 1, window),
        biphasic(places, types, lags, spec.bin_s, off=off),
        bipolar_network(places, types, amacrines, spec.bin_s),
    ]
    stage = chain(
        *front,
        standardise((places, types)),
        positive_sum(places, types, spec.cells),
        output(output_kind, spec.cells),
    )

    def warm_start(params, clips):
        average = spike_triggered_average(clips, lags, spec)
        started = {}
        course = average.reshape(lags, spec.cells, -1)
        if image != (1, 1):
            corner = field.place(average, window)
            seen = field.cut_windows(average, corner, window)
            space, course = separate(seen, 1, lags)
            # Their signs are free together: light that excites in space is positive.
            sign = np.where(space.sum((1, 2, 3)) < 0, -1, 1).astype(np.float32)
            space, course = (
                space * sign[:, None, None, None],
                course * sign[None, :, None],
            )
            started["views"] = looking(corner, space)
        course = course[..., 0].astype(np.float64)
        course /= np.maximum(np.linalg.norm(course, axis=0), 1e-12)
        spread = speeds(off, types - off)
        tried = [_kernels(pace * spread, signs, lags, spec.bin_s) for pace in PACES]
        held = [np.abs(one.T @ course).max(0).sum() for one in tried]
        best = int(np.argmax(held))
        drawn = jnp.clip(params["biphasic"]["speed"] * PACES[best], *WITHIN)
        started["biphasic"] = {"speed": drawn}
        params = params | started
        released = measured(front, params, clips)
        # Each cell listens most to the types whose kernel is most like its average.
        like = np.maximum(tried[best].T @ course, 0).T
        weights = 0.02 + like / np.maximum(like.sum(1, keepdims=True), 1e-3)
        start = output_from_mean(output_kind, params["output"], mean_counts(clips))
        return params | {
            "standardise": from_measured(released),
            "positive_sum": {"weights": jnp.asarray(weights, jnp.float32)},
            "output": start,
        }

    def penalty(params):
        joined = params["bipolar_network"]
        return sparse * (jnp.mean(joined["to"]) + jnp.mean(joined["back"]))

    return Model(
        "bcn",
        spec,
        stage,
        warm_start=warm_start,
        penalty=penalty,
        recipe=Recipe("adam", learning_rate=2e-2, clip_bins=512, batch=8),
    )


def _kernels(speed: np.ndarray, signs: np.ndarray, lags: int, bin_s: float):
    return np.asarray(kernels(jnp.asarray(speed, jnp.float32), signs, lags, bin_s))


def positive_sum(places: int, types: int, cells: int) -> Stage:
    """(places, types) -> (cell,): at one place for all cells, or each cell at its own.

    No weight is negative: bipolar cells excite.
    """

    def init(key: jax.Array):
        shape = (cells, types)
        return {"weights": jax.random.uniform(key, shape, jnp.float32, 0.0, 2 / types)}

    def summed(params, x: jax.Array) -> jax.Array:
        if places == 1:
            return x[..., 0, :] @ params["weights"].T
        return jnp.einsum("...nk,nk->...n", x, params["weights"])

    return memoryless(
        summed,
        batch=summed,
        init=init,
        parameters={"weights": Parameter(low=0.0, axes=("cell", "input"))},
        about=("positive_sum", places, types, cells),
    )
