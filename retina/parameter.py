"""Parameter: what one number of a model means, and how a bounded one is fitted."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp

Tree = Any

# "time": neighbouring lags; "course": functions of time; "input": any other.
INPUTS = ("time", "course", "height", "width", "channel", "input")


@dataclasses.dataclass(frozen=True)
class Parameter:
    """Unit, bounds and origin of one leaf of a stage's parameters.

    value:     the default, in ``unit``; None where `init` draws it.
    unit:      "1" for a dimensionless number.
    low, high: open bounds that a fit never leaves; infinite where there is none.
    trainable: False for constants and integer positions.
    source:    citation, "recalled", or "chosen".
    axes:      a name for each axis of the leaf, or () for a leaf that tells nothing.
               `INPUTS` are axes that weights are summed over; other names say whose
               a number is: "cell", "rank", "subunit", "out", ...

    >>> Parameter(43.0, unit="1/s", low=0.0, source="Ozuysal & Baccus 2012").low
    0.0
    """

    value: float | None = None
    unit: str = "1"
    low: float = -math.inf
    high: float = math.inf
    trainable: bool = True
    source: str = "chosen"
    axes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ValueError(f"low {self.low} is not below high {self.high}")
        if self.value is not None and not self.low <= self.value <= self.high:
            raise ValueError(f"value {self.value} is outside [{self.low}, {self.high}]")


def _free_leaf(parameter: Parameter, value: jax.Array) -> jax.Array:
    low, high = parameter.low, parameter.high
    if math.isinf(low) and math.isinf(high):
        return value
    if math.isinf(high):
        return _inverse_softplus(value - low)
    if math.isinf(low):
        return -_inverse_softplus(high - value)
    inside = jnp.clip((value - low) / (high - low), 1e-6, 1 - 1e-6)
    return jnp.log(inside) - jnp.log1p(-inside)


def _bound_leaf(parameter: Parameter, free: jax.Array) -> jax.Array:
    low, high = parameter.low, parameter.high
    if math.isinf(low) and math.isinf(high):
        return free
    if math.isinf(high):
        return low + jax.nn.softplus(free)
    if math.isinf(low):
        return high - jax.nn.softplus(-free)
    return low + (high - low) * jax.nn.sigmoid(free)


def _inverse_softplus(value: jax.Array) -> jax.Array:
    value = jnp.maximum(value, 1e-6)
    return value + jnp.log(-jnp.expm1(-value))


def to_free(parameters: Tree, params: Tree) -> Tree:
    """Bounded values to the unbounded ones an optimiser may move anywhere.

    parameters: tree of Parameter, parallel to params.
    params:     tree of arrays in the parameters' units.
    returns:    tree of arrays; leaves that are not trainable become None.

    >>> tree = {"tau_s": Parameter(0.1, unit="s", low=0.0)}
    >>> free = to_free(tree, {"tau_s": jnp.asarray(0.1)})
    >>> round(float(to_bounded(tree, free, {"tau_s": jnp.asarray(0.1)})["tau_s"]), 4)
    0.1
    """
    return jax.tree.map(
        lambda p, v: _free_leaf(p, v) if p.trainable else None, parameters, params
    )


def to_bounded(parameters: Tree, free: Tree, params: Tree) -> Tree:
    """The inverse of `to_free`; leaves that are not trainable are taken from params."""
    return jax.tree.map(
        lambda p, u, v: _bound_leaf(p, u) if p.trainable else v,
        parameters,
        free,
        params,
        is_leaf=lambda leaf: leaf is None,
    )
