"""The bipolar network: its kernels, its feedback, and its two ways to remember."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from retina.circuit.biphasic import PHI_S, kernels
from retina.circuit.bipolar_network import STEEPNESS, bipolar_network

BIN_S = 0.01


def test_kernels_cross_zero_where_the_formula_does():
    """cos(100 - 2 pi t / phi) is 0 at t = (100 - 15.75 * 2 pi) phi / 2 pi = 74.3 ms."""
    signs = np.array([1, -1, 1], np.float32)
    fine = np.asarray(kernels(jnp.array([1.0, 1.0, 2.0]), signs, 300, 0.001))
    crossing = (100 / (2 * np.pi) - 15.75) * PHI_S
    for kind, speed in ((0, 1), (2, 2)):
        at = int(np.flatnonzero(fine[:, kind] < 0)[0])
        assert abs((at + 0.5) * 0.001 - crossing / speed) <= 0.001
    np.testing.assert_array_equal(fine[:, 1], -fine[:, 0])
    np.testing.assert_allclose(np.square(fine).sum(0), 1, rtol=1e-5)


def _network(types: int = 3, amacrine: int = 2):
    stage = bipolar_network(1, types, amacrine, BIN_S)
    return stage, stage.init(jax.random.key(0))


def _drive(time: int, types: int = 3):
    return jax.random.normal(jax.random.key(1), (time, 1, types))


def test_two_integrators_are_the_double_exponential_kernel():
    """Against a sum over the whole past, in float64."""
    stage, params = _network()
    state, released = stage.apply(params, stage.start(params), _drive(80))
    tau_d, tau_r = (float(params[n][0]) for n in ("tau_d_s", "tau_r_s"))
    lag = BIN_S * np.arange(1, 81)
    kernel = np.exp(-lag / tau_d) - np.exp(-lag * (1 / tau_d + 1 / tau_r))
    pooled = np.asarray(released, np.float64)[:, 0] @ np.asarray(params["to"])
    wanted = kernel @ pooled[::-1]
    found = np.asarray(state["slow"] - state["fast"])[0]
    np.testing.assert_allclose(found, wanted, rtol=1e-4)


def test_the_amacrine_kernel_has_unit_norm():
    """One vesicle in one bin: the sigmoid's argument, squared and summed, is 2^2."""
    stage, params = _network(1, 1)
    slow = np.exp(-BIN_S / 0.1)
    fast = slow**2  # both time constants are 0.1 s
    lag = np.arange(1, 2000)
    energy = np.square(slow**lag - fast**lag).sum()
    power = 1 / (1 - slow**2) + 1 / (1 - fast**2) - 2 / (1 - slow * fast)
    assert abs(energy / power - 1) < 1e-9
    # And it is what the network multiplies with: theta at the argument gives 1/2.
    gain = STEEPNESS / np.sqrt(energy)
    state = stage.start(params) | {"slow": jnp.full((1, 1), 1.0)}
    half = params | {"theta": jnp.full(1, gain / STEEPNESS), "back": jnp.ones((1, 1))}
    deaf = half | {"back": jnp.full((1, 1), 1e-9)}
    x = jnp.zeros((1, 1))
    shift = half["ribbon"] | {"bias": half["ribbon"]["bias"] - 0.5}
    one = stage.step(half, state, x)[1]
    two = stage.step(deaf | {"ribbon": shift}, state, x)[1]
    np.testing.assert_allclose(one, two, rtol=1e-5)


@pytest.mark.parametrize("bin_s", [0.1, 2.0])
def test_a_kernel_that_is_over_within_a_bin_is_a_number(bin_s: float):
    """At the bounds of both time constants: of its two series nothing is left apart in
    float32. The next bin hears one vesicle at unit norm, or none of it at all."""
    stage = bipolar_network(1, 1, 1, bin_s)
    ends = {"tau_d_s": jnp.full(1, 0.0101), "tau_r_s": jnp.full(1, 0.99)}
    params = stage.init(jax.random.key(0)) | ends | {"back": jnp.ones((1, 1))}

    def total(params):
        _, y = stage.apply(params, stage.start(params), jnp.ones((4, 1, 1)))
        return jnp.sum(y)

    value, slope = jax.value_and_grad(total)(params)
    assert np.isfinite(value)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(slope))


def test_amacrine_cells_hold_release_down_a_bin_later():
    """From the same pools, what was released a bin before makes all types release less.

    In the long run it cannot: what is not released is there to be released later.
    """
    stage, params = _network()
    strong = params | {"back": 200 * params["back"]}
    x = jnp.ones((1, 3))
    rest = stage.start(params)
    excited = rest | {"slow": jnp.full((1, 2), 10.0)}
    calm, held = (stage.step(strong, state, x)[1] for state in (rest, excited))
    assert np.all(held < 0.9 * calm)
    # Release in this very bin is heard in the next one alone.
    louder = strong | {"to": 10 * strong["to"]}
    np.testing.assert_array_equal(stage.step(louder, rest, x)[1], calm)
