"""Another model with some of its weights held at zero."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from retina import build
from retina.layers.wrapped import parts_of, through, wrapped
from retina.parameter import INPUTS, Parameter
from retina.stage import Model, Params, Stage
from retina.types import Spec

KEPT = "_kept"


def pruned(
    spec: Spec, /, *, of: str = "ln", settings: tuple[tuple[str, Any], ...] = ()
) -> Model:
    """A model each of whose weights is there or not; `retina reduce prune` makes one.

    of, settings: the model's name and keywords.

    Beside each array of weights stands one of truth values, which no fit moves. A
    machine that multiplies all of them does what it did before: `flops_per_bin` is the
    model's own, and parameters are more. `sparse_flops_per_bin` leaves out the zeros.

    >>> pruned(Spec((), 2, 0.01), settings=(("lags", 4),)).stage.lags
    3
    """
    inner = build.model(of, spec, **dict(settings))
    stages = tuple(_masked(part) for _, part in parts_of(inner))
    return wrapped("pruned", inner, stages, masked, ("pruned",))


def masked(params: Params) -> Params:
    """The inner model's parameters, zero where they are not kept."""
    seen = {}
    for name, value in params.items():
        if isinstance(value, dict):
            seen[name] = masked(value)
        elif not name.endswith(KEPT):
            kept = params.get(name + KEPT)
            seen[name] = value if kept is None else value * kept.astype(value.dtype)
    return seen


def prunable(parameters: Any) -> Any:
    """The tree of Parameter with an entry beside each that may be zeroed by itself.

    Those are trained weights of one input, one output. Zeros among the weights of
    courses are none in the filter, and skip no product.
    """
    if isinstance(parameters, Parameter):
        return parameters
    found = {}
    for name, one in parameters.items():
        found[name] = prunable(one)
        if isinstance(one, Parameter) and _is_weight(one):
            found[name + KEPT] = dataclasses.replace(
                one, value=None, trainable=False, source="magnitude of the weights"
            )
    return found


def _is_weight(one: Parameter) -> bool:
    summed = any(name in INPUTS for name in one.axes)
    return one.trainable and summed and "course" not in one.axes


def _masked(part: Stage) -> Stage:
    parameters = prunable(part.parameters)

    def init(key: jax.Array) -> Params:
        return _with_kept(parameters, part.init(key))

    return through(part, masked, init=init, parameters=parameters)


def _with_kept(parameters: Any, params: Params) -> Params:
    """All weights kept."""
    return {
        name: _with_kept(one, params[name])
        if isinstance(one, dict)
        else params[name]
        if name in params
        else jnp.ones(params[name.removesuffix(KEPT)].shape, bool)
        for name, one in parameters.items()
    }
