"""What a machine that skips zero weights would save of one streaming step.

No declaration is asked for: the step is traced, what depends on parameters alone is
computed, and every product with it is looked at. Weights that are zero where they are
stored but not where they are used (a filter put together from courses) save nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from retina.costs.contraction import touching
from retina.stage import Model, Tree

_CALLS = ("jaxpr", "call_jaxpr")  # of operations that run their body once
_LOOPS = ("scan", "while", "cond")


def zero_macs(model: Model, params: Tree, stored: Any = None) -> int:
    """Multiply-adds of one bin whose weight is zero.

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
    stage = model.stage
    state = jax.eval_shape(lambda p: stage.start(p), params)
    frame = jax.ShapeDtypeStruct(model.spec.frame, stored or jnp.float32)
    heard = jax.ShapeDtypeStruct((model.spec.cells,), jnp.float32)
    x = (frame, heard) if stage.uses_response else frame
    closed = jax.make_jaxpr(stage.step)(params, state, x)
    late = len(closed.jaxpr.invars) - len(jax.tree.leaves(params))
    known = [jnp.asarray(leaf) for leaf in jax.tree.leaves(params)] + [None] * late
    return _run(closed.jaxpr, closed.consts, known)[1]


def _run(
    jaxpr: Any, consts: Sequence[Any], given: Sequence[Any]
) -> tuple[list[Any], int]:
    """Results as far as they are known, else None; and the products with a zero."""
    values: dict[Any, Any] = dict(zip(jaxpr.constvars, consts, strict=True))
    values.update(zip(jaxpr.invars, given, strict=True))

    def read(atom: Any) -> Any:
        return atom.val if hasattr(atom, "val") else values.get(atom)

    zeros = 0
    for eqn in jaxpr.eqns:
        ins = [read(atom) for atom in eqn.invars]
        name = eqn.primitive.name
        body = next((eqn.params[c] for c in _CALLS if c in eqn.params), None)
        if body is not None and name not in _LOOPS:
            inner = getattr(body, "jaxpr", body)
            outs, more = _run(inner, getattr(body, "consts", ()), ins)
            zeros += more
        elif all(one is not None for one in ins):
            found = eqn.primitive.bind(*ins, **eqn.params)
            outs = list(found) if eqn.primitive.multiple_results else [found]
        elif name == "scan":
            steady = eqn.params["num_consts"]
            inside = ins[:steady] + [None] * (len(ins) - steady)
            inner = getattr(body, "jaxpr", body)
            once = _run(inner, getattr(body, "consts", ()), inside)[1]
            zeros += eqn.params["length"] * once
            outs = [None] * len(eqn.outvars)
        else:
            zeros += _zero_products(eqn, ins)
            outs = [None] * len(eqn.outvars)
        values.update(zip(eqn.outvars, outs, strict=True))
    return [read(atom) for atom in jaxpr.outvars], zeros


def _zero_products(eqn: Any, ins: Sequence[Any]) -> int:
    name, out = eqn.primitive.name, eqn.outvars[0].aval
    if name == "dot_general":
        weights = [one for one in ins if one is not None]
        if len(weights) != 1:
            return 0
        (contracted, _), _ = eqn.params["dimension_numbers"]
        left = eqn.invars[0].aval.shape
        macs = math.prod(out.shape) * math.prod(left[axis] for axis in contracted)
        size = max(weights[0].size, 1)  # each weight enters as often as any other
        return macs // size * _zeros(weights[0])
    if name == "conv_general_dilated" and ins[0] is None and ins[1] is not None:
        return _zero_taps(eqn, np.asarray(ins[1]))
    return 0


def _zero_taps(eqn: Any, kernel: np.ndarray) -> int:
    """Products with a real sample, by tap: padding meets none, so taps differ."""
    given = eqn.params
    spec = given["dimension_numbers"]
    x, out = eqn.invars[0].aval, eqn.outvars[0].aval
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


def _zeros(weights: Any) -> int:
    return int(np.sum(np.asarray(weights) == 0))
