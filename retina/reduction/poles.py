"""Recursion in place of a window: a few leaky integrators fitted to each filter."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from retina import build
from retina.errors import BadSetting, at_least_one
from retina.layers.basis import raised_cosines
from retina.layers.recursive import best_tau, recursive_basis
from retina.models.ln import separate
from retina.reduction.cutting import fitting
from retina.reduction.factorise import hearing, past_kernel, stored_kernel
from retina.stage import Model, Tree
from retina.types import Fit, Split

RECURSIVE = {"ln": "recursive_ln", "cnn": "recursive_cnn"}


def poles(
    fit: Fit,
    split: Split,
    key: jax.Array,
    /,
    *,
    stages: int = 4,
    rank: int = 2,
) -> tuple[Model, Tree]:
    """An `ln` becomes a `recursive_ln`, a `cnn` a `recursive_cnn`: no ring buffer.

    stages:  integrators per temporal filter; they share a time constant, the one whose
             Laguerre functions hold most of the filter, or of all filters of a `cnn`.
    rank:    of a full filter, separable ones that it becomes first; no other uses it.
    returns: the recursive model with its parameters; filters are projected, so one
             that such integrators can make stays the same.
    raises:  BadSetting for another model.
    lowers:  flops_per_bin, state_bytes
    source:  Marmarelis 1993, doi 10.1007/BF02368639 (filters from Laguerre functions).
    """
    at_least_one(stages=stages, rank=rank)
    model = fit.model
    if model.name not in RECURSIVE:
        raise BadSetting(
            f"poles is for {' and '.join(RECURSIVE)}: there is no recursive "
            f"{model.name}"
        )
    made = _ln if model.name == "ln" else _cnn
    small, params = made(model, fit.params, stages, rank)
    return fitting(small, params, "poles")


def _ln(model: Model, params: Tree, stages: int, rank: int) -> tuple[Model, Tree]:
    if "space_time" in params:
        corner = params["space_time"]["corner"]
        seen = np.moveaxis(np.asarray(params["space_time"]["filters"]), 1, 0)
        rank = min(rank, len(seen), int(np.prod(seen.shape[2:])))
        space, time = separate(seen, rank, len(seen))
    else:
        corner, space = params["spatial"]["corner"], params["spatial"]["filters"]
        weights = np.asarray(params["temporal"]["weights"], np.float64)
        cosines = raised_cosines(dict(model.settings)["lags"], len(weights))
        time = np.tensordot(cosines, weights, 1)
        rank = space.shape[1]
    _, cells, ranks = time.shape
    tau_s = np.zeros((cells, ranks), np.float32)
    weights = np.zeros((stages, cells, ranks), np.float32)
    for place in np.ndindex(cells, ranks):
        course = time[:, *place][:, None].astype(np.float64)
        tau_s[place], functions = best_tau(course, stages, model.spec.bin_s)
        weights[:, *place] = (functions.T @ course)[:, 0]
    settings = _shared(model, "window", "output_kind", "smooth")
    small = build.model(
        RECURSIVE["ln"], model.spec, rank=rank, stages=stages, **settings
    )
    return small, {
        "door": {},
        "spatial": {"filters": jnp.asarray(space), "corner": corner},
        "recursive": {"weights": jnp.asarray(weights), "tau_s": jnp.asarray(tau_s)},
        "output": params["output"],
    }


def _cnn(model: Model, params: Tree, stages: int, rank: int) -> tuple[Model, Tree]:
    path, name = hearing(model, "poles")
    kernel = params[path[0]]["kernel"]
    courses, mixed = past_kernel(params, kernel, name)
    past = courses @ mixed
    tau, _ = best_tau(past, stages, model.spec.bin_s)
    functions = _impulse(stages, tau, model.spec.bin_s, len(past))
    moved = stored_kernel(functions.T @ past, kernel, len(mixed), name)
    settings = _shared(
        model,
        *("channels", "sizes", "stride", "nonlinearity", "readout_rank"),
        *("output_kind", "shrink", "readout_shrink"),
    )
    small = build.model(RECURSIVE["cnn"], model.spec, stages=stages, **settings)
    rest = {part: own for part, own in params.items() if part != "temporal_basis"}
    basis = {"recursive_basis": {"tau_s": jnp.float32(tau)}}
    return small, rest | basis | {path[0]: params[path[0]] | {"kernel": moved}}


def _impulse(count: int, tau: float, bin_s: float, lags: int) -> np.ndarray:
    """(lag, count) float64: the functions as the stage makes them, orthonormal."""
    stage = recursive_basis((1,), count, bin_s)
    params = {"tau_s": jnp.float32(tau)}
    impulse = jnp.zeros((lags, 1), jnp.float32).at[0].set(1)
    _, y = stage.apply(params, stage.start(params), impulse)
    return np.asarray(y, np.float64)[:, 0]


def _shared(model: Model, *names: str) -> dict:
    settings = dict(model.settings)
    return {name: settings[name] for name in names}
