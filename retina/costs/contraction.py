"""What sums cost: products, convolutions, reductions, cumulative sums, windows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from retina.costs.counts import Counts
from retina.costs.elementwise import is_complex, is_exact, of_kind
from retina.costs.program import Op, Value
from retina.errors import UncountedPrimitive


def _multiply_adds(number: int, out: Value) -> Counts:
    if is_exact(out.dtype):
        return Counts(integers=2 * number)
    return Counts(macs=4 * number if is_complex(out.dtype) else number)


def _dot_general(op: Op) -> Counts:
    return _multiply_adds(op.outs[0].size * summed(op), op.outs[0])


def _convolution(op: Op) -> Counts:
    """Each product with a real sample; none with padding or with inserted zeros."""
    left, right = op.ins
    dims = op.params["dimension_numbers"]
    out = op.outs[0]
    taps = 1
    for axis in range(len(op.params["window_strides"])):
        low, high = op.params["padding"][axis]
        taps *= touching(
            samples=left.shape[dims.lhs_spec[axis + 2]],
            window=right.shape[dims.rhs_spec[axis + 2]],
            stride=op.params["window_strides"][axis],
            low=low,
            high=high,
            sample_gap=op.params["lhs_dilation"][axis],
            window_gap=op.params["rhs_dilation"][axis],
        )
    batch, features = out.shape[dims.out_spec[0]], out.shape[dims.out_spec[1]]
    summed_features = right.shape[dims.rhs_spec[1]]
    return _multiply_adds(batch * features * summed_features * taps, out)


def touching(
    *,
    samples: int,
    window: int,
    stride: int,
    low: int,
    high: int,
    sample_gap: int = 1,
    window_gap: int = 1,
    least: int = 0,
) -> int:
    """Pairs of (output position, window tap) along one axis that meet a real sample.

    samples, window: lengths; `sample_gap` - 1 zeros stand between two samples, and
    `window_gap` - 1 between two taps. low, high: padding. least: subtracted from each
    position's pairs, never below zero: 1 counts what it takes to add them up.

    >>> touching(samples=5, window=3, stride=1, low=1, high=1)  # SAME
    13
    """
    long = (samples - 1) * sample_gap + 1 if samples else 0
    reach = (window - 1) * window_gap + 1
    positions = (long + low + high - reach) // stride + 1 if window else 0
    pairs = 0
    for position in range(max(positions, 0)):
        first = position * stride - low
        met = sum(
            0 <= first + tap * window_gap < long
            and (first + tap * window_gap) % sample_gap == 0
            for tap in range(window)
        )
        pairs += max(met - least, 0)
    return pairs


def summed(op: Op) -> int:
    """How many values one result of a product, convolution or sum is made of."""
    if op.name == "dot_general":
        (left, _), _ = op.params["dimension_numbers"]
        return math.prod(op.ins[0].shape[axis] for axis in left)
    if op.name == "conv_general_dilated":
        spec = op.params["dimension_numbers"].rhs_spec
        return math.prod(op.ins[1].shape[axis] for axis in spec[1:])
    if op.name == "reduce_sum":
        return op.ins[0].size // max(op.outs[0].size, 1)
    return 0


def _reduction(kind: str) -> Callable[[Op], Counts]:
    def rule(op: Op) -> Counts:
        return _folded(kind, max(op.ins[0].size - op.outs[0].size, 0), op)

    return rule


def _cumulative(kind: str) -> Callable[[Op], Counts]:
    def rule(op: Op) -> Counts:
        return _folded(kind, _steps_along(op), op)

    return rule


def _folded(kind: str, number: int, op: Op) -> Counts:
    if kind not in ("adds", "multiplies"):
        _check_real(op)
    return of_kind(kind, number, op.ins[0])


def _check_real(op: Op) -> None:
    if is_complex(op.ins[0].dtype):
        raise UncountedPrimitive(
            f"{op.name!r} on complex numbers has no rule: work on the real and "
            "imaginary parts, or write it in retina/costs/contraction.py"
        )


def _steps_along(op: Op) -> int:
    size, length = op.ins[0].size, op.ins[0].shape[op.params["axis"]]
    return size - size // length if length else 0


def _cumlogsumexp(op: Op) -> Counts:
    """max(a, b) + log1p(exp(-|a - b|)) at each step."""
    _check_real(op)
    step = Counts(adds=3, comparisons=2, transcendentals=2)
    return _steps_along(op) * step


def _window_steps(
    shape: Sequence[int],
    window: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[tuple[int, int]],
    sample_gap: Sequence[int],
    window_gap: Sequence[int],
) -> tuple[int, int]:
    """Window positions that hold a sample, and the samples in all of them."""
    inside = all_positions = 1
    for axis, samples in enumerate(shape):
        low, high = padding[axis]
        pairs, beyond_first = (
            touching(
                samples=samples,
                window=window[axis],
                stride=stride[axis],
                low=low,
                high=high,
                sample_gap=sample_gap[axis],
                window_gap=window_gap[axis],
                least=least,
            )
            for least in (0, 1)
        )
        inside *= pairs
        all_positions *= pairs - beyond_first
    return all_positions, inside


def _window(kind: str) -> Callable[[Op], Counts]:
    def rule(op: Op) -> Counts:
        p = op.params
        ones = (1,) * len(op.ins[0].shape)
        positions, inside = _window_steps(
            op.ins[0].shape,
            p["window_dimensions"],
            p["window_strides"],
            p["padding"],
            p.get("base_dilation", ones),
            p.get("window_dilation", ones),
        )
        return _folded(kind, inside - positions, op)

    return rule


def _select_and_scatter_add(op: Op) -> Counts:
    """The gradient of max pooling: find each window's largest, add into its place."""
    source, operand = op.ins[:2]
    p = op.params
    ones = (1,) * len(operand.shape)
    positions, inside = _window_steps(
        operand.shape,
        p["window_dimensions"],
        p["window_strides"],
        p["padding"],
        ones,
        ones,
    )
    return (
        of_kind("comparisons", inside - positions, operand)
        + of_kind("adds", source.size, source)
        + Counts(words_read=source.size, words_written=source.size)
    )


RULES: dict[str, Callable[[Op], Counts]] = {
    "dot_general": _dot_general,
    "conv_general_dilated": _convolution,
    "reduce_sum": _reduction("adds"),
    "reduce_prod": _reduction("multiplies"),
    "reduce_max": _reduction("comparisons"),
    "reduce_min": _reduction("comparisons"),
    "reduce_and": _reduction("integers"),
    "reduce_or": _reduction("integers"),
    "reduce_xor": _reduction("integers"),
    "argmax": _reduction("comparisons"),
    "argmin": _reduction("comparisons"),
    "cumsum": _cumulative("adds"),
    "cumprod": _cumulative("multiplies"),
    "cummax": _cumulative("comparisons"),
    "cummin": _cumulative("comparisons"),
    "cumlogsumexp": _cumlogsumexp,
    "reduce_window_sum": _window("adds"),
    "reduce_window_max": _window("comparisons"),
    "reduce_window_min": _window("comparisons"),
    "select_and_scatter_add": _select_and_scatter_add,
}
