"""Photoreceptors: published steady states, Euler's limit, and the unit of light."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from retina.circuit import dynamical_adaptation as da
from retina.circuit import phototransduction as cascade
from retina.circuit.linear_photoreceptor import KINDS, linear_photoreceptor
from retina.circuit.van_hateren import van_hateren
from retina.costs.flops import count_step
from retina.errors import BadSetting

phototransduction = cascade.phototransduction


def _values(kind: str) -> dict[str, float]:
    return {n: p.value or 0.0 for n, p in cascade.parameters(kind).items()}


def _apply(stage, x, params=None, state=None):
    params = stage.init(jax.random.key(0)) if params is None else params
    state = stage.start(params) if state is None else state
    return stage.apply(params, state, jnp.asarray(x, jnp.float32))


@pytest.mark.parametrize("kind", cascade.KINDS)
def test_darkness_is_a_steady_state(kind: str):
    """Also after a second of it, at the dark current of the published parameters."""
    stage = phototransduction(1, 0.05, kind=kind)
    values = _values(kind)
    dark_pa = values["k"] * values["f"] * values["g_dark"] ** 3
    after, current = _apply(stage, np.zeros((20, 1)))
    # Float32: G is restored by a rounding of 1e-7 a step.
    np.testing.assert_allclose(current, -dark_pa, rtol=1e-4)
    np.testing.assert_allclose(after["C"], values["c_dark"], rtol=1e-4)


def test_a_steady_light_ends_where_the_equations_say():
    """P = (eta + gamma Phi / sigma) / phi, C from a root found here."""
    values = _values("primate_cone")
    still = cascade.dark(values)
    p = (values["eta"] + values["gamma"] * 1e4 / values["sigma"]) / values["phi"]
    low, high, current = 0.0, 1.0, 0.0
    for _ in range(60):
        c = (low + high) / 2
        g = still["S_max"] / (1 + (c / values["k_gc"]) ** 4) / p
        current = values["k"] * values["f"] * g**3
        low, high = (c, high) if still["q"] * current > values["beta"] * c else (low, c)
    state, found = _apply(phototransduction(1, 0.05), np.full((60, 1), 1e4))
    np.testing.assert_allclose(state["P"], p, rtol=1e-4)
    np.testing.assert_allclose(found[-1], -current, rtol=1e-3)


def test_van_hateren_at_100_troland():
    """C = 14.12579 and V_s = -12.92790 in the author's program."""
    stage = van_hateren(1, 0.05)
    state, _ = _apply(stage, np.full((60, 1), 100.0))
    # Three seconds from darkness; the slowest constant is 250 ms, the rest is float32.
    assert float(state["C"][0]) == pytest.approx(14.12579, rel=1e-4)
    assert float((state["V_is"] - state["V_h"])[0]) == pytest.approx(-12.92790, 1e-4)


def _euler(light: float, dt: float, seconds: float) -> np.ndarray:
    """Explicit Euler on the primate cone's equations, from dark but for R and P."""
    v = _values("primate_cone")
    still = cascade.dark(v)
    r = v["gamma"] * light / v["sigma"]
    p = np.float64((r + v["eta"]) / v["phi"])
    g, c = np.float64(v["g_dark"]), np.float64(v["c_dark"])
    trace = []
    for _ in range(round(seconds / dt)):
        s = still["S_max"] / (1 + (c / v["k_gc"]) ** 4)
        current = v["k"] * v["f"] * g**3
        g, c = (
            g + dt * (s - p * g),
            c + dt * (still["q"] * current - v["beta"] * c),
        )
        trace.append(g)
    return np.array(trace)


def _euler_limit_s(values, light: float) -> float:
    """The step above which explicit Euler diverges at a steady light: 2 / P."""
    p = values["eta"] + values["gamma"] * light / values["sigma"]
    return 2 * values["phi"] / p


