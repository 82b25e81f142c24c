"""Depletion against its equation, and terminals of every rung."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from retina.circuit.kinetics import kinetics
from retina.circuit.synapses.depletion import depletion
from retina.circuit.synapses.gated import gated
from retina.circuit.synapses.price import price
from retina.circuit.synapses.rungs import RUNGS
from retina.circuit.synapses.synapse import POOLS_S
from retina.errors import BadSetting

LASTS = (
    *("static", "exponential", "alpha", "double_exponential"),
    *("conductance", "nmda"),
)
CHECKED = [rung for rung in RUNGS if rung not in ("markov_16", "markov_32")]
PARAMS = {"use": jnp.float32(6.0), "tau_s": jnp.float32(0.3)}


def _released(u: np.ndarray, dt_s: float) -> tuple[np.ndarray, np.ndarray]:
    pool = depletion(1, dt_s)

    def step(state, x):
        state, out = pool.step(PARAMS, state, x, None)
        return state, (out, state["filled"])

    start = pool.start(PARAMS)
    _, (out, filled) = jax.lax.scan(step, start, jnp.asarray(u, jnp.float32)[:, None])
    return np.asarray(out)[:, 0], np.asarray(filled)[:, 0]


def test_a_pool_loses_what_is_released_and_gains_what_is_refilled():
    """Also in steps of a third of a second, far above the time constants."""
    u = np.random.default_rng(0).gamma(0.5, 20.0, 200)
    for dt_s in (0.01, 0.3):
        out, filled = _released(u, dt_s)
        before = np.concatenate([[1.0], filled[:-1]])
        gained = (1 - filled) * dt_s / 0.3
        # Float32 rounding of numbers up to 1.
        np.testing.assert_allclose(filled - before, gained - 6 * dt_s * out, atol=3e-6)
        assert filled.min() > 0 and filled.max() <= 1


def test_a_pool_follows_its_equation():
    """LSODA to 1e-8; implicit Euler is of first order: 10 times the steps, a tenth."""
    levels = np.random.default_rng(1).gamma(1.0, 1.0, 40)

    def slope(t, d):
        return (1 - d) / 0.3 - 6 * levels[min(int(t / 0.05), 39)] * d

    ends = 0.05 * np.arange(41)
    d, true = 1.0, []
    for a, b in zip(ends[:-1], ends[1:], strict=True):
        middle = (a, b - 1e-9)
        d = solve_ivp(slope, middle, [d], "LSODA", rtol=1e-8, atol=1e-10).y[0, -1]
        true.append(d)
    errors = []
    for times in (5, 50):
        _, filled = _released(np.repeat(levels, times), 0.05 / times)
        errors.append(np.abs(filled[times - 1 :: times] - true).max())
    assert errors[1] < 5e-3
    assert 7 < errors[0] / errors[1] < 13


def test_depletion_is_the_cheapest_rung_with_a_state_of_its_own():
    """A division, and 5 of adds and multiplies; the terminal's gate comes on top."""
    found = price(depletion(1, 0.01)).step
    assert (found.adds, found.multiplies, found.divides) == (2, 3, 1)
    assert not found.transcendentals


def _run(stage, params, x):
    return stage.apply(params, stage.start(params), jnp.asarray(x, jnp.float32))[1]


@pytest.mark.parametrize("rung", CHECKED)
def test_kinds_have_numbers_and_places_have_states(rung: str):
    """One drive at two places is one release; that of another kind is another."""
    stage = gated((2, 3), 0.02, rung, axis="subunit")
    params = stage.init(jax.random.key(0))
    assert {v.shape[:1] for v in params.values()} == {(3,)}
    assert stage.parameters.keys() == params.keys()
    moved = params | {"bias": jnp.array([-1.0, 0.0, 1.0])}
    x = np.random.default_rng(0).standard_normal((30, 1, 1)) * np.ones((1, 2, 3))
    y = _run(stage, moved, x)
    np.testing.assert_array_equal(y[:, 0], y[:, 1])
    assert np.abs(y[:, 0, 0] - y[:, 0, 2]).max() > 1e-3
    x[:15, 1] += 2
    changed = _run(stage, moved, x)
    np.testing.assert_array_equal(changed[:, 0], y[:, 0])
    remembered = np.abs(changed - y)[16:, 1].max(0) > 1e-5
    assert np.all(remembered == (rung != "static"))


# Those of which release leaves less: the others pass on all of it, sooner or later.
TIRES = [rung for rung in CHECKED if rung not in LASTS]


@pytest.mark.parametrize("rung", TIRES)
def test_release_adapts_to_a_standing_drive(rung: str):
    """A step of drive releases more at once than later: 10 % at the least."""
    stage = gated((1,), 0.01, rung)
    params = stage.init(jax.random.key(0))
    y = _run(stage, params, np.repeat([0.0, 2.0], 300)[:, None])[:, 0]
    assert y[300:340].max() > 1.1 * y[340:].min()


@pytest.mark.parametrize("rung", ["ribbon_quanta", "ribbon_cycle"])
def test_pools_forget_their_start_ten_times_sooner_than_declared(rung: str):
    """Few vesicles ready, or all of them: of that 5 % is left after a tenth of it."""
    stage = gated((1,), 0.01, rung)
    params = stage.init(jax.random.key(0))
    filled = {
        "ribbon_quanta": ({}, {"docked": 7.0, "ribbon": 50.0}),
        "ribbon_cycle": ({"RP": 19.75}, {"RRP": 3.0, "IP": 10.0, "exo": 6.75}),
    }
    empty = dict.fromkeys(stage.start(params), 0.0)
    states = [
        {n: jnp.full(1, v) for n, v in (empty | pools).items()}
        for pools in filled[rung]
    ]
    bins = round(POOLS_S / 10 / 0.01)
    x = jnp.zeros((bins, 1))
    one, two = (stage.apply(params, state, x)[1][:, 0] for state in states)
    apart = np.abs(one - two)
    assert apart[-1] < 0.05 * apart.max()
    assert stage.burn_in_s == POOLS_S


def test_without_use_depletion_passes_its_gate():
    stage = gated((2,), 0.02, "depletion")
    params = stage.init(jax.random.key(0)) | {"use": jnp.zeros(2)}
    x = np.random.default_rng(0).standard_normal((20, 2))
    np.testing.assert_allclose(_run(stage, params, x), np.logaddexp(0, x), rtol=1e-5)


def test_the_kinetic_terminal_is_the_kinetics_of_lnk():
    stage, alone = gated((3,), 0.02, "kinetic"), kinetics(3, 0.02)
    params = stage.init(jax.random.key(0))
    rates = {n: v for n, v in params.items() if n != "bias"}
    x = np.random.default_rng(0).standard_normal((20, 3))
    wanted = _run(alone, rates, 1 / (1 + np.exp(1 - x)))  # it starts at a bias of -1
    np.testing.assert_allclose(_run(stage, params, x), wanted, rtol=1e-5)


def test_a_rung_that_does_not_exist_is_one_line():
    with pytest.raises(BadSetting, match="did you mean 'ribbon_quanta'"):
        gated((1,), 0.01, "ribon_quanta")
