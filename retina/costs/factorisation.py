"""What transforms and factorisations cost, by the textbook algorithm."""

from __future__ import annotations

import math
from collections.abc import Callable

from retina.costs.counts import Counts
from retina.costs.elementwise import is_complex
from retina.costs.program import Op
from retina.errors import UncountedPrimitive


def _fft(op: Op) -> Counts:
    """5 n log2(n) per transform of n complex points, half of that for a real one.

    Of the 5, 3 are adds and 2 multiplies (radix 2: a butterfly is 6 adds and 4
    multiplies). n is the product over all transformed axes. Rounded up where n is no
    power of two.
    """
    lengths = op.params["fft_lengths"]
    points = math.prod(lengths)
    kind = op.params["fft_type"].name
    real = kind in ("RFFT", "IRFFT")
    shape = op.outs[0].shape if kind == "IRFFT" else op.ins[0].shape
    batch = math.prod(shape[: len(shape) - len(lengths)])
    if points & (points - 1):
        half = math.ceil(points * math.log2(points) / 2)
    else:
        half = points * (points.bit_length() - 1) // 2
    times = 1 if real else 2
    return batch * times * Counts(adds=3 * half, multiplies=2 * half)


def _square(op: Op) -> tuple[int, int]:
    """How many matrices, and their side."""
    if is_complex(op.ins[0].dtype):
        raise UncountedPrimitive(
            f"{op.name!r} of complex matrices has no rule: solve the real system of "
            "twice the size, or write it in retina/costs/factorisation.py"
        )
    shape = op.ins[0].shape
    return math.prod(shape[:-2]), shape[-1]


def _cholesky(op: Op) -> Counts:
    batch, n = _square(op)
    return batch * Counts(
        macs=n * (n - 1) * (n + 1) // 6,
        divides=n * (n - 1) // 2,
        transcendentals=n,
    )


def _triangular_solve(op: Op) -> Counts:
    batch, n = _square(op)
    right_sides = op.ins[1].size // max(batch * n, 1)
    divides = 0 if op.params["unit_diagonal"] else n
    counts = Counts(macs=n * (n - 1) // 2, divides=divides)
    return batch * right_sides * counts


def _lu(op: Op) -> Counts:
    """Gaussian elimination of a square matrix, the pivot searched in each column."""
    batch, n = _square(op)
    if op.ins[0].shape[-2] != n:
        raise UncountedPrimitive(
            f"'lu' of a {op.ins[0].shape[-2]} x {n} matrix has no rule: only square "
            "ones do (retina/costs/factorisation.py)"
        )
    below = n * (n - 1) // 2
    return batch * Counts(
        macs=(n - 1) * n * (2 * n - 1) // 6, divides=below, comparisons=2 * below
    )


def _pivots(op: Op) -> Counts:
    """One exchange of two entries for each pivot."""
    pivots = op.ins[0].size
    return Counts(words_read=2 * pivots, words_written=2 * pivots)


RULES: dict[str, Callable[[Op], Counts]] = {
    "fft": _fft,
    "cholesky": _cholesky,
    "triangular_solve": _triangular_solve,
    "lu": _lu,
    "lu_pivots_to_permutation": _pivots,
}
