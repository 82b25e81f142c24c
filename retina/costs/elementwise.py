"""What one operation per element costs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from retina.costs.counts import Counts
from retina.costs.program import Op, Value
from retina.errors import UncountedPrimitive

_KINDS = {
    "adds": "add sub add_any neg",
    "multiplies": "mul square",
    "divides": "div rem",
    "comparisons": (
        "max min abs clamp clip sign floor ceil round is_finite nextafter "
        "eq ne lt le gt ge eq_to le_to lt_to"
    ),
    "transcendentals": (
        "exp exp2 expm1 log log1p log2 logistic tanh sin cos tan asin acos atan atan2 "
        "sinh cosh asinh acosh atanh sqrt rsqrt cbrt pow erf erfc erf_inv lgamma "
        "digamma polygamma zeta igamma igammac igamma_grad_a bessel_i0e bessel_i1e "
        "regularized_incomplete_beta"
    ),
    "integers": (
        "and or not xor shift_left shift_right_logical shift_right_arithmetic "
        "population_count clz mulhi reduce_precision"
    ),
}

# A complex number is two floats.
_COMPLEX_KINDS = {
    "adds": Counts(adds=2),
    "multiplies": Counts(adds=2, multiplies=4),
    # (a + bi)(c - di) / (c**2 + d**2)
    "divides": Counts(adds=3, multiplies=6, divides=2),
}
_COMPLEX = {
    "abs": Counts(adds=1, multiplies=2, transcendentals=1),
    # e**a (cos b + i sin b)
    "exp": Counts(multiplies=2, transcendentals=3),
}


def is_exact(dtype: Any) -> bool:
    """True for integers, booleans and random keys: numbers that are not rounded."""
    return not jnp.issubdtype(dtype, np.inexact)


def is_complex(dtype: Any) -> bool:
    return jnp.issubdtype(dtype, np.complexfloating)


def of_kind(kind: str, number: int, like: Value) -> Counts:
    """`number` operations of a kind, on numbers like a value: integer or complex ones.

    >>> of_kind("adds", 3, Value((3,), np.dtype("int32"))).integers
    3
    >>> of_kind("adds", 3, Value((3,), np.dtype("complex64"))).adds
    6
    """
    if is_complex(like.dtype) and kind in _COMPLEX_KINDS:
        return number * _COMPLEX_KINDS[kind]
    chosen = "integers" if is_exact(like.dtype) else kind
    return dataclasses.replace(Counts(), **{chosen: number})


def _plain(kind: str) -> Callable[[Op], Counts]:
    def rule(op: Op) -> Counts:
        number = max(out.size for out in op.outs)
        if is_complex(op.ins[0].dtype) and not is_exact(op.outs[0].dtype):
            if op.name in _COMPLEX:
                return number * _COMPLEX[op.name]
            if kind not in _COMPLEX_KINDS:
                raise UncountedPrimitive(
                    f"{op.name!r} on complex numbers has no rule: split the numbers "
                    "into real and imaginary parts, or add a row to _COMPLEX in "
                    "retina/costs/elementwise.py"
                )
        return of_kind(kind, number, op.ins[0])

    return rule


def _select(op: Op) -> Counts:
    choices = len(op.ins) - 2
    return of_kind("comparisons", choices * op.outs[0].size, op.outs[0])


def _integer_pow(op: Op) -> Counts:
    """x**y by repeated squaring, as JAX lowers it: x**3 is two multiplies."""
    power = op.params["y"]
    size = op.outs[0].size
    times = abs(power)
    multiplies = max(times.bit_length() - 1, 0) + max(times.bit_count() - 1, 0)
    counts = of_kind("multiplies", multiplies * size, op.outs[0])
    return counts + of_kind("divides", size, op.outs[0]) if power < 0 else counts


def _polynomial(op: Op) -> Counts:
    """Horner: a multiply and an add for each coefficient but the last."""
    number = (len(op.ins) - 2) * op.outs[0].size
    return of_kind("multiplies", number, op.outs[0]) + of_kind(
        "adds", number, op.outs[0]
    )


def _one_minus_square(op: Op) -> Counts:
    """(1 + x)(1 - x), the form JAX evaluates."""
    size = op.outs[0].size
    return of_kind("adds", 2 * size, op.outs[0]) + of_kind(
        "multiplies", size, op.outs[0]
    )


def _convert(op: Op) -> Counts:
    changes = op.ins[0].dtype != op.outs[0].dtype
    return Counts(integers=op.outs[0].size if changes else 0)


def _conj(op: Op) -> Counts:
    return Counts(adds=op.outs[0].size)


RULES: dict[str, Callable[[Op], Counts]] = {
    name: _plain(kind) for kind, names in _KINDS.items() for name in names.split()
} | {
    "select_n": _select,
    "integer_pow": _integer_pow,
    "polynomial": _polynomial,
    "one_minus_square": _one_minus_square,
    "convert_element_type": _convert,
    "conj": _conj,
}