@pytest.mark.parametrize("light", [1e4, 1e5])
def test_explicit_euler_blows_up_where_the_rule_says(light: float):
    """Above 2/P the cGMP of a steadily lit cone rings ever louder; below it settles."""
    v = _values("primate_cone")
    limit = _euler_limit_s(v, light)
    with np.errstate(all="ignore"):
        below = _euler(light, 0.9 * limit, 2.0)
        above = _euler(light, 1.1 * limit, 2.0)
    assert np.ptp(below[-20:]) < 0.01 * abs(below[-1])
    assert not np.all(np.isfinite(above)) or np.any(above < 0)
    # The step of ours is above the limit of Euler in the brighter light.
    _, current = _apply(phototransduction(1, 1 / 30), np.full((60, 1), light))
    assert cascade.SAFE_CONE_S > limit or light < 1e5
    assert np.all(np.isfinite(current)) and np.all(current <= 0)
    assert float(jnp.ptp(current[-5:])) < 0.01 * abs(float(current[-1, 0]))


@pytest.mark.parametrize(
    ("kind", "light", "bin_s"),
    [("primate_cone", 100.0, 0.016), ("primate_rod", 20.0, 0.032)],
)
def test_no_value_that_a_fit_may_find_makes_it_swing(kind, light, bin_s):
    """At the longest step, in steady light, a corner of the bounds where both cGMP and
    calcium are fast: at 10 times the published beta every other bin would be dark."""
    stage = phototransduction(1, bin_s, kind=kind)
    params = {n: p.low if n != "beta" else p.high for n, p in stage.parameters.items()}
    params |= {n: p.value for n, p in stage.parameters.items() if not p.trainable}
    params["eta"] = stage.parameters["eta"].high
    params = {n: jnp.float32(v) for n, v in params.items()}
    _, current = _apply(stage, np.full((150, 1), light), params)
    np.testing.assert_allclose(current[-1], current[-2], rtol=0.01)


def test_the_response_to_a_light_does_not_depend_on_the_bin():
    """Light is R* per second: bins of 8 ms and 40 ms with equal sub-steps agree."""
    light = np.repeat(np.array([[0.0], [3e3], [1e4], [2e3]]), 5, axis=0)
    long = _apply(phototransduction(1, 0.04), light)[1]
    short = _apply(phototransduction(1, 0.008), np.repeat(light, 5, axis=0))[1]
    np.testing.assert_allclose(long, short[4::5], rtol=1e-5)


def test_too_long_a_step_is_refused_with_the_longest_safe_one():
    with pytest.raises(BadSetting, match="dt_s 0.02 s is not safe; give 0.008 s or"):
        phototransduction(1, 0.04, dt_s=0.02)
    with pytest.raises(BadSetting, match="did you mean 'primate_rod'"):
        phototransduction(1, 0.01, kind="primate_rodd")
    with pytest.raises(BadSetting, match="0.0001 s or less"):
        van_hateren(1, 0.01, dt_s=1e-3)


def test_the_fast_form_of_dynamical_adaptation_costs_28_flops():
    """Seven integrators, 2 multiplies and an add each; the rest is the gain."""
    stage = da.dynamical_adaptation(1, 0.005, instant=True)
    _, step = count_step(stage, stage.init(jax.random.key(0)), jnp.zeros(1))
    kinds = (step.multiplies, step.adds, step.divides, step.transcendentals)
    assert kinds == (18, 9, 1, 0) and step.flops == 28
    stage = da.dynamical_adaptation(1, 0.005)
    _, step = count_step(stage, stage.init(jax.random.key(0)), jnp.zeros(1))
    kinds = (step.multiplies, step.adds, step.divides, step.transcendentals)
    # With tau_r: its exponential step, from the goal and back.
    assert kinds == (20, 11, 1, 1)


