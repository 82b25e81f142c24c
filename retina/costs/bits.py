"""Bit-operations of one streaming step: multiply-adds times the bits of both factors.

How many bits a factor has follows from how it comes of the parameters: a scale for all
of a tensor or channel adds none, a product adds those of its factors, a sum rounds up.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import jax

from retina.costs.clocks import mean_of, steps_of
from retina.costs.flops import TracedStep
from retina.costs.movement import VIEWS
from retina.costs.program import Op, Program, Value
from retina.costs.rules import count_op
from retina.stage import Model, Tree

FLOAT = 32
DENSE = FLOAT * FLOAT  # bit-operations of one multiply-add
_SAME = VIEWS | {
    "broadcast_in_dim",
    "concatenate",
    "convert_element_type",
    "dynamic_slice",
    "gather",
    "pad",
    "reshape",
    "rev",
    "slice",
    "squeeze",
    "transpose",
}


def bit_operations(
    model: Model, params: Tree, bits: Mapping[str, int], dtype: Any = None
) -> int:
    """Bit-operations of the multiply-adds of one bin, the mean where bins differ.

    params: numbers or shapes.
    bits:   of the leaves that are not float32, by their dotted path. Their scales are
            taken out of the sums.
    dtype:  of the stimulus as it is stored; what is computed from it has 32 bits.

    >>> from retina import build
    >>> from retina.types import Spec
    >>> ln = build.model("ln", Spec((), 2, 0.01), lags=5, rank=None)
    >>> params = ln.stage.init(jax.random.key(0))
    >>> bit_operations(ln, params, {}), bit_operations(
    ...     ln, params, {"space_time.filters": 8})
    (10240, 2560)
    """
    return mean_of(
        (_of_step(step, params, bits), bins)
        for step, bins in steps_of(model, params, dtype)
    )


def _of_step(step: TracedStep, params: Tree, bits: Mapping[str, int]) -> int:
    leaves, _ = jax.tree.flatten_with_path(params)
    known = {
        value: bits[name]
        for (path, _), value in zip(leaves, step.params, strict=True)
        if (name := jax.tree_util.keystr(path, simple=True, separator=".")) in bits
    }
    late = step.timing()
    every = DENSE * step.work().step.macs
    return every - _saved(step.program, known, late, 1)


def _saved(program: Program, bits: dict[Value, int], late: Any, times: int) -> int:
    saved = 0
    for op in program.ops:
        each = [_bits(value, bits) for value in op.ins]
        if late.of(op) is None:
            if op.name in ("dot_general", "conv_general_dilated"):
                rest = DENSE - each[0] * each[1]
                saved += times * count_op(op).macs * rest
            elif op.name == "scan":
                (body,) = op.bodies
                steady = range(op.params["num_consts"])
                inside = {body.inputs[n]: each[n] for n in steady}
                saved += _saved(body, inside, late, times * op.params["length"])
            continue
        made = min(FLOAT, _made(op, each))
        bits.update(dict.fromkeys(op.outs, made))
    return saved


def _bits(value: Value, bits: Mapping[Value, int]) -> int:
    if value in bits:
        return bits[value]
    # One number for all is a scale; so is a mask, whose zeros another figure counts.
    return 0 if value.literal and value.size == 1 or value.dtype == bool else FLOAT


def _made(op: Op, each: list[int]) -> int:
    if op.name in _SAME:
        return max(each)
    if op.name == "mul":
        return sum(each)
    if op.name == "dot_general":
        (left, _), _ = op.params["dimension_numbers"]
        terms = math.prod(op.ins[0].shape[axis] for axis in left)
        return sum(each) + math.ceil(math.log2(max(terms, 1)))
    return FLOAT
