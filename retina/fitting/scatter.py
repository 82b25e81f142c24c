"""Starts further apart than a model's own, for several seeds of a mechanistic model."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from retina.parameter import Parameter
from retina.stage import Tree


def scattered(parameters: Tree, params: Tree, key: jax.Array, amount: float) -> Tree:
    """Params with each trained leaf moved at random, within its bounds.

    parameters: tree of Parameter, parallel to params. Numbers that begin at a stated
                `value` move one by one; weights, which `init` has drawn or data have
                set, keep their shape: all of a leaf by one factor.
    amount:     s.d. of the logarithm of a factor on what lies between a number and its
                bound; between two, on the ratio of the distances to both; without any,
                on the number itself.

    >>> tree = {"tau_s": Parameter(0.1, "s", low=0.0)}
    >>> moved = scattered(tree, {"tau_s": jnp.float32(0.1)}, jax.random.key(0), 1.0)
    >>> bool(moved["tau_s"] > 0) and bool(moved["tau_s"] != 0.1)
    True
    """
    leaves, structure = jax.tree.flatten(params)
    described = structure.flatten_up_to(parameters)
    keys = jax.random.split(key, len(leaves))
    moved = [
        _moved(p, jnp.asarray(v), k, amount) if p.trainable else v
        for p, v, k in zip(described, leaves, keys, strict=True)
    ]
    return structure.unflatten(moved)


def _moved(p: Parameter, value: jax.Array, key: jax.Array, amount: float) -> jax.Array:
    one_by_one = p.value is not None
    shape = value.shape if one_by_one else (1,) * value.ndim
    shift = amount * jax.random.normal(key, shape, value.dtype)
    factor = jnp.exp(shift)
    below, above = math.isfinite(p.low), math.isfinite(p.high)
    if below and above:
        part = jnp.clip((value - p.low) / (p.high - p.low), 1e-6, 1 - 1e-6)
        odds = part / (1 - part) * factor
        return p.low + (p.high - p.low) * (odds / (1 + odds))
    if below:
        return p.low + (value - p.low) * factor
    if above:
        return p.high - (p.high - value) * factor
    if one_by_one and p.value == 0:  # has no size that a factor could change
        return value + shift
    return value * factor