def test_a_sub_step_of_the_cascade():
    """27 FLOPs as published are explicit Euler's; ours are 28 and one exponential.

    Exponential steps fold dt and the rates of R, P and C into constants, which saves
    the multiplies by dt, and pay one exp, for G alone. C moves in two halves, with the
    current before and after: 4 multiplies and an add. A bin adds its light (1 multiply)
    and its current (3).
    """

    def kinds(bin_s: float) -> np.ndarray:
        stage = phototransduction(1, bin_s)
        _, step = count_step(stage, stage.init(jax.random.key(0)), jnp.zeros(1))
        flops = (step.multiplies, step.adds, step.divides, step.transcendentals)
        return np.array(flops)

    assert kinds(0.008).tolist() == [17 + 4, 10, 1, 1]
    assert (kinds(0.024) - kinds(0.016)).tolist() == [17, 10, 1, 1]


def test_dynamical_adaptation_at_a_steady_light():
    """Gamma kernels have unit area: r = alpha s / (1 + beta s)."""
    _, r = _apply(da.dynamical_adaptation(1, 0.02), np.full((150, 1), 40.0))
    assert float(r[-1, 0]) == pytest.approx(40 / (1 + 0.2 * 40), rel=1e-3)


def test_the_linear_filter_is_the_published_formula():
    """A flash in one bin against the formula at the bin's middle, and its sum."""
    bin_s = 0.002
    flash = np.zeros((100, 1))
    flash[0] = 1 / bin_s  # one R*
    _, found = _apply(linear_photoreceptor(1, bin_s), flash)
    t = (np.arange(100) + 0.5) * bin_s
    rise = (t / 0.0106) ** 3
    expected = 0.31 * rise / (1 + rise) * np.exp(-t / 0.0236)
    expected[95:] = 0  # beyond eight decay constants
    np.testing.assert_allclose(found[:, 0], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_no_filter_that_a_fit_may_find_is_longer_than_its_window(kind: str):
    """At the upper bounds of both time constants: 4 % of the area lies beyond it."""
    stage = linear_photoreceptor(1, 0.005, kind=kind)
    rise_s, decay_s = (stage.parameters[n].high for n in ("tau_r_s", "tau_d_s"))
    t = (np.arange(40 * stage.lags) + 0.5) * 0.005
    rise = (t / rise_s) ** 3
    area = rise / (1 + rise) * np.exp(-t / decay_s)
    assert area[stage.lags + 1 :].sum() < 0.04 * area.sum()


@pytest.mark.parametrize("kind", cascade.KINDS)
def test_a_start_in_the_light_is_where_the_cascade_would_have_come(kind: str):
    """The root against what five to fifty seconds of that light lead to."""
    light = 50.0 if kind == "primate_rod" else 1e4
    adapted = phototransduction(1, 0.05, kind=kind, adapted=light)
    params = adapted.init(jax.random.key(0))
    begun = adapted.start(params)
    seconds = 50 if kind in cascade.SLOW else 5
    dark = phototransduction(1, 0.05, kind=kind)
    waited, _ = _apply(dark, np.full((20 * seconds, 1), light))
    assert set(begun) == set(waited)
    for name, value in waited.items():
        np.testing.assert_allclose(begun[name], value, rtol=1e-3, err_msg=name)


def test_the_start_in_the_light_has_the_slope_of_the_steady_state():
    """By central differences in float64, relative to the parameter."""
    with jax.enable_x64(True):
        params = {n: jnp.float64(v) for n, v in _values("primate_cone").items()}

        def calcium(params):
            return cascade.steady(params, 1e4)["C"]

        slope = jax.grad(calcium)(params)
        for name in ("eta", "gamma", "sigma", "k_gc"):
            ends = [
                calcium(params | {name: params[name] * (1 + sign * 1e-5)})
                for sign in (1, -1)
            ]
            wanted = float(ends[0] - ends[1]) / 2e-5
            assert float(slope[name] * params[name]) == pytest.approx(wanted, rel=1e-5)
