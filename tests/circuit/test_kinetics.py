"""Four-state kinetics against an adaptive solver, and at the ends of their bounds."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from retina.circuit.kinetics import RATES, kinetics
from retina.errors import BadSetting
from tests.circuit.inner import INNER
from tests.circuit.truth import Case, exact, in_float64, run

NAMES = tuple(RATES)
BIN_S = 1 / 30


def _default(cells: int = 1) -> dict[str, jax.Array]:
    return {n: jnp.full(cells, RATES[n].value or 0.0, jnp.float32) for n in NAMES}


def _drive(seconds: float, seed: int = 0, cells: int = 1) -> np.ndarray:
    """Steps of 0.2 s between 0 and 1, the corners a stimulus can reach."""
    generator = np.random.default_rng(seed)
    held = round(0.2 / BIN_S)
    levels = generator.uniform(0, 1, (int(seconds / 0.2), cells))
    return np.repeat(levels, held, axis=0).astype(np.float32)


def _run(stage, params, u):
    """All four states after each bin: (time, 4, cell)."""

    @jax.jit
    def scan(params, u):
        def step(state, u_t):
            state, _ = stage.step(params, state, u_t)
            return state, jnp.stack(state)

        return jax.lax.scan(step, stage.start(params), u)[1]

    return np.asarray(scan(params, jnp.asarray(u)))


def _solved(params, u: np.ndarray, start) -> np.ndarray:
    """scipy's LSODA on the equations of the module's head, bin by bin."""
    k = {n: float(params[n][0]) for n in NAMES}
    state, rows = np.array([float(s[0]) for s in start]), []
    for level in u[:, 0].astype(np.float64):

        def slope(_, s, level=level):
            r, a, i1, i2 = s
            activate = k["k_a"] * level + k["k_a0"]
            recover = k["k_sr"] * level + k["k_sr0"]
            return [
                -activate * r + k["k_fr"] * i1,
                activate * r - k["k_fi"] * a,
                k["k_fi"] * a - (k["k_fr"] + k["k_si"]) * i1 + recover * i2,
                k["k_si"] * i1 - recover * i2,
            ]

        solved = solve_ivp(
            slope, (0, BIN_S), state, method="LSODA", rtol=1e-8, atol=1e-10
        )
        state = solved.y[:, -1]
        rows.append(state)
    return np.array(rows)


def _refined(params, u: np.ndarray, times: int) -> np.ndarray:
    """The same drive in bins `times` shorter; the state at the end of each old bin."""
    stage = kinetics(1, BIN_S / times)
    fine = _run(stage, params, np.repeat(u, times, axis=0))
    return fine[times - 1 :: times]


def test_it_follows_an_adaptive_solver():
    """At the default sub-step of 6.7 ms the active fraction is off by 0.01 at most.

    After a step of the drive explicit Euler is ahead or behind by about half a sub-step
    of a fast exponential; the slow states, which hold most of the pool, are far closer.
    """
    params, u = _default(), _drive(12.0)
    stage = kinetics(1, BIN_S)
    found = _run(stage, params, u)[:, :, 0]
    exact = _solved(params, u, stage.start(params))
    gap = np.abs(found - exact).max(axis=0)
    assert gap[1] < 0.01 and np.all(gap < 0.015), gap
    # As a part of what the output does at all: root mean square below a tenth.
    error = np.sqrt(np.mean((found[:, 1] - exact[:, 1]) ** 2))
    assert error < 0.1 * exact[:, 1].std()


def test_halving_the_sub_step_halves_the_error():
    """First order, as explicit Euler is."""
    params, u = _default(), _drive(4.0, seed=3)
    exact = _solved(params, u, kinetics(1, BIN_S).start(params))
    # Bins of 1/30 s have 5 sub-steps; shorter ones have one each.
    gaps = [
        np.abs(_refined(params, u, times)[:, 1, 0] - exact[:, 1]).max()
        for times in (10, 20, 40)
    ]
    for coarse, fine in zip(gaps[:-1], gaps[1:], strict=True):
        assert 1.7 < coarse / fine < 2.4, gaps


def test_the_sub_steps_of_a_bin_are_those_of_shorter_bins():
    params, u = _default(), _drive(2.0)
    whole = _run(kinetics(1, BIN_S), params, u)
    np.testing.assert_allclose(whole, _refined(params, u, 5), atol=2e-6)


@pytest.mark.parametrize("bin_s", [1 / 30, 1 / 60, 0.1])
@pytest.mark.parametrize("which", ["all", "in", "out"])
def test_no_rate_within_bounds_can_leave_the_unit_interval(bin_s, which):
    """Ten minutes of the most hostile drive at the rates' upper bounds."""
    down = {"in": {"k_fi", "k_si"}, "out": {"k_fr", "k_sr", "k_sr0"}, "all": set()}
    params = {
        n: jnp.full(
            2, (RATES[n].value or 0.0) if n in down[which] else RATES[n].high, "f4"
        )
        for n in NAMES
    }
    stage = kinetics(2, bin_s)
    bins = round(600 / bin_s)
    key = jax.random.key(0)

    @jax.jit
    def extremes(params):
        def step(carry, t):
            state, low, high, drift = carry
            # From 0 to 1 and back at random, and every bin in turn.
            coin = jax.random.bernoulli(jax.random.fold_in(key, t), 0.5, (2,))
            u = jnp.where(t < bins // 2, coin, t % 2 == 0).astype(jnp.float32)
            state, _ = stage.step(params, state, u)
            every = jnp.stack(state)
            low, high = jnp.minimum(low, every.min()), jnp.maximum(high, every.max())
            drift = jnp.maximum(drift, jnp.abs(every.sum(0) - 1).max())
            return (state, low, high, drift), None

        begin = (stage.start(params), jnp.float32(1), jnp.float32(0), jnp.float32(0))
        return jax.lax.scan(step, begin, jnp.arange(bins))[0][1:]

    low, high, drift = (float(value) for value in extremes(params))
    # Rounding of float32 alone: 1e-7 a sub-step where a state is nearly emptied, and
    # in the sum a random walk over up to 600 000 sub-steps.
    assert low > -1e-6
    assert high < 1 + 2e-3
    assert drift < 2e-3


def test_the_pool_is_neither_made_nor_lost():
    params = kinetics(3, BIN_S).init(jax.random.key(0))
    states = _run(kinetics(3, BIN_S), params, _drive(60.0, cells=3))
    # 1800 bins of 5 sub-steps, a rounding of 6e-8 each, mostly cancelling.
    np.testing.assert_allclose(states.sum(axis=1), 1, atol=1e-4)


def test_the_start_is_at_rest_under_a_weak_drive():
    params = kinetics(2, BIN_S).init(jax.random.key(1))
    states = _run(kinetics(2, BIN_S), params, np.full((60, 2), 0.25, np.float32))
    np.testing.assert_allclose(
        states, np.broadcast_to(states[:1], states.shape), atol=2e-5
    )
    np.testing.assert_allclose(states[0].sum(axis=0), 1, atol=1e-6)


def test_a_second_flash_finds_the_pool_run_down():
    """Depletion: the reason for the model. It refills over seconds."""
    quiet, flash = np.full((90, 1), 0.02, "f4"), np.full((15, 1), 1.0, "f4")
    late = np.full((300, 1), 0.02, "f4")
    u = np.concatenate([quiet, flash, quiet[:2], flash, late, flash])
    active = _run(kinetics(1, BIN_S), _default(), u)[:, 1, 0]
    first, second, third = (
        active[at : at + 15].max() for at in (90, 90 + 15 + 2, 90 + 15 + 2 + 15 + 300)
    )
    assert second < 0.7 * first
    assert third > 0.9 * first


def test_at_the_start_forgotten_after_the_burn_in():
    """Two starts, one drive: what is left of the difference after `burn_in_s`."""
    stage, params = kinetics(1, BIN_S), _default()
    u = jnp.asarray(_drive(stage.burn_in_s))
    one = jnp.ones(1, jnp.float32)
    ends = [
        stage.apply(params, state, u)[0]
        for state in (
            (one, 0 * one, 0 * one, 0 * one),
            (0 * one, 0 * one, 0 * one, one),
        )
    ]
    left = max(abs(float(a[0] - b[0])) for a, b in zip(*ends, strict=True))
    # The slowest rate at a mean drive of a half is k_sr / 2 + k_sr0 = 0.35 per second,
    # at worst exp(-8 x 0.35) = 0.06.
    assert left < 0.1


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("kinetics_3", 0.34),
        ("kinetics_4", 0.30),
        ("kinetics_3_implicit", 0.033),
        ("kinetics_4_implicit", 0.079),
    ],
)
def test_what_the_circuit_hears_of_kinetics_in_a_bin(name: str, error: float):
    """Its mean over a bin, in 5 steps, is off by `error` of its standard deviation, as
    `kinetics` says; in 4 times as many by 0.3 of that or less: first order."""
    case = next(case for case in INNER if case.name == name)
    mean = _mean_release(case)
    gaps = []
    for dt_s in (1 / 150, 1 / 600):
        with jax.enable_x64(True):
            stage = case.make(1, case.bin_s, dt_s)
            x = jnp.asarray(case.light)[:, None]
            found = np.asarray(run(stage, in_float64(stage), x)[1])[:, 0]
        gaps.append(np.sqrt(np.mean((found - mean) ** 2)) / mean.std())
    assert gaps[0] == pytest.approx(error, abs=0.01 if error > 0.1 else 0.002)
    assert gaps[1] < gaps[0] * 0.3


