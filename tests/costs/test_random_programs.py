"""Random programs whose cost is known by how they were put together.

A program is a list of moves on a list of arrays. While the moves are drawn, the cost is
added up on paper; the walker then has to find the same number in the traced program,
through jit, remat, vmap, scan, cond, custom derivatives and dead code. A few hundred
by default, well over a thousand with the slow tests.
"""

from __future__ import annotations

import functools
import math
import random
from collections import Counter
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from flax import nnx
from jax import lax

from retina.costs.counts import KINDS
from retina.costs.flops import count


@functools.cache
def dense(n: int) -> nnx.Linear:
    return nnx.Linear(n, n, kernel_init=nnx.initializers.zeros_init(), rngs=nnx.Rngs(0))


def through_spectrum(x):
    """Of jax.lax: jax.numpy's inverse also makes a zero to pad with."""
    n = x.shape[0]
    return lax.fft(lax.fft(x, "RFFT", (n,)), "IRFFT", (n,))


def transformed(n: int) -> dict[str, int]:
    """Twice half of 5 n log2(n), the textbook's radix 2: 3 adds to 2 multiplies."""
    half = math.ceil(n * math.log2(n) / 2)
    return {"adds": 6 * half, "multiplies": 4 * half}


def summed_in_pairs(n: int) -> dict[str, int]:
    """What jax does: pairs, the same of the pairs' sums, and all put back in a row.

    It interleaves two rows by padding both with zeros and adding them up.
    """
    if n < 2:
        return {}
    inner = summed_in_pairs(n // 2)
    return {
        "adds": inner.get("adds", 0) + n // 2 + (n - 1) // 2 + n,
        "words_written": inner.get("words_written", 0) + (n + 1) // 2 + 2 * n,
    }


# name: (function of one vector, cost of n values)
MOVES: dict[str, tuple[Any, Any]] = {
    "add": (lambda x: x + 1.0, lambda n: {"adds": n}),
    "multiply": (lambda x: x * 3.0, lambda n: {"multiplies": n}),
    "divide": (lambda x: 1.0 / x, lambda n: {"divides": n}),
    "cube": (lambda x: x**3, lambda n: {"multiplies": 2 * n}),
    "relu": (jax.nn.relu, lambda n: {"comparisons": n}),
    "exp": (jnp.exp, lambda n: {"transcendentals": n}),
    "norm": (lambda x: x / x.sum(), lambda n: {"adds": n - 1, "divides": n}),
    "cumsum": (lambda x: lax.cumsum(x), lambda n: {"adds": n - 1}),
    "turn": (lambda x: x[::-1].reshape(1, -1).T[:, 0], lambda n: {}),
    "gram": (
        lambda x: jnp.outer(x, x) @ x,
        lambda n: {"multiplies": n * n, "macs": n * n},
    ),
    "sort": (
        jnp.sort,
        lambda n: {
            "comparisons": n * (n - 1).bit_length(),
            "words_read": n,
            "words_written": n,
        },
    ),
    "round trip": (
        lambda x: x.astype(jnp.int32).astype(jnp.float32),
        lambda n: {"integers": 2 * n},
    ),
    "nnx": (lambda x: dense(x.shape[0])(x), lambda n: {"macs": n * n, "adds": n}),
    "spectrum": (through_spectrum, transformed),
    "associative": (lambda x: lax.associative_scan(jnp.add, x), summed_in_pairs),
    "blur": (
        lambda x: jnp.convolve(x, jnp.ones(3), mode="same"),
        lambda n: {"macs": 3 * n - 2},
    ),
}  # fmt: skip
WRAPS = (
    "plain",
    "jit",
    "remat",
    "scan",
    "nested scan",
    "vmap",
    "vmapped scan",
    "cond",
    "cond in scan",
    "fori",
    "custom_vjp",
)


def drawn(
    rng: random.Random, n: int, depth: int = 0, wraps: tuple[str, ...] = WRAPS
) -> tuple[Any, Counter]:
    """A random function of n values to n values, and its cost."""
    if depth < 3 and rng.random() < 0.5:
        return wrapped(rng, n, depth, wraps)
    steps = [rng.choice(list(MOVES)) for _ in range(rng.randint(1, 4))]
    dead = [rng.choice(list(MOVES)) for _ in range(rng.randint(0, 2))]
    cost: Counter = Counter()
    for name in steps:
        cost.update(MOVES[name][1](n))

    def fn(x):
        for name in dead:
            MOVES[name][0](x)
        for name in steps:
            x = MOVES[name][0](x)
        return x

    return fn, cost


def wrapped(
    rng: random.Random, n: int, depth: int, wraps: tuple[str, ...]
) -> tuple[Any, Counter]:
    kind = rng.choice(wraps)
    if kind in ("vmap", "vmapped scan"):
        # A branch under vmap runs both ways: another rule, tested by itself.
        wraps = tuple(wrap for wrap in wraps if "cond" not in wrap)
    fn, cost = drawn(rng, n, depth + 1, wraps)
    times, again = rng.randint(1, 5), rng.randint(1, 5)
    if kind == "jit":
        return jax.jit(fn), cost
    if kind == "remat":
        return jax.checkpoint(fn), cost
    if kind == "scan":
        return lambda x: scanned(fn, x, times), scaled(cost, times)
    if kind == "nested scan":
        inner = lambda x: scanned(fn, x, times)  # noqa: E731
        return lambda x: scanned(inner, x, again), scaled(cost, times * again)
    if kind == "fori":
        return (
            # The body does not use the counter, so counting is dead code.
            lambda x: lax.fori_loop(0, times, lambda i, x: fn(x), x),
            scaled(cost, times),
        )
    if kind == "vmap":
        many = jax.vmap(fn)
        return lambda x: many(jnp.broadcast_to(x, (times, n)))[0], scaled(cost, times)
    if kind == "vmapped scan":
        many = jax.vmap(lambda x: scanned(fn, x, times))
        whole = scaled(cost, times * again)
        return lambda x: many(jnp.broadcast_to(x, (again, n)))[0], whole
    if kind == "custom_vjp":
        own = jax.custom_vjp(fn)
        own.defvjp(lambda x: (fn(x), x), lambda x, g: (g + x,))
        return own, cost
    if kind in ("cond", "cond in scan"):
        other, price = drawn(rng, n, depth + 1, wraps)
        chosen = max((cost, price), key=weight)
        # The comparison with 0, and the flag as a branch number.
        extra = Counter(comparisons=1, integers=1)
        branch = lambda x: lax.cond(x[0] > 0.0, fn, other, x)  # noqa: E731
        if kind == "cond":
            return branch, chosen + extra
        return lambda x: scanned(branch, x, times), scaled(chosen + extra, times)
    return fn, cost


def scanned(fn, x, times):
    return lax.scan(lambda x, _: (fn(x), None), x, length=times)[0]


def scaled(cost: Counter, times: int) -> Counter:
    return Counter({kind: times * n for kind, n in cost.items()})


def weight(cost: Counter) -> tuple[int, int]:
    """FLOPs, then all operations: what makes a branch the dearer one."""
    plain = cost["adds"] + cost["multiplies"] + cost["divides"]
    flops = 2 * cost["macs"] + plain + 10 * cost["transcendentals"]
    rest = ("comparisons", "integers", "words_read", "words_written")
    return flops, flops + sum(cost[kind] for kind in rest)


def check(block: int) -> None:
    for seed in range(30):
        rng = random.Random(1000 * block + seed)
        n = rng.randint(3, 17)
        dense(n)  # made before anything is traced
        fn, cost = drawn(rng, n)
        counts = count(fn, jax.ShapeDtypeStruct((n,), jnp.float32))
        found = {kind: getattr(counts, kind) for kind in KINDS}
        assert found == {kind: cost[kind] for kind in KINDS}, (block, seed)


@pytest.mark.parametrize("block", range(10))
def test_random_programs(block):
    check(block)


@pytest.mark.slow
@pytest.mark.parametrize("block", range(10, 50))
def test_twelve_hundred_more(block):
    check(block)
