"""Nonlinear input model: each cell's own excitatory and suppressive subunits."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from retina.errors import at_least_one, at_least_zero
from retina.fitting.start import mean_counts, spike_triggered_average
from retina.layers import receptive_field as field
from retina.layers.door import door, image_shape
from retina.layers.nonlinearity import output, output_from_mean, pointwise
from retina.models.ln import courses_for, roughness, separate
from retina.parameter import Parameter
from retina.recipe import Recipe
from retina.stage import Model, Stage, chain, memoryless
from retina.types import Spec


def nim(
    spec: Spec,
    /,
    *,
    lags: int = 30,
    basis: int | None = None,
    window: int = 13,
    excitatory: int = 2,
    suppressive: int = 1,
    nonlinearity: str = "relu",
    output_kind: str = "softplus",
    smooth: float = 1e-4,
) -> Model:
    """Rectified separable filters, added or subtracted, then the output nonlinearity.

    lags, basis, window, output_kind, smooth: as in `ln`.
    excitatory:   subunits per cell that are added.
    suppressive:  subunits per cell that are subtracted; how much each weighs stands in
                  its filter.
    nonlinearity: relu, softplus, elu or sigmoid of each subunit.
    source:       McFarland, Cui & Butts 2013, doi 10.1371/journal.pcbi.1003143.

    >>> nim(Spec((8, 8), 3, 0.01), lags=5).stage.lags
    4
    """
    at_least_one(lags=lags, basis=basis, window=window)
    at_least_one(excitatory=excitatory, suppressive=suppressive)
    at_least_zero(smooth=smooth)
    image = image_shape(spec)
    subunits = excitatory + suppressive
    courses = courses_for(image, lags, basis)
    stage = chain(
        door(spec),
        field.spatial(image, spec.cells, subunits, window),
        field.temporal(spec.cells, subunits, lags, courses, summed=False),
        threshold(spec.cells, subunits),
        pointwise(nonlinearity),
        signed_sum(excitatory, suppressive),
        output(output_kind, spec.cells),
    )

    def warm_start(params, clips):
        average = spike_triggered_average(clips, lags, spec)
        corner = field.place(average, window)
        seen = field.cut_windows(average, corner, window)
        space, time = separate(seen, 1, courses)
        # The average starts the first excitatory subunit. The others are it and the
        # drawn filters in equal parts, so that each sees a part of the field of its
        # own; a suppressive one prefers what the cell does not.
        drawn = np.asarray(params["spatial"]["filters"])
        size = np.linalg.norm(space, axis=(2, 3), keepdims=True)
        noise = drawn / np.linalg.norm(drawn, axis=(2, 3), keepdims=True) * size
        share = np.ones(subunits, np.float32)
        share[1:] = 0.5
        share = share[None, :, None, None]
        sign = np.where(np.arange(subunits) < excitatory, 1, -1)[None, :, None, None]
        filters = sign * share * space + (1 - share) * noise
        counts = mean_counts(clips)
        return params | {
            "spatial": {
                "filters": jnp.asarray(filters, jnp.float32),
                "corner": jnp.asarray(corner),
            },
            "temporal": {"weights": jnp.asarray(np.repeat(time, subunits, axis=2))},
            "output": output_from_mean(output_kind, params["output"], counts),
        }

    def contains(other: Model, params):
        """An `ln`: of each of its ranks x, relu(x) - relu(-x) is x."""
        if other.name != "ln" or "spatial" not in params or nonlinearity != "relu":
            return None
        space, time = params["spatial"]["filters"], params["temporal"]["weights"]
        ranks = space.shape[1]
        ours, theirs = stage.parts[-1][1], other.stage.parts[-1][1]
        alike = (
            (stage.lags, courses, ours.about)
            == (other.stage.lags, len(time), theirs.about)
        ) and space.shape[2:] == field.window_size(image, window)
        if not alike or ranks > min(excitatory, suppressive):
            return None
        rank, share = shares(ranks, excitatory, suppressive)
        filters = jnp.asarray(space)[:, rank] * share[None, :, None, None]
        return {
            "spatial": {"filters": filters, "corner": params["spatial"]["corner"]},
            "temporal": {"weights": jnp.asarray(time)[:, :, rank]},
            "threshold": {"bias": jnp.zeros((spec.cells, subunits), jnp.float32)},
            stage.parts[-1][0]: params[other.stage.parts[-1][0]],
        }

    return Model(
        "nim",
        spec,
        stage,
        warm_start=warm_start,
        penalty=lambda params: smooth * roughness(params),
        recipe=Recipe("lbfgs", max_steps=400),
        contains=contains,
    )


def shares(
    ranks: int, excitatory: int, suppressive: int
) -> tuple[np.ndarray, np.ndarray]:
    """(subunit,) which rank each one hears, and how much of it, below 0 if subtracted.

    What is added of a rank comes to 1, and so does what is subtracted. The shares of
    two subunits differ: equal ones would stay equal in a fit.

    >>> shares(1, 2, 1)[1].tolist() == [np.float32(1 / 3), np.float32(2 / 3), -1]
    True
    """
    rank, share = [], []
    for number, sign in ((excitatory, 1), (suppressive, -1)):
        heard, size = np.arange(number) % ranks, np.arange(number) // ranks + 1
        rank.append(heard)
        share.append(sign * size / np.bincount(heard, size)[heard])
    return np.concatenate(rank), np.concatenate(share).astype(np.float32)


def threshold(cells: int, subunits: int) -> Stage:
    """One offset per subunit: stage (cell, subunit) -> (cell, subunit)."""

    def function(params, x: jax.Array) -> jax.Array:
        return x + params["bias"].reshape((1,) * (x.ndim - 2) + (cells, subunits))

    return memoryless(
        function,
        batch=function,
        init=lambda key: {"bias": jnp.zeros((cells, subunits), jnp.float32)},
        parameters={"bias": Parameter(axes=("cell", "subunit"))},
        about=("threshold", cells, subunits),
    )


def signed_sum(excitatory: int, suppressive: int) -> Stage:
    """(cell, subunit) -> (cell,): excitation less suppression."""

    def function(params, x: jax.Array) -> jax.Array:
        return x[..., :excitatory].sum(-1) - x[..., excitatory:].sum(-1)

    return memoryless(
        function, batch=function, about=("signed_sum", excitatory, suppressive)
    )
