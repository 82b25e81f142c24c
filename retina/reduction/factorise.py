"""Low rank: filters, masks and time courses as sums of fewer products.

By singular values, the best there is in the sum of squares.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from retina.errors import BadSetting, at_least_one
from retina.models.ln import separate
from retina.reduction.cutting import Path, at, fitting, parts, put, rebuilt
from retina.stage import Model, Tree
from retina.types import Fit, Split


def factorise(
    fit: Fit,
    split: Split,
    key: jax.Array,
    /,
    *,
    rank: int | None = None,
    basis: int | None = None,
) -> tuple[Model, Tree]:
    """Fewer products of space and time, of place and feature, or fewer time courses.

    rank:    of an `ln` or `glm`: separable filters per cell, also from full filters; of
             a readout by masks: masks per cell. None: as it is.
    basis:   of `cnn` and its like: time courses that the past is projected on. None: as
             it is.
    returns: the same model with those keywords, and its parameters. Where the old
             filters are of the new rank they are the same filters.
    raises:  BadSetting where neither is given, or the model has no such thing.
    lowers:  flops_per_bin, params

    Masks and features are multiplied out before the first bin: fewer masks are fewer
    parameters, not fewer FLOPs. Kernels over the image are left to `separate`.
    """
    at_least_one(rank=rank, basis=basis)
    if rank is None and basis is None:
        raise BadSetting("factorise: say how far down, rank=1 or basis=2")
    model, params = fit.model, fit.params
    changes: dict[str, int] = {}
    if rank is not None:
        params, changes = _ranked(model, params, rank)
    if basis is not None:
        params = _fewer_courses(model, params, basis)
        changes["basis"] = basis
    return fitting(rebuilt(model, **changes), params, "factorise")


def _ranked(model: Model, params: Tree, rank: int) -> tuple[Tree, dict[str, int]]:
    if "factorised" in params:
        own = params["factorised"]
        cells, _, *grid = own["mask"].shape
        rank = min(rank, own["mask"].shape[1])
        mask = own["mask"].reshape(*own["mask"].shape[:2], -1)
        both = [low_rank(m.T, f, rank) for m, f in _pairs(mask, own["features"])]
        masks = np.stack([m.T.reshape(rank, *grid) for m, _ in both])
        features = np.stack([f for _, f in both])
        cut = {"mask": _single(masks), "features": _single(features)}
        return params | {"factorised": cut}, {"readout_rank": rank}
    if "space_time" in params and "rank" in dict(model.settings):
        own = params["space_time"]
        seen = np.moveaxis(np.asarray(own["filters"]), 1, 0)
        lags = len(seen)
        rank = min(rank, lags, int(np.prod(seen.shape[2:])))
        space, time = separate(seen, rank, lags)
        rest = {name: own for name, own in params.items() if name != "space_time"}
        spatial = {"filters": _single(space), "corner": own["corner"]}
        cut = rest | {"spatial": spatial, "temporal": {"weights": _single(time)}}
        # Courses of every lag, so that nothing but the rank is given up.
        return cut, {"rank": rank, "basis": lags}
    if "spatial" in params and "temporal" in params and "rank" in dict(model.settings):
        space, time = params["spatial"]["filters"], params["temporal"]["weights"]
        rank = min(rank, space.shape[1])
        flat = space.reshape(*space.shape[:2], -1)
        both = [low_rank(t, s, rank) for t, s in _pairs(time.swapaxes(0, 1), flat)]
        times = np.stack([t for t, _ in both], axis=1)
        spaces = np.stack([s.reshape(rank, *space.shape[2:]) for _, s in both])
        cut = {
            "spatial": params["spatial"] | {"filters": _single(spaces)},
            "temporal": {"weights": _single(times)},
        }
        return params | cut, {"rank": rank}
    raise BadSetting(
        f"factorise rank {rank}: {model.name} has neither separable filters nor a "
        "readout by masks, as ln, glm and cnn have"
    )


def _fewer_courses(model: Model, params: Tree, basis: int) -> Tree:
    """The time courses that the kernels after them need most, and kernels to match."""
    path, name = hearing(model, "factorise")
    kernel = at(params, (*path, "kernel"))
    courses, mixed = past_kernel(params, kernel, name)
    few, rest = low_rank(np.asarray(courses), mixed, basis, balanced=False)
    params = params | {"temporal_basis": {"courses": _single(few)}}
    return put(params, (*path, "kernel"), stored_kernel(rest, kernel, len(mixed), name))


def hearing(model: Model, method: str) -> tuple[Path, str]:
    """Path of the part that mixes the time courses of `temporal_basis`, and its axis.

    raises: BadSetting where the model has no such basis.
    """
    found = [path for path, _ in parts(model.stage)]
    if ("temporal_basis",) in found:
        after = parts(model.stage)[found.index(("temporal_basis",)) + 1 :]
        for path, described in after:
            if "kernel" in described:
                named = described["kernel"].axes
                return path, "channel" if "channel" in named else "input"
    raise BadSetting(
        f"{method}: {model.name} has no time courses that a kernel mixes, as cnn has"
    )


def past_kernel(
    params: Tree, kernel: jax.Array, name: str
) -> tuple[np.ndarray, np.ndarray]:
    """Courses (lag, course), and what the kernel does with each: (course, other).

    name: of the kernel's axis (..., course): "channel" (height, width, course, out), or
          "input" (view and course, out).
    """
    own = params["temporal_basis"]
    if name == "channel":
        count = kernel.shape[2]
        mixed = np.moveaxis(np.asarray(kernel, np.float64), 2, 0).reshape(count, -1)
    else:
        count = own["courses"].shape[1] if own else kernel.shape[0]
        views = np.asarray(kernel, np.float64).reshape(-1, count, kernel.shape[-1])
        mixed = np.moveaxis(views, 1, 0).reshape(count, -1)
    courses = np.asarray(own["courses"], np.float64) if own else np.eye(count)
    return courses, mixed


def stored_kernel(
    mixed: np.ndarray, before: jax.Array, courses: int, name: str
) -> jax.Array:
    """The kernel of (course, other) with its fan-in's scale; `past_kernel`'s inverse.

    before:  the kernel as it was, of `courses` courses.
    """
    count = len(mixed)
    if name == "channel":
        rows, columns, _, out = before.shape
        shaped = np.moveaxis(mixed.reshape(count, rows, columns, out), 0, 2)
    else:
        out = before.shape[-1]
        shaped = np.moveaxis(mixed.reshape(count, -1, out), 0, 1).reshape(-1, out)
    return _single(shaped * np.sqrt(count / courses))


def low_rank(
    left, right, rank: int, *, balanced: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """The best (n, rank) and (rank, m) in place of (n, k) and (k, m) whose product is.

    balanced: both of one size; False: the left one has orthonormal columns.

    >>> a, b = low_rank(np.ones((3, 2)), np.ones((2, 4)), 1)
    >>> (a @ b).round(6).tolist()[0]
    [2.0, 2.0, 2.0, 2.0]
    """
    product = np.asarray(left, np.float64) @ np.asarray(right, np.float64)
    u, size, v = np.linalg.svd(product, full_matrices=False)
    more = max(rank - len(size), 0)  # asked for more than there is: nothing
    u, v = np.pad(u, ((0, 0), (0, more))), np.pad(v, ((0, more), (0, 0)))
    u, size, v = u[:, :rank], np.pad(size, (0, more))[:rank], v[:rank]
    if not balanced:
        return u, size[:, None] * v
    root = np.sqrt(np.maximum(size, 1e-12))
    return u * root, root[:, None] * v


def _pairs(one, other):
    return zip(np.asarray(one), np.asarray(other), strict=True)


def _single(value: np.ndarray) -> jax.Array:
    return jnp.asarray(value, jnp.float32)
