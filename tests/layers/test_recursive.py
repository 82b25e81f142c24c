"""Recursive filters against closed forms, at the ends of their bounds; their price."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import comb, eval_laguerre, gamma

from retina import build
from retina.costs.flops import count_step
from retina.layers import recursive as layer
from retina.layers.recursive import TAU, best_tau, laguerre, recursive, recursive_basis
from retina.stage import Model
from retina.types import Spec


def _impulse(count: int, a: float, taps: int) -> np.ndarray:
    """(taps, count): what each integrator makes of a one at lag 0."""
    x = jnp.zeros((taps, 1)).at[0].set(1)
    pole = jnp.full(1, a, jnp.float32)

    def step(state, x_t):
        state = layer._cascade(pole, state, x_t)
        return state, state[:, 0]

    return np.asarray(jax.lax.scan(step, jnp.zeros((count, 1)), x)[1])


def test_integrators_in_a_row_have_binomial_impulse_responses():
    a, lag = 0.6, np.arange(25)[:, None]
    k = np.arange(5)
    wanted = comb(lag, k) * a ** np.maximum(lag - k, 0)
    np.testing.assert_allclose(_impulse(5, a, 25), wanted, rtol=1e-5)


def test_in_short_bins_these_are_gamma_functions():
    """t^(k-1) exp(-t / tau) / (tau^k (k-1)!), to about half a bin's width of tau."""
    tau, bin_s = 0.05, 0.0002
    a = math.exp(-bin_s / tau)
    t = (np.arange(2000) * bin_s)[:, None]
    k = np.arange(1, 5)
    density = _impulse(4, a, 2000) * (1 - a) ** k / bin_s
    wanted = t ** (k - 1) * np.exp(-t / tau) / (tau**k * gamma(k))
    gap = np.abs(density - wanted).max(0) / wanted.max(0)
    assert np.all(gap < 2 * bin_s / tau), gap


def test_laguerre_functions_are_orthonormal_and_known():
    functions = laguerre(400, 6, 0.7)
    np.testing.assert_allclose(functions.T @ functions, np.eye(6), atol=1e-9)
    tau, bin_s = 0.05, 0.0002
    fine = laguerre(2000, 4, math.exp(-bin_s / tau)) / math.sqrt(bin_s)
    t = np.arange(2000) * bin_s / tau
    for k in range(4):
        wanted = (-1) ** k * math.sqrt(2 / tau) * np.exp(-t) * eval_laguerre(k, 2 * t)
        gap = np.abs(fine[:, k] - wanted).max() / np.abs(wanted).max()
        assert gap < 3 * (k + 1) * bin_s / tau


@pytest.mark.parametrize("bin_s", [0.001, 0.0333, 0.5])
def test_both_layers_filter_with_the_same_functions(bin_s):
    """Integrators with mixed read-outs, and the lattice; poles from 0.98 to 0."""
    count, taps = 4, 40
    a = math.exp(-bin_s / 0.04)
    x = jnp.zeros((taps, count, 1)).at[0].set(1)
    mixed = recursive(count, 1, count, bin_s)
    params = {
        "weights": jnp.eye(count)[..., None],
        "tau_s": jnp.full((count, 1), 0.04, jnp.float32),
    }
    wanted = laguerre(taps, count, a)
    found = jax.jit(mixed.apply)(params, mixed.start(params), x)[1]
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    lattice = recursive_basis((), count, bin_s)
    params = {"tau_s": jnp.float32(0.04)}
    found = jax.jit(lattice.apply)(params, lattice.start(params), x[:, 0, 0])[1]
    np.testing.assert_allclose(found, wanted, atol=1e-5)


@pytest.mark.parametrize("bin_s", [0.001, 1 / 30])
def test_at_their_bounds_the_filters_are_stable_and_the_views_agree(bin_s):
    """A long clip whose last block is not full; white noise keeps its variance."""
    time = 5 * layer.BLOCK + 7
    stage = recursive(1, 1, 4, bin_s)
    drawn = stage.init(jax.random.key(0))
    x = jax.random.normal(jax.random.key(1), (time, 1, 1))

    @jax.jit
    def both(params):
        def step(state, x_t):
            return stage.step(params, state, x_t)

        start = stage.start(params)
        return stage.apply(params, start, x), jax.lax.scan(step, start, x)

    slope = jax.jit(jax.grad(lambda p, state: stage.apply(p, state, x)[1].sum()))
    for tau in (TAU.low, TAU.high):
        params = drawn | {"tau_s": jnp.full((1, 1), tau, "f4")}
        (state, fast), (left, slow) = both(params)
        size = float(np.sqrt(np.sum(np.square(params["weights"]))))
        np.testing.assert_allclose(fast, slow, atol=2e-5 * size)
        most = np.abs(left).max()
        np.testing.assert_allclose(state, left, rtol=1e-4, atol=1e-4 * most)
        assert np.abs(slow).max() < 6 * size
        slopes = jax.tree.leaves(slope(params, state))
        assert all(np.all(np.isfinite(one)) for one in slopes)


@pytest.mark.parametrize("count", [1, 4, 8])
def test_a_filter_is_forgotten_within_its_burn_in(count):
    """At the longest time constant, all but a ten-thousandth of the energy."""
    bin_s = 0.01
    stage = recursive_basis((), count, bin_s)
    bins = round(stage.burn_in_s / bin_s)
    functions = laguerre(3 * bins, count, math.exp(-bin_s / TAU.high))
    late = np.square(functions[bins:]).sum(0)
    assert np.all(late < 1e-4)
    assert late[-1] > 1e-5, "longer than it need be"


def test_the_time_constant_of_a_planted_filter_is_found():
    planted = laguerre(40, 3, math.exp(-0.01 / 0.03)) @ np.array([[0.3], [-1.0], [0.7]])
    noise = 0.01 * np.random.default_rng(0).standard_normal(planted.shape)
    tau, functions = best_tau(planted + noise, 3, 0.01)
    assert abs(tau - 0.03) < 0.002
    np.testing.assert_allclose(functions @ (functions.T @ planted), planted, atol=0.03)


def test_a_filter_costs_four_flops_per_integrator():
    """Two to remember, two to read; for the basis three each and the input's gain."""
    cells, rank, stages = 5, 2, 4
    spec = Spec((), cells, 0.01)

    def flops(stage, shape):
        params = stage.init(jax.random.key(0))
        return count_step(Model("x", Spec(shape, 1, 0.01), stage), params)[1].flops

    one = recursive(cells, rank, stages, 0.01)
    assert flops(one, (cells, rank)) == 4 * stages * cells * rank
    basis = recursive_basis((3, 2), stages, 0.01)
    assert flops(basis, (3, 2)) == 6 * 3 * stages
    step = {
        name: count_step(model, model.stage.init(jax.random.key(0)))[1].flops
        for name, model in (
            (name, build.model(name, spec)) for name in ("ln", "recursive_ln")
        )
    }
    # 30 taps are 60 FLOPs a cell, 4 integrators 16.
    assert step["ln"] - step["recursive_ln"] == cells * (60 - 16)
