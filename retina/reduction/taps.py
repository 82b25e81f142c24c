"""Shorter memory: the oldest lags of every window on the stimulus left out."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from retina.layers.basis import raised_cosines
from retina.reduction.cutting import (
    at,
    count_kept,
    fitting,
    keyword,
    parts,
    put,
    rebuilt,
)
from retina.reduction.factorise import hearing, past_kernel, stored_kernel
from retina.stage import Model, Tree
from retina.types import Fit, Split


def taps(
    fit: Fit, split: Split, key: jax.Array, /, *, keep: float = 0.5
) -> tuple[Model, Tree]:
    """Leaves out the oldest lags of temporal filters.

    keep:    share of the lags that stay, the newest.
    returns: the same model that looks back over fewer bins, and its parameters. Where a
             filter is a sum of raised cosines it becomes the best sum of as many, over
             the shorter window, by least squares; other filters are cut as they are.
    raises:  BadSetting for a model without `lags`, or where none would be left.
    lowers:  flops_per_bin, state_bytes
    """
    keyword(fit.model, ("lags",), "taps")
    before = dict(fit.model.settings)["lags"]
    lags = count_kept(keep, before, "lags")
    small = rebuilt(fit.model, lags=lags)
    shapes = jax.eval_shape(small.stage.init, jax.random.key(0))
    params = fit.params
    every_lag = False  # the kernel to come hears each lag by itself
    for path, described in parts(fit.model.stage):
        own = at(params, path)
        if "space_time" in path:  # (cell, lag, height, width)
            own = own | {"filters": own["filters"][:, :lags]}
        elif "temporal" in path:
            count = at(shapes, (*path, "weights")).shape[0]
            own = own | {"weights": _shorter(own["weights"], before, lags, count)}
        elif "fir" in path:  # stored weights are scaled by 1 / sqrt(courses)
            count = at(shapes, (*path, "weights")).shape[0]
            root = np.float32(np.sqrt(count / len(own["weights"])))
            weights = _shorter(own["weights"], before, lags, count) * root
            own = own | {"weights": weights}
        elif "conv3d" in path:
            own = own | {"kernel": _fewer(own["kernel"], 2, before, lags)}
        elif path[-1:] == ("temporal_basis",):
            every_lag = not own
            own = {name: courses[:lags] for name, courses in own.items()}
            if own and lags <= own["courses"].shape[1]:
                # As many courses as lags are every lag: the kernel takes them in.
                return fitting(small, _taken_in(fit.model, params, lags), "taps")
        elif every_lag and "kernel" in own:  # the first to hear every lag
            named = described["kernel"].axes
            axis = named.index("channel" if "channel" in named else "input")
            own = own | {"kernel": _fewer(own["kernel"], axis, before, lags)}
            every_lag = False
        params = put(params, path, own)
    return fitting(small, params, "taps")


def _taken_in(model: Model, params: Tree, lags: int) -> Tree:
    path, name = hearing(model, "taps")
    kernel = at(params, (*path, "kernel"))
    courses, mixed = past_kernel(params, kernel, name)
    stored = stored_kernel(courses[:lags] @ mixed, kernel, len(mixed), name)
    return put(params | {"temporal_basis": {}}, (*path, "kernel"), stored)


def _fewer(kernel: jax.Array, axis: int, before: int, lags: int) -> jax.Array:
    """The first lags along an axis (..., lag), at their fan-in's scale (`conv2d`)."""
    others = kernel.shape[axis] // before
    index = np.arange(others)[:, None] * before + np.arange(lags)[None]
    kept = jnp.take(kernel, index.reshape(-1), axis=axis)
    return kept * np.float32(np.sqrt(lags / before))


def _shorter(weights: jax.Array, before: int, lags: int, count: int) -> jax.Array:
    """(course, ...) of filters of `before` lags -> (count, ...) of the first `lags`."""
    flat = np.asarray(weights, np.float64).reshape(len(weights), -1)
    filters = raised_cosines(before, len(weights)).astype(np.float64) @ flat
    courses = raised_cosines(lags, count).astype(np.float64)  # orthonormal columns
    shorter = courses.T @ filters[:lags]
    return jnp.asarray(shorter.reshape(count, *weights.shape[1:]), jnp.float32)
