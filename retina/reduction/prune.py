"""Unstructured pruning: single weights, the smallest first, held at zero."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from retina import build
from retina.models.pruned import KEPT
from retina.parameter import INPUTS, Parameter
from retina.reduction.cutting import (
    Path,
    at,
    count_kept,
    described,
    fitting,
    parts,
    put,
)
from retina.stage import Model, Tree
from retina.types import Fit, Split


def prune(
    fit: Fit, split: Split, key: jax.Array, /, *, keep: float = 0.5
) -> tuple[Model, Tree]:
    """Zeroes the smallest weights of each array; the refit moves only the others.

    keep:    share of the weights of each array that stay.
    returns: the model `pruned` of what was fitted, and its parameters.
    raises:  BadSetting where an array would be empty, or does not say what its axes
             are.
    lowers:  sparse_flops_per_bin
    source:  Han et al. 2015, arXiv 1506.02626.

    A dense machine multiplies the zeros too: no other figure falls. Masks of a readout
    that has several for each cell stay whole, since what is multiplied is their sum; so
    do arrays of one weight for each output, such as the mask of a map of one place: a
    zero there would silence the cell.
    """
    model, params = fit.model, fit.params
    described(model, "prune")
    if model.name != "pruned":
        model = build.model(
            "pruned", model.spec, of=fit.model.name, settings=fit.model.settings
        )
        params = _beside(model.stage.parameters, params)
    for path, _ in parts(model.stage):
        params = _pruned(params, path, keep, model.stage.parameters)
    return fitting(model, params, "prune")


def _beside(parameters: Any, params: Tree) -> Tree:
    """Parameters with all weights kept, where the pruned model wants to be told."""
    return {
        name: _beside(one, params[name])
        if isinstance(one, dict)
        else params.get(name, jnp.ones_like(params[name.removesuffix(KEPT)], bool))
        if name.endswith(KEPT)
        else params[name]
        for name, one in parameters.items()
    }


def _pruned(params: Tree, path: Path, keep: float, parameters: Any) -> Tree:
    own = at(params, path)
    for name, value in own.items():
        if isinstance(value, dict):
            params = _pruned(params, (*path, name), keep, parameters)
        elif (
            name + KEPT in own
            and not _summed_first(path, value)
            and _inputs(at(parameters, (*path, name)), value) > 1
        ):
            before = np.asarray(own[name + KEPT])
            what = "weights of " + ".".join((*path, name))
            number = count_kept(keep, int(before.sum()), what)
            size = np.where(before, np.abs(np.asarray(value)), -1).reshape(-1)
            kept = np.zeros(size.size, bool)
            kept[np.argsort(-size, kind="stable")[:number]] = True
            mask = jnp.asarray(kept.reshape(before.shape))
            params = put(params, (*path, name + KEPT), mask)
            # Nothing moves them any more, and what looks at sizes is not to see them.
            params = put(params, (*path, name), value * mask.astype(value.dtype))
    return params


def _inputs(one: Parameter, value: jax.Array) -> int:
    """How many weights one output sums."""
    axes = zip(one.axes, value.shape, strict=True)
    return int(np.prod([size for name, size in axes if name in INPUTS]))


def _summed_first(path: Path, value: jax.Array) -> bool:
    """Of a `factorised` readout with several masks per cell."""
    return path[-1:] == ("factorised",) and value.shape[1] > 1
