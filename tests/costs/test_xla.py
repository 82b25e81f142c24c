"""XLA's own count, on programs without loops, is a second opinion on the walker.

XLA adds comparisons and integer operations to its "flops" and leaves transcendentals
out; in those words the two must agree exactly. It is asked before its back end rewrites
the program: a compiled sum on CPU counts 1919 adds for 1499. Where they differ, the
difference stands here with its reason. XLA is never asked about a loop: it counts the
body once.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from retina import build, registry
from retina.costs.flops import count, trace_step
from retina.costs.program import Program
from retina.stage import chain, memoryless, windowed
from retina.types import Spec


def f32(*shape):
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def xla(fn, *args) -> tuple[int, int]:
    found = jax.jit(fn).lower(*args).cost_analysis() or {}
    return int(found.get("flops", 0)), int(found.get("transcendentals", 0))


def ours(fn, *args) -> tuple[int, int]:
    counts = count(fn, *args)
    return (
        counts.flops_with(0) + counts.comparisons + counts.integers,
        counts.transcendentals,
    )


def conv(stride=(1, 1), padding="VALID", **settings):
    numbers = ("NHWC", "HWIO", "NHWC")
    return lambda x, k: lax.conv_general_dilated(
        x, k, stride, padding, dimension_numbers=numbers, **settings
    )


def pulled_back(fn, out):
    """The gradient of `fn` along a given direction, which XLA cannot fold away."""
    return lambda g, *args: jax.vjp(fn, *args)[1](g), f32(*out)


IMAGE, KERNEL = f32(1, 32, 32, 8), f32(5, 5, 8, 16)
V, M = f32(1000), f32(30, 50)
GRADIENT, ALONG = pulled_back(conv(padding="SAME"), (1, 32, 32, 16))
STRIDED, ALONG_STRIDED = pulled_back(conv((2, 2), "SAME"), (1, 16, 16, 16))
DEPTHWISE, ALONG_DEPTHWISE = pulled_back(conv(feature_group_count=8), (3, 28, 28, 8))

AGREE = {
    "matmul": (jnp.matmul, f32(64, 128), f32(128, 256)),
    "batched matmul": (jnp.matmul, f32(9, 3, 5), f32(9, 5, 2)),
    "conv VALID": (conv(), IMAGE, KERNEL),
    "conv SAME": (conv(padding="SAME"), IMAGE, KERNEL),
    "conv strided": (conv((3, 2)), IMAGE, KERNEL),
    "conv dilated": (conv(rhs_dilation=(2, 2)), IMAGE, KERNEL),
    "conv depthwise": (conv(feature_group_count=8), IMAGE, f32(5, 5, 1, 8)),
    "conv grouped": (conv(feature_group_count=2), IMAGE, f32(5, 5, 4, 16)),
    "conv transposed": (
        lambda x, k: lax.conv_transpose(x, k, (2, 2), "SAME"), IMAGE, KERNEL,
    ),
    "conv causal": (
        lambda x, k: lax.conv_general_dilated(
            x, k, (1,), [(39, 0)], dimension_numbers=("NWC", "WIO", "NWC")
        ),
        f32(1, 1000, 8),
        f32(40, 8, 5),
    ),
    "conv gradient": (GRADIENT, ALONG, IMAGE, KERNEL),
    "conv strided gradient": (STRIDED, ALONG_STRIDED, IMAGE, KERNEL),
    "conv depthwise gradient": (
        DEPTHWISE, ALONG_DEPTHWISE, f32(3, 32, 32, 8), f32(5, 5, 1, 8),
    ),
    "arithmetic": (lambda x, y: (x * y + x) / y - jnp.maximum(x, y), V, V),
    "clamp": (lambda x: lax.clamp(0.0, x, 1.0), V),
    "where": (lambda x: jnp.where(x > 0, x, 1.0), V),
    "cube": (lambda x: x**3, V),
    "fifth power": (lambda x: x**5, V),
    "sum": (jnp.sum, M),
    "variance": (jnp.var, M),
    "softmax": (jax.nn.softmax, V),
    "max pooling": (
        lambda x: lax.reduce_window(
            x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID"
        ),
        IMAGE,
    ),
    "perceptron": (
        lambda x, w, v: jnp.tanh(x @ w) @ v, f32(7, 20), f32(20, 30), f32(30, 5),
    ),
    "exp": (jnp.exp, V),
    "log1p": (jnp.log1p, V),
    "sqrt": (jnp.sqrt, V),
    "sin": (jnp.sin, V),
    "erf": (lax.erf, V),
}  # fmt: skip


@pytest.mark.parametrize("name", AGREE)
def test_agrees_with_xla(name):
    assert ours(*AGREE[name]) == xla(*AGREE[name])


# name: (program, by how many operations per element XLA counts more, why)
DIFFER = {
    "logistic": (lax.logistic, 3, "XLA expands it to 1 / (1 + exp(-x))"),
    "softplus": (jax.nn.softplus, -2, "XLA drops x - 0 and x + 0"),
    "clip": (lambda x: jnp.clip(x, 0.0, 1.0), 1, "we count clip as one comparison"),
    "elu": (jax.nn.elu, -1, "XLA drops the product with 1"),
}


@pytest.mark.parametrize("name", DIFFER)
def test_differs_from_xla_only_for_a_reason(name):
    fn, more, _ = DIFFER[name]
    (flops, transcendentals), theirs = ours(fn, V), xla(fn, V)
    assert theirs == (flops + more * 1000, transcendentals)


def test_xla_counts_the_body_of_a_scan_once():
    """Why a step with a loop is never checked against XLA, nor quoted from it."""

    def fn(length):
        return lambda x: lax.scan(lambda s, _: (s * 2.0, None), x, length=length)[0]

    assert ours(fn(100), V)[0] == 10 * ours(fn(10), V)[0] == 100_000
    assert xla(fn(100), V) == xla(fn(10), V)


def test_a_whole_streaming_step_agrees_with_xla():
    """A linear-nonlinear step: all but looking up the ring buffer is arithmetic."""

    def window(p, past):
        return jnp.einsum("thw,nthw->n", past, p["filter"])

    stage = chain(
        windowed(window, 10, shape=(8, 8), about=("filter",)),
        memoryless(lambda p, x: jnp.exp(x) * 2.0 + 1.0, about=("output",)),
    )
    params = {"filter": {"filter": jnp.zeros((3, 10, 8, 8))}, "output": {}}
    state, x = stage.start(params), f32(8, 8)
    counts = count(stage.step, params, state, x)
    assert counts.flops_with(0) == 2 * 3 * 640 + 3 + 3
    # On either side the rest is the buffer's pointer, in whole numbers. XLA also checks
    # the places that are looked up against the buffer's end, once per place and more.
    flops, transcendentals = xla(stage.step, params, state, x)
    assert transcendentals == counts.transcendentals == 3
    pointer = flops - counts.flops_with(0)
    assert counts.integers <= pointer <= counts.integers + 100


# The primitive that only this function of DIFFER has, where models have it.
HOLDS = {"logistic": "logistic", "softplus": "log1p", "clip": "clip", "elu": "expm1"}
# model: (operations that XLA counts more, all of them set-up or fixed, why)
MODELS = {
    "lookup_table": (2, "the ends of its clip are whole numbers, which XLA converts"),
    "merged": (-3, "weights of one drive are scaled by 1, which XLA drops"),
    "recursive_ln": (
        -6 * (14 + 4),  # of three cells of rank 2
        "14 products with 1 and 4 signs of what is raised to 0: XLA drops them",
    ),
    "recursive_subunits": (-8 * (14 + 4), "the same, of eight kinds of subunit"),
}
# XLA counts the body of a loop once.
LOOPS = {"bcn", "boosted_trees", "circuit", "lnk", "photoreceptor_cnn"}


@pytest.mark.parametrize("name", registry.names("models"))
def test_a_registered_step_agrees_with_xla_within_the_table(name):
    """Set-up included, which XLA does not tell from the rest."""
    spec = Spec((12, 11), 3, 0.02, mean_rstar_per_s=1e4)
    stage = build.model(name, spec).stage
    params = jax.eval_shape(stage.init, jax.random.key(0))
    state = jax.eval_shape(lambda params: stage.start(params), params)
    x = (f32(12, 11), f32(3)) if stage.uses_response else f32(12, 11)
    lowered = jax.jit(stage.step).lower(params, state, x)
    loops = "stablehlo.while" in lowered.as_text()
    assert loops == (name in LOOPS)
    if loops:
        return
    found = lowered.cost_analysis() or {}
    counts = count(stage.step, params, state, x)
    more = MODELS[name][0] if name in MODELS else 0
    for function, primitive in HOLDS.items():
        here = counts.by_primitive.get(primitive)
        if here:
            more += DIFFER[function][1] * (here.transcendentals + here.comparisons)
    told = counts.flops_with(0) + counts.comparisons + counts.integers
    assert int(found.get("flops", 0)) == told + more
    assert int(found.get("transcendentals", 0)) == counts.transcendentals


def test_the_trace_of_a_step_holds_what_xla_runs():
    """The walker's program keeps no operation that compilation would find dead."""
    wasteful = memoryless(
        lambda p, x: (jnp.exp(x).sum() * 0.0 + x, jnp.tanh(x))[0], about=("waste",)
    )
    step = trace_step(wasteful, {}, V)
    assert "tanh" not in _names(step.program)


def _names(program: Program) -> list[str]:
    return [op.name for op in program.ops]
