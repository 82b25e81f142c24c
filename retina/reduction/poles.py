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
from retina.models.recursive_subunits import BANK
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
    """No window on the past: integrators in place of the lags of `ln`, `cnn`, `lnln`.

    stages:  integrators per temporal filter; they share a time constant, the one whose
             Laguerre functions hold most of the filter, or of all filters of a `cnn`.
    rank:    of a full filter of an `ln`, separable ones that it becomes first; no other
             uses it.
    returns: of an `ln` the model `recursive_ln`, of a `cnn` `recursive_cnn`, of an
             `lnln` and another model with a bank of subunits `recursive_subunits`, with
             its parameters; filters are projected, so one that such integrators can
             make stays the same. The last goes after `channels`, `taps` and `crop`.
    raises:  BadSetting for another model.
    lowers:  flops_per_bin, state_bytes
    source:  Marmarelis 1993, doi 10.1007/BF02368639 (filters from Laguerre functions).
    """
    at_least_one(stages=stages, rank=rank)
    model = fit.model
    made = {"ln": _ln, "cnn": _cnn}.get(model.name)
    if made is None and BANK not in model.stage.parameters:
        raise BadSetting(
            f"poles is for {', '.join(RECURSIVE)}, and models with a bank of subunits, "
            f"such as lnln: there is no recursive {model.name}"
        )
    if made is None:
        small, params = _bank(model, fit.params, stages)
    else:
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


def _bank(model: Model, params: Tree, stages: int) -> tuple[Model, Tree]:
    small = build.model(
        "recursive_subunits",
        model.spec,
        of=model.name,
        settings=model.settings,
        stages=stages,
    )
    _, _, lags, basis = dict(model.stage.parts)[BANK].about
    stored = np.asarray(params[BANK]["weights"], np.float64)
    # Stored weights are scaled by one over the root of how many there are: see `fir`.
    courses = raised_cosines(lags, basis) @ (stored / np.sqrt(len(stored)))
    found = [best_tau(one[:, None], stages, model.spec.bin_s) for one in courses.T]
    weights = [
        functions.T @ one for (_, functions), one in zip(found, courses.T, strict=True)
    ]
    rest = {part: own for part, own in params.items() if part != BANK}
    own = {
        "weights": jnp.asarray(np.stack(weights, 1) * np.sqrt(stages), jnp.float32),
        "tau_s": jnp.asarray([tau for tau, _ in found], jnp.float32),
    }
    return small, rest | {"recursive_fir": own}


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
