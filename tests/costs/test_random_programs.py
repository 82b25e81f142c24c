"""A few hundred random programs whose cost is known by how they were put together.

A program is a list of moves on a list of arrays. While the moves are drawn, the cost is
added up on paper; the walker then has to find the same number in the traced program,
through jit, remat, vmap, scan, cond and dead code.
"""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from retina.costs.counts import KINDS
from retina.costs.flops import count

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
    "blur": (
        lambda x: jnp.convolve(x, jnp.ones(3), mode="same"),
        lambda n: {"macs": 3 * n - 2},
    ),
}  # fmt: skip
WRAPS = ("plain", "jit", "remat", "scan", "nested scan", "vmap", "cond", "fori")


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
    if kind == "vmap":
        # A branch under vmap runs both ways: another rule, tested by itself.
        wraps = tuple(wrap for wrap in wraps if wrap != "cond")
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
    if kind == "cond":
        other, price = drawn(rng, n, depth + 1, wraps)
        chosen = max((cost, price), key=weight)
        # The comparison with 0, and the flag as a branch number.
        extra = Counter(comparisons=1, integers=1)
        return lambda x: lax.cond(x[0] > 0.0, fn, other, x), chosen + extra
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


@pytest.mark.parametrize("block", range(10))
def test_random_programs(block):
    for seed in range(30):
        rng = random.Random(1000 * block + seed)
        n = rng.randint(3, 17)
        fn, cost = drawn(rng, n)
        counts = count(fn, jax.ShapeDtypeStruct((n,), jnp.float32))
        found = {kind: getattr(counts, kind) for kind in KINDS}
        assert found == {kind: cost[kind] for kind in KINDS}, (block, seed)