def test_an_implicit_step_keeps_the_pool_however_long_it_is():
    """One step of 10 s at the rates' upper bounds: still a share of each state."""
    rates = {n: jnp.full(1, RATES[n].high, "f4") for n in NAMES}
    stage = kinetics(1, 10.0, method="implicit")
    states = np.asarray(_run(stage, rates, np.array([[1.0], [0.0], [1.0]], "f4")))
    assert states.min() >= 0
    np.testing.assert_allclose(states.sum(1), 1, atol=1e-4)
    with pytest.raises(BadSetting, match="kinetics: method 'eulr'.*euler"):
        kinetics(1, 0.1, method="eulr")


def _mean_release(case: Case) -> np.ndarray:
    """(bins,) from the pool that k_fi takes from A: by LSODA, with A's own sum."""

    def slope(p, s, u):
        rates = case.slope(p, {n: v for n, v in s.items() if n != "sum"}, u)
        return {**rates, "sum": s["A"]}

    def make(cells, bin_s, dt_s):
        stage = case.make(cells, bin_s, dt_s)
        return stage._replace(
            start=lambda p, key=None: stage.start(p) | {"sum": 0 * p["k_a"]}
        )

    summed = exact(dataclasses.replace(case, make=make, slope=slope))["sum"]
    return np.diff(summed) / case.bin_s
