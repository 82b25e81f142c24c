"""Each rule of the walker against a count that can be done by hand.

Shapes are chosen so that two different formulae do not give the same number by chance.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.ad_checkpoint import checkpoint_name

from retina.costs.counts import KINDS, Counts
from retina.costs.flops import count
from retina.costs.program import Op, Program, Value, trace
from retina.costs.rules import RULES, count_op
from retina.errors import UncountedPrimitive


def f32(*shape):
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def i32(*shape):
    return jax.ShapeDtypeStruct(shape, jnp.int32)


def c64(*shape):
    return jax.ShapeDtypeStruct(shape, jnp.complex64)


def flags(*shape):
    return jax.ShapeDtypeStruct(shape, jnp.bool_)


def keys(*shape):
    return jax.eval_shape(lambda: jnp.broadcast_to(jax.random.key(0), shape))


X, XX, M = f32(7), [f32(7), f32(7)], f32(3, 5)
CASES = []


def case(name, fn, args, **expected):
    """The program of `fn` holds the primitive `name` and costs what is expected."""
    args = args if isinstance(args, list) else [args]
    CASES.append(pytest.param(name, fn, args, expected, id=f"{name}-{len(CASES)}"))


# One operation per element: 7 of them.
for name in "add sub".split():
    case(name, getattr(lax, name), XX, adds=7)
    case(name, getattr(lax, name), [c64(7), c64(7)], adds=14)
case("neg", lax.neg, X, adds=7)
case("neg", lax.neg, c64(7), adds=14)
# d(x x) = x ct + x ct; the sum itself is dead.
case("add_any", jax.grad(lambda x: (x * x).sum()), X, multiplies=14, adds=7)
case("mul", lax.mul, XX, multiplies=7)
case("mul", lax.mul, [c64(7), c64(7)], multiplies=28, adds=14)
case("square", lax.square, X, multiplies=7)
case("square", lax.square, c64(7), multiplies=28, adds=14)
case("div", lax.div, XX, divides=7)
case("div", lax.div, [c64(7), c64(7)], divides=14, multiplies=42, adds=21)
case("rem", lax.rem, XX, divides=7)
for name in "max min eq ne lt le gt ge nextafter".split():
    case(name, getattr(lax, name), XX, comparisons=7)
for name in "abs sign floor ceil round is_finite".split():
    case(name, getattr(lax, name), X, comparisons=7)
case("abs", lax.abs, c64(7), transcendentals=7, multiplies=14, adds=7)
case("clamp", lambda x: lax.clamp(0.0, x, 1.0), X, comparisons=7)
case("clip", lambda x: jnp.clip(x, 0.0, 1.0), X, comparisons=7)
case("clip", lambda x: jnp.clip(x, min=0.0), X, comparisons=7)
case("max", jax.nn.relu, X, comparisons=7)
case("select_n", lax.select, [flags(7), *XX], comparisons=7)
case("select_n", lambda i, *c: lax.select_n(i, *c), [i32(7), *XX, X], comparisons=14)
for name in (
    "exp exp2 expm1 log log1p logistic tanh sin cos tan asin acos atan sinh cosh asinh "
    "acosh atanh sqrt rsqrt cbrt erf erfc erf_inv lgamma digamma bessel_i0e bessel_i1e"
).split():
    case(name, getattr(lax, name), X, transcendentals=7)
case("exp", lax.exp, c64(7), transcendentals=21, multiplies=14)
for name in "atan2 pow igamma igammac igamma_grad_a polygamma zeta".split():
    case(name, getattr(lax, name), XX, transcendentals=7)
case("pow", lambda x: x**2.5, X, transcendentals=7)
case(
    "regularized_incomplete_beta", lax.betainc, [f32(7), f32(7), f32(7)],
    transcendentals=7,
)  # fmt: skip
for power, multiplies in ((2, 1), (3, 2), (4, 2), (5, 3), (6, 3), (7, 4), (15, 6)):
    if power > 2:
        case("integer_pow", lambda x, p=power: x**p, X, multiplies=7 * multiplies)
    case(
        "integer_pow", lambda x, p=power: x**-p, X,
        multiplies=7 * multiplies, divides=7,
    )  # fmt: skip
case("integer_pow", lambda x: lax.integer_pow(x, 3), c64(7), multiplies=56, adds=28)
case("convert_element_type", lambda x: x.astype(jnp.int32), X, integers=7)
case("convert_element_type", lambda x: x.astype(jnp.bfloat16), X, integers=7)
case("conj", lax.conj, c64(7), adds=7)
case("reduce_precision", lambda x: lax.reduce_precision(x, 5, 10), X, integers=7)

# The same on integers is integer work, whatever the operation.
for name in "add mul max div rem lt and or xor shift_left".split():
    fn = {"and": lax.bitwise_and, "or": lax.bitwise_or, "xor": lax.bitwise_xor}.get(
        name, getattr(lax, name, None)
    )
    case(name, fn, [i32(7), i32(7)], integers=7)
case("shift_right_logical", lax.shift_right_logical, [i32(7), i32(7)], integers=7)
case("shift_right_arithmetic", lax.shift_right_arithmetic, [i32(7)] * 2, integers=7)
case("not", lax.bitwise_not, flags(7), integers=7)
case("population_count", lax.population_count, i32(7), integers=7)
case("clz", lax.clz, i32(7), integers=7)
case("mulhi", lax.mulhi, [i32(7), i32(7)], integers=7)
case("select_n", lax.select, [flags(7), i32(7), i32(7)], integers=7)
case("reduce_sum", lambda x: x.sum(dtype=jnp.int32), i32(7), integers=6)
case("dot_general", jnp.dot, [i32(3, 5), i32(5, 2)], integers=2 * 30)

# Products and sums.
case("dot_general", jnp.dot, [f32(64, 128), f32(128, 256)], macs=64 * 128 * 256)
case("dot_general", jnp.matmul, [f32(9, 3, 5), f32(9, 5, 2)], macs=9 * 30)
case("dot_general", jnp.vdot, XX, macs=7)
case("mul", jnp.outer, [f32(3), f32(5)], multiplies=15)
case("dot_general", lambda a, b: jnp.einsum("ij,kj->ik", a, b), [M, M], macs=45)
case("dot_general", jnp.dot, [c64(3, 5), c64(5, 2)], macs=4 * 30)
case("reduce_sum", jnp.sum, M, adds=14)
case("reduce_sum", lambda x: x.sum(0), M, adds=10)
case("reduce_sum", jnp.sum, c64(7), adds=12)
case("reduce_sum", jnp.mean, M, adds=14, divides=1)
case("reduce_prod", jnp.prod, M, multiplies=14)
case("reduce_max", lambda x: x.max(1), M, comparisons=12)
case("reduce_min", lambda x: x.min(1), M, comparisons=12)
case("argmax", lambda x: jnp.argmax(x, 1), M, comparisons=12)
case("argmin", lambda x: jnp.argmin(x, 1), M, comparisons=12)
case("reduce_and", jnp.all, flags(7), integers=6)
case("reduce_or", jnp.any, flags(7), integers=6)
case(
    "reduce_xor", lambda x: lax.reduce(x, np.int32(0), lax.bitwise_xor, (0,)), i32(7),
    integers=6,
)  # fmt: skip
case("cumsum", lambda x: lax.cumsum(x, 0), f32(1024), adds=1023)
case("cumsum", lambda x: lax.cumsum(x, 1), M, adds=12)
case("cumprod", lambda x: lax.cumprod(x, 1), M, multiplies=12)
case("cumprod", lambda x: lax.cumprod(x, 0), c64(7), multiplies=24, adds=12)
case("cummax", lambda x: lax.cummax(x, 1), M, comparisons=12)
case("cummin", lambda x: lax.cummin(x, 1), M, comparisons=12)
case(
    "cumlogsumexp", lambda x: lax.cumlogsumexp(x, 1), M,
    adds=36, comparisons=24, transcendentals=24,
)  # fmt: skip


def conv(stride=(1, 1), padding: Any = "VALID", **settings):
    settings.setdefault("dimension_numbers", ("NHWC", "HWIO", "NHWC"))
    return lambda x, k: lax.conv_general_dilated(x, k, stride, padding, **settings)


CONV = "conv_general_dilated"
IMAGE, KERNEL = f32(1, 32, 32, 8), f32(5, 5, 8, 16)
case(CONV, conv(), [IMAGE, KERNEL], macs=28 * 28 * 25 * 8 * 16)
# SAME: along one axis 32 positions of 5 taps, less 2 + 1 at either end.
case(CONV, conv(padding="SAME"), [IMAGE, KERNEL], macs=154**2 * 8 * 16)
case(CONV, conv((3, 2)), [IMAGE, KERNEL], macs=10 * 14 * 25 * 8 * 16)
case(CONV, conv(feature_group_count=8), [IMAGE, f32(5, 5, 1, 8)], macs=28**2 * 25 * 8)
case(
    CONV, conv(feature_group_count=2), [IMAGE, f32(5, 5, 4, 16)],
    macs=28**2 * 25 * 4 * 16,
)  # fmt: skip
# Transposed, stride 2: 31 positions are inserted zeros; 31 x 2 * 5 / 4 taps are real.
case(
    CONV,
    lambda x, k: lax.conv_transpose(x, k, (2, 2), "VALID"),
    [f32(1, 4, 4, 2), f32(3, 3, 2, 5)],
    macs=(4 * 3) ** 2 * 2 * 5,
)
case(
    CONV,
    conv(rhs_dilation=(2, 2)),
    [f32(1, 9, 9, 2), f32(3, 3, 2, 5)],
    macs=25 * 9 * 2 * 5,
)
case(
    CONV,
    conv((1,), [(39, 0)], dimension_numbers=("NWC", "WIO", "NWC")),
    [f32(1, 1000, 1), f32(40, 1, 1)],
    macs=1000 * 40 - 40 * 39 // 2,
)
case(CONV, lambda x, k: jnp.convolve(x, k), [f32(9), f32(4)], macs=36)

POOL = f32(1, 5, 5, 3)


def pool(fn, start, padding="VALID"):
    window = (1, 2, 2, 1)
    return lambda x: lax.reduce_window(x, start, fn, window, window, padding)


case("reduce_window_sum", pool(lax.add, 0.0), POOL, adds=4 * 3 * 3)
# SAME: 9 windows, of which 4 are whole, 4 hold half and 1 a quarter.
case("reduce_window_sum", pool(lax.add, 0.0, "SAME"), POOL, adds=(4 * 3 + 4) * 3)
case("reduce_window_sum", pool(lax.add, np.complex64(0)), c64(1, 5, 5, 3), adds=2 * 36)
case("reduce_window_max", pool(lax.max, -jnp.inf), POOL, comparisons=36)
case("reduce_window_min", pool(lax.min, jnp.inf), POOL, comparisons=36)
case(
    "select_and_scatter_add",
    jax.grad(lambda x: pool(lax.max, -jnp.inf)(x).sum()),
    POOL,
    comparisons=36,
    adds=12,
    words_read=12,
    words_written=12,
)

# Moving words. Views are free.
case("broadcast_in_dim", lambda x: jnp.broadcast_to(x, (4, 7)), X)
case("reshape", lambda x: x.reshape(15), M)
case("squeeze", lambda x: x.squeeze(0), f32(1, 7))
case("transpose", jnp.transpose, M)
case("rev", lambda x: lax.rev(x, (0,)), X)
case("slice", lambda x: x[2:5], X)
case("split", lambda x: tuple(jnp.split(x, 3)), f32(6))
case("unstack", lambda x: tuple(jnp.unstack(x)), X)
case("tile", lambda x: jnp.tile(x, 3), X)
case("stop_gradient", lambda x: lax.stop_gradient(x) + x, X, adds=7)
case("copy", lambda x: jnp.array(x, copy=True), X)
case("name", lambda x: checkpoint_name(x, "here"), X)
case("optimization_barrier", lax.optimization_barrier, X)
case("device_put", lambda x: jax.device_put(x), X)
case("real", lax.real, c64(7))
case("imag", lax.imag, c64(7))
case("complex", lax.complex, XX)
case("bitcast_convert_type", lambda x: lax.bitcast_convert_type(x, jnp.int32), X)
case("iota", lambda: lax.iota(jnp.int32, 7), [])
case("concatenate", lambda *x: jnp.concatenate(x), [X, f32(2)], words_written=9)
case("stack", lambda *x: jnp.stack(x), XX, words_written=14)
case("pad", lambda x: lax.pad(x, 0.0, [(2, 2, 0)]), X, words_written=11)
case("pad", lambda x: lax.pad(x, 0.0, [(0, 0, 0)]), X)
case(
    "gather",
    lambda x, i: x.at[i].get(mode="promise_in_bounds"),
    [f32(9, 4), i32(3)],
    words_read=12,
    integers=9,  # a negative index counts from the end: compare, add, select
)
case(
    "dynamic_slice", lambda x, i: lax.dynamic_slice(x, (i,), (3,)), [X, i32()],
    words_read=3, integers=3,
)  # fmt: skip
case(
    "dynamic_update_slice",
    lambda x, u, i: lax.dynamic_update_slice(x, u, (i,)),
    [X, f32(2), i32()],
    words_written=2,
    integers=3,
)
AT = [f32(9), i32(3), f32(3)]
INDEX = {"integers": 9}
case("scatter", lambda x, i, u: x.at[i].set(u), AT, words_written=3, **INDEX)
for name, method, kind in (
    ("scatter-add", "add", "adds"),
    ("scatter-sub", "subtract", "adds"),
    ("scatter-mul", "multiply", "multiplies"),
    ("scatter-max", "max", "comparisons"),
    ("scatter-min", "min", "comparisons"),
):
    case(
        name,
        lambda x, i, u, method=method: getattr(x.at[i], method)(u),
        AT,
        words_read=3,
        words_written=3,
        **{kind: 3},
        **INDEX,
    )
case(
    "scatter-add",
    lambda x, i, u: x.at[i].add(u),
    [c64(9), i32(3), c64(3)],
    words_read=3,
    words_written=3,
    adds=6,
    **INDEX,
)
case(
    "sort", jnp.sort, f32(1024), comparisons=10240, words_read=1024, words_written=1024
)
case(
    "sort", lambda x: jnp.sort(x, 1), M, comparisons=45, words_read=15, words_written=15
)
case(
    "top_k", lambda x: lax.top_k(x, 4), f32(100),
    comparisons=300, words_read=100, words_written=8,
)  # fmt: skip

# Transforms and factorisations.
case("fft", jnp.fft.fft, c64(1024), adds=3 * 10240, multiplies=2 * 10240)
case("fft", jnp.fft.rfft, f32(1024), adds=3 * 5120, multiplies=2 * 5120)
case("fft", lambda x: jnp.fft.irfft(x), c64(513), adds=3 * 5120, multiplies=2 * 5120)
case("fft", jnp.fft.fft, c64(9, 64), adds=9 * 3 * 384, multiplies=9 * 2 * 384)
case("fft", jnp.fft.fft2, c64(9, 8, 8), adds=9 * 3 * 384, multiplies=9 * 2 * 384)
case("fft", jnp.fft.fft, c64(6), adds=3 * 16, multiplies=2 * 16)  # 6 log2(6) = 15.5
case(
    "cholesky",
    lambda a: lax.linalg.cholesky(a, symmetrize_input=False),
    f32(3, 3),
    # l21 l31; l22: 1 product; l32: 1; l33: 2. Two divides, then one; three roots.
    macs=4,
    divides=3,
    transcendentals=3,
    integers=18,  # the upper triangle is masked: row + 0 >= column
    comparisons=9,
)
case(
    "triangular_solve",
    lambda a, b: lax.linalg.triangular_solve(a, b, left_side=True, lower=True),
    [f32(3, 3), f32(3, 5)],
    macs=3 * 5,
    divides=3 * 5,
)
case("lu", lax.linalg.lu, f32(3, 3), macs=4 + 1, divides=3, comparisons=6)
case(
    "lu_pivots_to_permutation",
    lambda p: lax.linalg.lu_pivots_to_permutation(p, 4),
    i32(4),
    words_read=8,
    words_written=8,
)

# Random numbers: one draw each.
case("random_bits", lambda k: jax.random.bits(k, (7,)), keys(), randoms=7)
case("random_split", lambda k: jax.random.split(k, 3), keys(), randoms=3)
case("random_fold_in", lambda k: jax.random.fold_in(k, 3), keys(), randoms=1)
case("random_seed", lambda s: jax.random.key(s), i32(), randoms=1)
case("random_clone", lambda k: jax.random.clone(k), keys())
case("random_unwrap", lambda k: jax.random.key_data(k), keys())
case(
    "random_wrap", lambda d: jax.random.wrap_key_data(d),
    jax.ShapeDtypeStruct((2,), jnp.uint32),
)  # fmt: skip
case(
    "rng_bit_generator",
    lambda k: lax.rng_bit_generator(k, (7,)),
    jax.ShapeDtypeStruct((4,), jnp.uint32),
    randoms=7,
)
for draw in (
    lambda k: jax.random.uniform(k, (7,)),
    lambda k: jax.random.normal(k, (7,)),
    lambda k: jax.random.bernoulli(k, jnp.zeros(7)),
    lambda k: jax.random.exponential(k, (7,)),
    lambda k: jax.random.poisson(k, jnp.ones(7)),
    lambda k: jax.random.gamma(k, jnp.ones(7)),
    lambda k: jax.random.beta(k, jnp.ones(7), jnp.ones(7)),
    lambda k: jax.random.randint(k, (7,), 0, 9),
):
    case("random_sampler", draw, keys(), randoms=7)


@pytest.mark.parametrize("name, fn, args, expected", CASES)
def test_closed_form(name, fn, args, expected):
    assert name in names(trace(fn, *args))
    assert kinds(count(fn, *args)) == {kind: n for kind, n in expected.items() if n}


def names(program: Program) -> set[str]:
    found = set()
    for op in program.ops:
        found |= {op.name, *(n for body in op.bodies for n in names(body))}
    return found


def kinds(counts: Counts) -> dict[str, int]:
    return {kind: getattr(counts, kind) for kind in KINDS if getattr(counts, kind)}


def value(*shape, dtype="float32"):
    return Value(shape, np.dtype(dtype))


# Primitives that not every supported jax has, or that no public function makes alone.
SEVEN = value(7)
BARE = {
    "log2": ([SEVEN], {}, {"transcendentals": 7}),
    "eq_to": ([SEVEN, SEVEN], {}, {"comparisons": 7}),
    "lt_to": ([SEVEN, SEVEN], {}, {"comparisons": 7}),
    "le_to": ([SEVEN, SEVEN], {}, {"comparisons": 7}),
    # (1 + x)(1 - x)
    "one_minus_square": ([SEVEN], {}, {"adds": 14, "multiplies": 7}),
    # a + x (b + x (c + x d))
    "polynomial": ([SEVEN] + 4 * [value()], {}, {"adds": 21, "multiplies": 21}),
}


@pytest.mark.parametrize("name", BARE)
def test_closed_form_of_a_bare_operation(name):
    ins, params, expected = BARE[name]
    assert kinds(count_op(Op(name, params, ins, [value(7)], ""))) == expected


def test_every_rule_has_a_closed_form():
    covered = {case.values[0] for case in CASES} | set(BARE)
    assert covered == set(RULES)


def test_gradient_of_tanh_costs_the_same_on_every_jax():
    # jax < 0.12 writes ct (1 - y) + ct (1 - y) y, jax 0.12 ct (1 + y)(1 - y).
    counts = count(jax.grad(lambda x: jnp.tanh(x).sum()), X)
    assert counts.flops == 7 * (10 + 4)


def test_polynomial_costs_the_same_on_every_jax():
    counts = count(jnp.polyval, f32(4), X)
    # jax 0.10 starts the Horner scheme from 0, and so takes one step more.
    assert counts.multiplies == counts.adds
    assert counts.multiplies in (21, 28)


def test_unknown_primitive_raises_and_says_where_the_rule_belongs():
    with pytest.raises(UncountedPrimitive, match="'eigh'.*retina/costs/rules.py"):
        count(jnp.linalg.eigh, f32(3, 3))


@pytest.mark.parametrize(
    "fn", [jnp.log, lax.sign, lax.cumlogsumexp, jnp.linalg.cholesky]
)
def test_complex_numbers_without_a_rule_raise(fn):
    with pytest.raises(UncountedPrimitive, match="complex"):
        count(fn, c64(3, 3))


def test_host_callbacks_raise():
    def call(x):
        return jax.pure_callback(np.sin, x, x)

    with pytest.raises(UncountedPrimitive, match="pure_callback"):
        count(call, X)


def test_counts_are_python_integers_beyond_float_precision():
    # XLA keeps float32: it would say 16,777,216.
    assert count(lambda x: x + 1.0, f32(16_777_217)).adds == 16_777_217
    big = count(jnp.dot, f32(10**7, 10**7), f32(10**7, 10**7))
    assert big.macs == 10**21 and type(big.flops) is int
