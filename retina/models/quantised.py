"""Another model whose weights take few values."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from retina import build
from retina.costs.bits import bit_operations
from retina.errors import BadSetting, nearest
from retina.layers.wrapped import parts_of, through, wrapped
from retina.parameter import INPUTS, Parameter
from retina.recipe import Recipe
from retina.stage import Model, Params
from retina.types import Spec

BITS = {"int8": 8, "int4": 4, "ternary": 2, "binary": 1}


def quantised(
    spec: Spec,
    /,
    *,
    of: str = "ln",
    settings: tuple[tuple[str, Any], ...] = (),
    kind: str = "int8",
) -> Model:
    """A model with weights of 8, 4, 2 or 1 bits; `retina reduce quantise` makes one.

    of, settings: the model's name and keywords.
    kind:    int8, int4, ternary (-1, 0, 1) or binary (-1, 1), times a scale for each
             output, or each cell, that comes from the weights themselves.
    source:  Jacob et al. 2018, arXiv 1712.05877 (integers); Li et al. 2016, arXiv
             1605.04711 (ternary); Rastegari et al. 2016, arXiv 1603.05279 (binary);
             Bengio et al. 2013, arXiv 1308.3432 (the gradient passes straight through).

    What is fitted are weights behind the rounding, and biases, gains and time constants
    as they are. Products are those of the rounded weights in float32: `flops_per_bin`
    is the model's own; `bit_operations_per_bin` counts the bits of both factors, 32 of
    a signal. A filter that is a sum of rounded weights has 32 as well.

    >>> quantised(Spec((), 2, 0.01), settings=(("lags", 4),)).stage.lags
    3
    """
    if kind not in BITS:
        raise BadSetting(f"kind {kind!r}: {nearest(kind, BITS)}")
    inner = build.model(of, spec, **dict(settings))

    def view(parameters):
        return lambda params: _rounded(kind, parameters, params)

    stages = tuple(through(p, view(p.parameters)) for _, p in parts_of(inner))
    seen = view(inner.stage.parameters)
    model = wrapped("quantised", inner, stages, seen, ("quantised", kind))
    bits = {
        jax.tree_util.keystr(path, simple=True, separator="."): BITS[kind]
        for path, one in jax.tree_util.tree_leaves_with_path(inner.stage.parameters)
        if is_weight(one)
    }
    recipe = inner.recipe
    if recipe.optimiser == "lbfgs":
        # Its line search asks for a loss that the slope belongs to.
        recipe = Recipe("adam", learning_rate=1e-2, clip_bins=128, batch=8)

    def columns(params, dtype):
        more = {} if inner.columns is None else dict(inner.columns(params, dtype))
        count = bit_operations(inner, params, bits, dtype)
        return more | {"bit_operations_per_bin": count}

    return model._replace(recipe=recipe, independent=False, columns=columns)


def is_weight(one: Parameter) -> bool:
    """Whether a leaf is summed over, and so takes part in products."""
    summed = any(name in INPUTS for name in one.axes)
    return one.trainable and summed and one.unit == "1"


def _rounded(kind: str, parameters: Any, params: Params) -> Params:
    def leaf(one: Parameter, weights: jax.Array) -> jax.Array:
        if not is_weight(one):
            return weights
        own = next((n for n in ("out", "cell") if n in one.axes), None)
        axes = tuple(n for n, name in enumerate(one.axes) if name != own)
        return weights + lax.stop_gradient(few_values(kind, weights, axes) - weights)

    return jax.tree.map(leaf, parameters, params)


def few_values(kind: str, weights: jax.Array, axes: tuple[int, ...]) -> jax.Array:
    """The weights as integers times a scale.

    axes: over which one scale holds. Weights of zero, such as pruned ones, are not
          among those whose mean size it is.

    >>> few_values("ternary", jnp.array([0.1, -1.0, 0.8, 1.2]), (0,)).round(2).tolist()
    [0.0, -1.0, 1.0, 1.0]
    """
    size = jnp.abs(weights)

    def mean(among: jax.Array) -> jax.Array:
        count = jnp.sum(among.astype(jnp.float32), axis=axes, keepdims=True)
        total = jnp.sum(jnp.where(among, size, 0), axis=axes, keepdims=True)
        return total / jnp.maximum(count, 1)

    if kind == "binary":
        scale = mean(size > 0)
        return jnp.where(weights >= 0, scale, -scale)
    if kind == "ternary":
        large = size > 0.7 * mean(size > 0)
        return jnp.sign(weights) * jnp.where(large, mean(large), 0)
    levels = 2 ** (BITS[kind] - 1) - 1
    largest = jnp.max(size, axis=axes, keepdims=True)
    scale = jnp.maximum(largest, 1e-12) * jnp.float32(1 / levels)
    return jnp.round(weights / scale) * scale
