"""A scan that recomputes: the numbers of a plain one, in a part of its memory."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from retina import recomputed
from retina.circuit.kinetics import kinetics
from retina.costs.flops import count
from retina.fitting.precision import in_bfloat16
from retina.models.lnk import lnk
from retina.stage import chain, recurrent
from retina.types import Spec

CELLS = 40  # with four states each, a long clip is not small


def _plain(stage, params, x):
    """Values of the stage by an uncut scan."""
    return lax.scan(lambda s, u: stage.step(params, s, u), stage.start(params), x)


def _cut(stage, params, x):
    return stage.apply(params, stage.start(params), x)


def _kinetics(bins: int, bin_s: float = 0.005):
    stage = kinetics(CELLS, bin_s)
    params = stage.init(jax.random.key(0))
    return stage, params, jax.random.uniform(jax.random.key(1), (bins, CELLS))


def _slopes(view, stage, params, x):
    def loss(params, x):
        state, y = view(stage, params, x)
        return jnp.sum(jnp.square(y)) + sum(jnp.sum(part) for part in state)

    return jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))


# A prime number of bins, one that divides evenly, and sub-steps inside a bin.
@pytest.mark.parametrize(("bins", "bin_s"), [(1009, 0.005), (1024, 0.005), (512, 0.03)])
def test_values_and_slopes_are_those_of_a_plain_scan(bins, bin_s):
    stage, params, x = _kinetics(bins, bin_s)
    assert "checkpoint" in str(
        jax.make_jaxpr(stage.apply)(params, stage.start(params), x)
    ) or ("remat" in str(jax.make_jaxpr(stage.apply)(params, stage.start(params), x)))
    one, other = (view(stage, params, x) for view in (_plain, _cut))
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        # The same operations in the same order; the compiler may fuse them otherwise.
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)
    (value, slope), (again, cut) = (
        _slopes(view, stage, params, x)(params, x) for view in (_plain, _cut)
    )
    assert float(value) == pytest.approx(float(again), rel=1e-6)
    for a, b in zip(jax.tree.leaves(slope), jax.tree.leaves(cut), strict=True):
        size = np.abs(a).max()
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5 * size)


def test_short_clips_and_small_states_are_scanned_as_they_are():
    leak = recurrent(
        lambda p, s, x: (0.5 * s + x, s),
        start=lambda params, key=None: jnp.zeros(3, jnp.float32),
        about=("leak",),
    )
    text = str(jax.make_jaxpr(leak.apply)({}, jnp.zeros(3), jnp.zeros((1000, 3))))
    assert text.count("scan[") == 1 and "checkpoint" not in text


def test_the_gradient_needs_a_third_of_the_memory_at_most():
    """As the compiler has planned it: nothing is run."""
    stage, params, x = _kinetics(4096)

    def temporary(view) -> int:
        lowered = _slopes(view, stage, params, x).lower(params, x)
        planned = lowered.compile().memory_analysis()
        assert planned is not None
        return planned.temp_size_in_bytes

    # Four states and what their steps multiply, 4096 times, against 64 + 64 times.
    assert temporary(_cut) < temporary(_plain) / 3


def _whole_model(bins: int, cut: bool):
    """Loss and slopes of LNK cells, compiled, and what they are taken at."""
    model = lnk(Spec((), CELLS, 0.001), lags=5, rank=None)
    stage = model.stage
    if not cut:
        parts = dict(stage.parts)

        def plain(params, state, x):
            return lax.scan(lambda s, u: parts["kinetics"].step(params, s, u), state, x)

        parts["kinetics"] = parts["kinetics"]._replace(apply=plain)
        stage = chain(*parts.values())
    params = stage.init(jax.random.key(0))
    x = jax.random.normal(jax.random.key(1), (bins,))

    def loss(params, x):
        rate = stage.apply(params, stage.start(params), x)[1]
        return jnp.mean(rate - 0.1 * jnp.log(rate))

    slopes = jax.jit(jax.value_and_grad(loss, allow_int=True))
    return slopes.lower(params, x).compile(), params, x


def test_a_whole_model_in_chunks_has_the_same_slopes_in_a_third_of_the_memory():
    """The filter's output, the sigmoid and the output are computed again as well."""
    bins = 7001  # a prime number: a rest after the chunks
    (plain, params, x), (cut, *_) = (_whole_model(bins, c) for c in (False, True))
    (value, slope), (again, other) = plain(params, x), cut(params, x)
    assert float(value) == pytest.approx(float(again), rel=1e-6)
    for a, b in zip(jax.tree.leaves(slope), jax.tree.leaves(other), strict=True):
        if a.dtype == jnp.float32:
            size = np.abs(a).max()
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-5 * size)
    planned, less = (one.memory_analysis() for one in (plain, cut))
    assert planned is not None and less is not None
    assert less.temp_size_in_bytes < planned.temp_size_in_bytes / 3


def test_seeds_and_clips_side_by_side():
    stage, params, x = _kinetics(1024)
    keys = jax.random.split(jax.random.key(2), 2)
    each = jax.vmap(stage.init)(keys)

    def loss(view):
        return jax.vmap(lambda p: jnp.sum(jnp.square(view(stage, p, x)[1])))

    one, other = (jax.jit(loss(view))(each) for view in (_plain, _cut))
    np.testing.assert_allclose(one, other, rtol=1e-5)


def test_products_rounded_to_bfloat16_are_rounded_inside_it():
    """The recipe's precision reaches the body of a chunk."""
    w = jnp.full((64, 64), 0.1 + 2.0**-10)
    x = jnp.ones((1024, 64))

    def run(x):
        return recomputed.scan(lambda s, u: ((w @ s) * 0 + u, w @ u), x[0], x)[1]

    rounded = in_bfloat16(run)(x)
    assert np.abs(rounded - run(x)).max() > 1e-3
    np.testing.assert_allclose(rounded, (64 * jnp.bfloat16(w[0, 0])).astype("f4"))


def test_the_work_of_a_recomputed_gradient_is_counted():
    """Forward alone costs what a plain scan costs; the gradient one pass more."""
    stage, params, x = _kinetics(1024)

    def value(view):
        return lambda p, x: jnp.sum(view(stage, p, x)[1])

    plain, cut = (count(value(view), params, x).flops for view in (_plain, _cut))
    assert plain == cut
    slopes = [count(jax.grad(value(v)), params, x).flops for v in (_plain, _cut)]
    assert slopes[0] < slopes[1] < slopes[0] + 1.2 * plain
