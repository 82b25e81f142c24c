"""Loops, branches, calls and transforms, against counts done by hand."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from retina.costs.counts import KINDS, Counts
from retina.costs.flops import count, depth
from retina.errors import UncountedPrimitive

N, T = 64, 100
W, X = jnp.zeros((N, N)), jnp.zeros(N)
XS = jnp.zeros((T, N))


def kinds(counts: Counts) -> dict[str, int]:
    return {kind: getattr(counts, kind) for kind in KINDS if getattr(counts, kind)}


def rnn(w, xs, h, **settings):
    return lax.scan(lambda h, x: (jnp.tanh(w @ h + x), None), h, xs, **settings)[0]


@pytest.mark.parametrize("length", [1, 10, 100, 1000])
@pytest.mark.parametrize("unroll", [1, 10, True])
def test_scan_is_multiplied_by_its_length_however_it_is_unrolled(length, unroll):
    counts = count(lambda w, xs, h: rnn(w, xs, h, unroll=unroll), W, XS[:1].repeat(
        length, 0), X)  # fmt: skip
    assert counts.flops_with(0) == length * (2 * N * N + N)
    assert counts.transcendentals == length * N


def test_nested_scans_multiply():
    def outer(w, xs, h):
        return lax.scan(lambda h, _: (rnn(w, xs, h), None), h, length=10)[0]

    inner = count(rnn, W, XS, X)
    assert kinds(count(outer, W, XS, X)) == kinds(10 * inner)


def test_a_scan_keeps_no_dead_code():
    def fn(xs):
        def step(carry, x):
            used, unused = carry
            return (used + x, jnp.exp(unused) + x), (x * 2.0, jnp.tanh(x))

        (used, _), (doubled, _) = lax.scan(step, (X, X), xs)
        return used, doubled

    assert kinds(count(fn, XS)) == {"adds": T * N, "multiplies": T * N}


def test_a_dead_carry_that_feeds_a_live_one_is_alive():
    def fn(xs):
        def step(carry, x):
            a, b = carry
            return (a + b, b * x), None

        return lax.scan(step, (X, X), xs)[0][0]

    assert kinds(count(fn, XS)) == {"adds": T * N, "multiplies": T * N}


def test_dead_code_is_not_counted_through_calls_and_branches():
    @jax.jit
    def both(x):
        return x + 1.0, jnp.exp(x)

    def fn(flag, x):
        kept, _ = both(x)
        one, _ = lax.cond(flag, lambda x: (x * x, x / 3.0), lambda x: (x, x), kept)
        return one

    assert kinds(count(fn, True, X)) == {"adds": N, "multiplies": N, "integers": 1}


def test_fori_loop():
    counts = count(lambda x: lax.fori_loop(0, 13, lambda i, x: x * 2.0, x), X)
    assert counts.multiplies == 13 * N


@pytest.mark.parametrize(
    "start, test, stride, turns",
    [
        (0, lambda i: i < 10, 1, 10),
        (0, lambda i: i < 10, 3, 4),
        (0, lambda i: i <= 9, 3, 4),
        (0, lambda i: i < 9, 3, 3),
        (10, lambda i: i > 0, -1, 10),
        (10, lambda i: i >= 0, -4, 3),
        (0, lambda i: 10 > i, 1, 10),
        (5, lambda i: i < 5, 1, 0),
        (7, lambda i: i < 5, 1, 0),
    ],
)
def test_while_between_literals_is_multiplied_out(start, test, stride, turns):
    def fn(x):
        return lax.while_loop(
            lambda s: test(s[0]), lambda s: (s[0] + stride, s[1] * 2.0), (start, x)
        )

    # What the loop really does: run it.
    ran = []
    i = start
    while test(i):
        ran.append(i)
        i += stride
    assert len(ran) == turns
    counts = count(fn, X)
    assert counts.multiplies == turns * N
    assert counts.integers == turns + (turns + 1)  # the counter, and the tests


def test_while_with_array_bounds_is_multiplied_out():
    def fn(x):
        return lax.fori_loop(jnp.int32(0), jnp.int32(10), lambda i, x: x * 2.0, x)

    assert count(fn, X).multiplies == 10 * N


@pytest.mark.parametrize(
    "fn",
    [
        lambda n, x: lax.fori_loop(0, n, lambda i, x: x * 2.0, x),
        lambda n, x: lax.while_loop(lambda x: x[0] < 3.0, lambda x: x * 2.0, x),
        lambda n, x: lax.while_loop(
            lambda s: s[0] < 9, lambda s: (s[0] * 2, s[1] * 2.0), (1, x)
        ),
        lambda n, x: lax.while_loop(
            lambda s: s[0] != 9, lambda s: (s[0] + 2, s[1]), (0, x)
        ),
    ],
)
def test_an_unbounded_while_raises(fn):
    with pytest.raises(UncountedPrimitive, match="while.*lax.scan"):
        count(fn, 3, X)


def test_cond_takes_the_dearest_branch():
    def fn(flag, w, x):
        return lax.cond(flag, lambda x: w @ (w @ x), lambda x: x, x)

    counts = count(fn, True, W, X)
    assert counts.macs == 2 * N * N
    assert counts.integers == 1  # True to a branch number


def test_switch_takes_the_dearest_branch_by_flops():
    def fn(i, x):
        # 64 adds, 64 comparisons, 7 exponentials = 70 FLOPs, 63 adds.
        branches = [
            lambda x: x + 1.0,
            jax.nn.relu,
            lambda x: x.at[:7].set(jnp.exp(x[:7])),
            jnp.cumsum,
        ]
        return lax.switch(i, branches, x)

    assert count(fn, 0, X).transcendentals == 7


def test_vmap_multiplies_and_turns_cond_into_both_branches():
    def fn(flag, x):
        return lax.cond(flag, jnp.exp, lambda x: x * 2.0, x)

    single = count(lambda x: jnp.tanh(W @ x), X)
    batched = count(jax.vmap(lambda x: jnp.tanh(W @ x)), XS)
    assert kinds(batched) == kinds(T * single)
    both = count(jax.vmap(fn), jnp.zeros(T, bool), XS)
    assert (both.transcendentals, both.multiplies) == (T * N, T * N)
    # The choice between the results; jax also guards the input of either branch.
    assert both.comparisons == 3 * T * N


def test_gradient_of_a_scan():
    counts = count(jax.grad(lambda w: rnn(w, XS, X).sum()), W)
    # Forward once; backward two products of the same size: 2 x 2 x T N N more MACs.
    assert counts.macs == 3 * T * N * N
    assert counts.transcendentals == T * N
    # Per step: h W + x; the gradient of tanh, 4; adding the weights' gradient up.
    assert counts.flops_with(0) - 2 * counts.macs == T * (N + 4 * N + N * N)


def test_rematerialisation_is_paid_for():
    def loss(w):
        step = jax.checkpoint(lambda h, x: (jnp.tanh(w @ h + x), None))
        return lax.scan(step, X, XS)[0].sum()

    plain = count(jax.grad(lambda w: rnn(w, XS, X).sum()), W)
    again = count(jax.grad(loss), W)
    assert again.macs - plain.macs == T * N * N
    assert again.transcendentals - plain.transcendentals == T * N


def test_custom_derivatives():
    @jax.custom_vjp
    def clipped(x):
        return jnp.exp(x)

    def backward(_, g):
        return (g * 3.0,)

    clipped.defvjp(lambda x: (clipped(x), ()), backward)
    assert kinds(count(clipped, X)) == {"transcendentals": N}
    assert kinds(count(jax.grad(lambda x: clipped(x).sum()), X)) == {"multiplies": N}

    @jax.custom_jvp
    def cubed(x):
        return x * x * x

    cubed.defjvp(lambda p, t: (cubed(p[0]), t[0] * 3.0 * p[0] * p[0]))
    assert kinds(count(cubed, X)) == {"multiplies": 2 * N}
    assert count(jax.grad(lambda x: cubed(x).sum()), X).multiplies == 3 * N


def test_the_derivative_of_a_clip_is_no_clip():
    """It bears the name: a product with what of it each end lets through is counted."""
    x, far = jnp.ones(7), jnp.float32(2)

    def clipped(x, far):
        return jnp.clip(x, -far, far)

    assert count(clipped, x, far).comparisons == 7
    back = count(lambda x, far, g: jax.vjp(clipped, x, far)[1](g), x, far, x)
    # Each end parts a slope in two, by a product for either side; the share of each end
    # is summed.
    assert back.multiplies == 4 * 7
    assert back.by_primitive["reduce_sum"].adds == 2 * 6


def test_softplus_by_hand():
    # max(x, 0) + log1p(exp(-|x - 0|)), with x + 0 where x - 0 is nan.
    assert kinds(count(jax.nn.softplus, X)) == {
        "adds": 4 * N,  # x - 0, its sign, x + 0, the sum
        "comparisons": 4 * N,  # max, nan?, abs, select
        "transcendentals": 2 * N,
    }


def test_a_reduction_with_a_function_of_its_own():
    def fn(x):
        return lax.reduce(x, np.float32(0), lambda a, b: a + b * 2.0, (0,))

    counts = count(fn, jnp.zeros((7, 3)))
    assert kinds(counts) == {"adds": 18, "multiplies": 18}


def test_linear_solve_is_an_elimination_and_two_substitutions():
    n = 64
    counts = count(jnp.linalg.solve, W, X)
    assert counts.macs == (n - 1) * n * (2 * n - 1) // 6 + n * (n - 1)
    assert counts.divides == n * (n - 1) // 2 + n


def test_searchsorted_walks_the_table_in_log_steps():
    counts = count(jnp.searchsorted, jnp.zeros(1000), jnp.float32(0))
    assert counts.words_read == 10  # ceil(log2(1001)) look-ups


def test_associative_scan_as_it_is_written():
    # jax pads and adds the halves together: 4082 adds, where the method needs 2048.
    assert (
        count(lambda x: lax.associative_scan(jnp.add, x), jnp.zeros(1024)).adds == 4082
    )


def test_common_code_is_counted_as_often_as_it_is_written():
    assert count(lambda w, x: w @ x + w @ x, W, X).macs == 2 * N * N


def test_order_of_low_rank_products():
    u, v = jnp.zeros((256, 4)), jnp.zeros((4, 256))
    x = jnp.zeros(256)
    assert count(lambda u, v, x: u @ (v @ x), u, v, x).flops == 4096
    assert count(lambda u, v, x: (u @ v) @ x, u, v, x).flops == 655_360


def test_pruning_by_a_mask_earns_nothing():
    mask = jnp.zeros((256, 256))
    dense = count(jnp.matmul, mask, jnp.zeros(256)).flops
    masked = count(lambda m, w, x: (m * w) @ x, mask, mask, jnp.zeros(256)).flops
    assert (dense, masked) == (131_072, 131_072 + 65_536)


def test_declared_spikes_accumulate():
    spikes, w = jnp.zeros(256), jnp.zeros((256, 64))
    counts = count(jnp.matmul, spikes, w, spikes=(0,))
    assert (counts.macs, counts.acs, counts.flops) == (0, 256 * 64, 256 * 64)
    seen = count(lambda s, w: s.reshape(2, 128)[0] @ w[:128], spikes, w, spikes=(0,))
    assert (seen.macs, seen.acs) == (0, 128 * 64)
    # A scaled spike is a graded number again.
    graded = count(lambda s, w: (s * 0.5) @ w, spikes, w, spikes=(0,))
    assert (graded.macs, graded.acs) == (256 * 64, 0)
    # Nobody declared it: a +-1 checkerboard is not spikes.
    assert count(jnp.matmul, spikes, w).acs == 0


def test_declared_spikes_through_a_scan():
    def fn(spikes, w):
        return lax.scan(lambda v, s: (0.9 * v + s @ w, None), jnp.zeros(8), spikes)[0]

    counts = count(fn, jnp.zeros((T, 16)), jnp.zeros((16, 8)), spikes=(0,))
    assert (counts.macs, counts.acs) == (0, T * 16 * 8)


def test_parts_are_named_scopes_also_under_transforms():
    def fn(w, x):
        with jax.named_scope("filter"):
            y = w @ x
            with jax.named_scope("gain"):
                y = y * 2.0
        with jax.named_scope("sums"):
            return jnp.einsum("i,i->", y, y)

    counts = count(fn, W, X)
    assert {part: c.flops for part, c in counts.by_part.items()} == {
        "filter": 2 * N * N,
        "filter/gain": N,
        "sums": 2 * N,
    }
    trained = count(jax.vmap(jax.grad(fn), (None, 0)), W, XS)
    assert set(trained.by_part) == {"filter", "filter/gain", "sums"}
    for table in (counts.by_part, counts.by_primitive):
        assert kinds(sum(table.values(), Counts())) == kinds(counts)


def test_depth_is_the_longest_path():
    assert depth(rnn, W, XS, X) == 300  # product, add, tanh, a hundred times
    x = jnp.zeros(1024)
    assert depth(lambda x: lax.associative_scan(jnp.add, x), x) == 50
    assert depth(lambda x: (jnp.exp(x) + 1.0, jnp.sin(x)), x) == 2
    assert depth(lambda x: x.reshape(32, 32).T, x) == 0


def test_training_step_of_a_network_with_its_optimiser():
    import optax

    optimiser = optax.sgd(0.1)
    params = {"w": jnp.zeros((20, 30)), "v": jnp.zeros((30, 5))}

    def step(params, state, x, y):
        def loss(p):
            return ((jnp.tanh(x @ p["w"]) @ p["v"] - y) ** 2).sum()

        updates, state = optimiser.update(jax.grad(loss)(params), state, params)
        return optax.apply_updates(params, updates), state

    batch = jnp.zeros((7, 20)), jnp.zeros((7, 5))
    with jax.numpy_dtype_promotion("standard"):
        counts = count(step, params, optimiser.init(params), *batch)
    # Forward two products; backward one for each weight and one for the hidden layer.
    first, second = 7 * 20 * 30, 7 * 30 * 5
    assert counts.macs == 2 * first + 3 * second
    weights = 20 * 30 + 30 * 5
    assert counts.by_primitive["add"].adds == weights


def test_a_function_that_borrows_a_sampler_s_name_is_still_walked():
    @jax.jit
    def _normal(key, x):
        return jax.random.normal(key, x.shape) + W @ x

    @jax.jit
    def clip(x):
        return x * 2.0 + 1.0

    counts = count(_normal, jax.random.key(0), X)
    assert kinds(counts) == {"macs": N * N, "adds": N, "randoms": N}
    assert kinds(count(clip, X)) == {"multiplies": N, "adds": N}


def test_a_sampler_that_factorises_pays_for_it():
    def fn(key, mean, covariance):
        return jax.random.multivariate_normal(key, mean, covariance)

    counts = count(fn, jax.random.key(0), X, W)
    assert counts.randoms == N
    # The factor, and its product with the draws.
    assert counts.macs == N * (N - 1) * (N + 1) // 6 + N * N
