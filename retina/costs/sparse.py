"""What a machine that skips zero weights would save of one streaming step.

No declaration is asked for: the step is traced, what depends on parameters alone is
computed, and every product with it is looked at. Weights that are zero where they are
stored but not where they are used (a filter put together from courses) save nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from retina.costs.clocks import mean_of, steps_of
from retina.costs.contraction import summed, touching
from retina.costs.program import Op, Program, Value
from retina.stage import Model, Tree


def zero_macs(model: Model, params: Tree, stored: Any = None) -> int:
    """Multiply-adds of one bin whose weight is zero, the mean where bins differ.

    params: numbers, not shapes.
    stored: dtype of the stimulus; float32 unless told.
    returns: of products and convolutions; a product in a loop whose length is not
             written in the program (`while`), or in a branch, is taken as full.

    >>> from retina import build
    >>> from retina.types import Spec
    >>> ln = build.model("ln", Spec((), 2, 0.01), lags=5, rank=None)
    >>> params = ln.stage.init(jax.random.key(0))
    >>> kept = params["space_time"]["filters"].at[:, 2:].set(0)
    >>> zero_macs(ln, params | {"space_time": params["space_time"] | {"filters": kept}})
    6
    """
    leaves = [jnp.asarray(leaf) for leaf in jax.tree.leaves(params)]
    return mean_of(
        (_skipped(step.program, dict(zip(step.params, leaves, strict=True))), bins)
        for step, bins in steps_of(model, params, stored)
    )


def dropped_macs(model: Model, params: Tree, stored: Any = None) -> int:
    """Those of `zero_macs` that are zero for what the parameters are.

    Left out are zeros of the model's own, such as lags that no course of a basis
    reaches: they are there whatever was fitted.

    >>> from retina import build
    >>> from retina.types import Spec
    >>> ln = build.model("ln", Spec((), 2, 0.01), lags=5, rank=1, basis=2)
    >>> dropped_macs(ln, ln.stage.init(jax.random.key(0)))
    0
    """
    filled = jax.tree.map(_filled, params)
    return zero_macs(model, params, stored) - zero_macs(model, filled, stored)


def _filled(leaf: jax.Array) -> jax.Array:
    """No zero in it, nor a weight so small that few bits would round it to one."""
    leaf = jnp.asarray(leaf)
    if leaf.dtype == bool:
        return jnp.ones_like(leaf)
    if leaf.ndim < 2 or not jnp.issubdtype(leaf.dtype, jnp.floating):
        return leaf
    value = np.asarray(leaf)
    # Unequal, so that sums of them do not cancel.
    size = np.random.default_rng(0).uniform(0.8, 1.0, value.shape)
    size *= np.abs(value).max(initial=0) or 1
    return jnp.asarray(np.where(value < 0, -size, size), leaf.dtype)


def _skipped(program: Program, known: dict[Value, Any]) -> int:
    """Products with a zero; `known` is extended by what can be computed."""
    zeros = 0
    for op in program.ops:
        ins = [known.get(v) if v.held is None else v.held for v in op.ins]
        if op.run is not None and all(one is not None for one in ins):
            known.update(zip(op.outs, op.run(*ins), strict=True))
        elif op.name == "scan":
            (body,) = op.bodies
            steady = range(op.params["num_consts"])
            inside = {body.inputs[n]: ins[n] for n in steady if ins[n] is not None}
            zeros += op.params["length"] * _skipped(body, inside)
        elif op.name == "dot_general":
            zeros += _zero_products(op, ins)
        elif op.name == "conv_general_dilated":
            zeros += _zero_taps(op, ins)
    return zeros


def _zero_products(op: Op, ins: Sequence[Any]) -> int:
    weights = [one for one in ins if one is not None]
    if len(weights) != 1:
        return 0
    # Each weight enters as often as any other.
    uses = op.outs[0].size * summed(op) // max(weights[0].size, 1)
    return uses * int(np.sum(np.asarray(weights[0]) == 0))


def _zero_taps(op: Op, ins: Sequence[Any]) -> int:
    """Products with a real sample, by tap: padding meets none, so taps differ."""
    given, spec = op.params, op.params["dimension_numbers"]
    if ins[0] is not None or ins[1] is None:
        return 0
    x, kernel, out = op.ins[0], np.asarray(ins[1]), op.outs[0]
    met = np.ones([1] * kernel.ndim, np.int64)
    for axis, stride in enumerate(given["window_strides"]):
        if given["lhs_dilation"][axis] != 1 or given["rhs_dilation"][axis] != 1:
            return 0
        along = spec.rhs_spec[axis + 2]
        low, high = given["padding"][axis]
        samples, taps = x.shape[spec.lhs_spec[axis + 2]], kernel.shape[along]
        # A window of one tap, padded as if the others were there.
        each = [
            touching(
                samples=samples,
                window=1,
                stride=stride,
                low=low - tap,
                high=high - (taps - 1 - tap),
            )
            for tap in range(taps)
        ]
        shape = [1] * kernel.ndim
        shape[along] = taps
        met = met * np.asarray(each).reshape(shape)
    batch = out.shape[spec.out_spec[0]]
    return int(batch * ((kernel == 0) * met).sum())
