"""Each equation against an adaptive solver, its order, its bounds, its gradient."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from retina.circuit.adapting_membrane import adapting_membrane
from retina.circuit.bipolar import bipolar
from retina.circuit.contrast_gain import contrast_gain
from retina.circuit.coupled import coupled
from retina.circuit.dynamical_adaptation import dynamical_adaptation
from retina.circuit.horizontal import horizontal
from retina.circuit.integrate_and_fire import integrate_and_fire
from retina.circuit.kinetics import kinetics
from retina.circuit.phototransduction import phototransduction
from retina.circuit.slow_gain import slow_gain
from retina.circuit.synapses.driven import driven
from retina.circuit.synapses.ribbon_cycle import ribbon_cycle
from retina.circuit.van_hateren import van_hateren
from retina.stage import Stage
from tests.circuit.truth import (
    Case,
    check_slopes,
    errors,
    exact,
    extremes,
    flicker,
    in_float64,
    run,
    slopes,
)

CASES: list[Case] = []


def _cascade(p, s, light):
    """Phototransduction, from the equations alone; darkness gives q and S_max."""
    dark_p = p["eta"] / p["phi"]
    dark_i = p["k"] * p["f"] * p["g_dark"] ** 3
    q = p["beta"] * p["c_dark"] / dark_i
    s_max = dark_p * p["g_dark"] * (1 + (p["c_dark"] / p["k_gc"]) ** 4)
    f = 1 / (1 + s["D"] / p["c_dark"]) if "D" in s else p["f"]
    current = p["k"] * f * s["G"] ** 3
    slow = {"D": p["beta_slow"] * (s["C"] - s["D"])} if "D" in s else {}
    return slow | {
        "R": p["gamma"] * light - p["sigma"] * s["R"],
        "P": s["R"] + p["eta"] - p["phi"] * s["P"],
        "G": s_max / (1 + (s["C"] / p["k_gc"]) ** 4) - s["P"] * s["G"],
        "C": q * current - p["beta"] * s["C"],
    }


def _case(name, kind, mean, held, step, error, dt_s, again=True):
    CASES.append(
        Case(
            name,
            lambda cells, bin_s, dt_s: phototransduction(
                cells, bin_s, kind=kind, dt_s=dt_s
            ),
            _cascade,
            flicker(mean, 0.95, 60, held, step),
            0.016,
            error,
            dt_s,
            (0, 1e5, mean),
            low={"R": 0, "P": 0, "G": 0, "C": 0},
            again=again,
            order=2,
        )
    )


# Of the worst state. Published for Euler and exponential Euler, of the current, are 5 %
# at 2 ms for cones and 4.5 % at 8 ms for rods.
_case("primate_cone", "primate_cone", 1e4, 2, 1.0, 0.02, 0.008, again=False)
_case("primate_cone_step", "primate_cone", 1e4, 2, 10.0, 0.05, 0.008)
_case("mouse_cone", "mouse_cone", 1e3, 2, 1.0, 0.02, 0.008)
_case("slow", "isetbio_peripheral", 1e4, 2, 1.0, 0.02, 0.008)
_case("primate_rod", "primate_rod", 20.0, 2, 1.0, 0.005, 0.016)
_case("chen_cone", "chen_cone", 1e4, 2, 1.0, 0.02, 0.008)
_case("foveal", "isetbio_foveal", 1e4, 2, 1.0, 0.03, 0.008)
# At lights brighter than those: what is lost.
_case("bright_primate", "primate_cone", 1e5, 2, 1.0, 0.055, 0.008)
_case("bright_chen", "chen_cone", 1e5, 2, 1.0, 0.055, 0.008)
_case("bright_slow", "isetbio_peripheral", 1e5, 2, 1.0, 0.055, 0.008)
_case("bright_foveal", "isetbio_foveal", 1e5, 2, 1.0, 0.03, 0.008)
_case("bright_mouse", "mouse_cone", 1e5, 2, 1.0, 0.035, 0.008)
_case("bright_rod", "primate_rod", 200.0, 2, 1.0, 0.01, 0.016)


def _adaptation(p, s, light):
    rates, before = {}, light
    for row, count, tau in (("y", 3, "tau_y_s"), ("z", 4, "tau_z_s")):
        before = light
        for i in range(count):
            rates[f"{row}{i}"] = (before - s[f"{row}{i}"]) / p[tau]
            before = s[f"{row}{i}"]
    z = p["gamma"] * s["y2"] + (1 - p["gamma"]) * s["z3"]
    rates["r"] = (p["alpha"] * s["y2"] - (1 + p["beta"] * z) * s["r"]) / p["tau_r_s"]
    return rates


CASES.append(
    Case(
        "dynamical_adaptation",
        lambda cells, bin_s, dt_s: dynamical_adaptation(cells, bin_s, dt_s=dt_s),
        _adaptation,
        flicker(10.0, 0.95, 100, 4, 5.0),
        0.02,
        0.08,
        0.005,
        (0, 1e5, 10),
        low={"r": 0},
        high={"r": 1e5},
    )
)


def _outer(p, s, light):
    alpha = 1 / (1 + (p["a_c"] * s["C"]) ** 4)
    return {
        "R": (light - s["R"]) / p["tau_r_s"],
        "E": (s["R"] - s["E"]) / p["tau_e_s"],
        "X": 1e3 * alpha - (p["c_beta"] + p["k_beta"] * s["E"]) * s["X"],
        "C": (s["X"] - s["C"]) / p["tau_c_s"],
    }


def _looped(p, s, light):
    a_i = (s["V_a"] / p["v_i"]) ** p["mu"]
    v_s = s["V_is"] - s["V_h"]
    i_t = p["g_t"] / a_i / (1 + math.exp(-(v_s - p["v_k"]) / p["v_n"]))
    return _outer(p, s, light) | {
        "V_is": (s["X"] / s["g"] - s["V_is"]) / p["tau_m_s"],
        "g": (p["a_is"] * s["V_is"] ** p["gamma_is"] - s["g"]) / p["tau_is_s"],
        "V_a": (s["V_is"] - s["V_a"]) / p["tau_a_s"],
        "V_1": (i_t - s["V_1"]) / p["tau_1_s"],
        "V_b": (s["V_1"] - s["V_b"]) / (a_i * p["tau_2_s"]),
        "V_h": (s["V_b"] - s["V_h"]) / (a_i * p["tau_h_s"]),
    }


for loop, slope in ((True, _looped), (False, _outer)):
    CASES.append(
        Case(
            f"van_hateren_{loop}",
            lambda cells, bin_s, dt_s, loop=loop: van_hateren(
                cells, bin_s, loop=loop, dt_s=dt_s
            ),
            slope,
            flicker(100.0, 0.9, 40, 2),
            0.01,
            0.05,
            0.1e-3 if loop else 0.5e-3,
            (0, 1e5, 100),
            low={"X": 0} | ({"V_is": 0, "g": 0} if loop else {}),
            cells=40,
        )
    )


def _ribbon(p, s, volts):
    opened = 1 / (1 + math.exp(-p["slope"] * (volts - p["half_mv"])))
    e = p["e_max"] * opened * s["RRP"] / 3
    i = p["i_max"] * (1 - s["RRP"] / 3) * s["IP"] / 10
    r = p["r_max"] * (1 - s["IP"] / 10) * s["RP"] / 25
    d = p["d_max"] * s["exo"]
    return {"RP": d - r, "IP": r - i, "RRP": i - e, "exo": e - d}


# The published explicit Euler: 3.4 % at 0.5 ms.
CASES.append(
    Case(
        "ribbon_cycle",
        lambda cells, bin_s, dt_s: driven(ribbon_cycle(cells, bin_s, dt_s)),
        _ribbon,
        -36 + 3 * flicker(1.0, 1.0, 60, 5, seed=2),
        0.004,
        0.04,
        0.0004,
        (-70.0, -35.0, 0.0),
        low={n: 0 for n in ("exo", "RRP", "IP", "RP")},
        high={"RRP": 3, "IP": 10},
        cells=20,
    )
)


def _feedback(ephaptic, ph, gaba):
    def slope(p, s, v_cone):
        shift, gain, goal = 0.0, 1.0, 0.0
        glu = p["glutamate"] * s["Ca"]
        current = p["rest_mv"] - s["V_h"] + glu * (p["e_glu_mv"] - s["V_h"])
        rates = {}
        if ephaptic:
            shift += p["cleft"] * (p["e_cleft_mv"] - s["V_h"])
        if ph:
            acid = 1 / (1 + math.exp(-(s["V_h"] - p["half_ph_mv"]) / p["slope_ph_mv"]))
            goal += p["depth_ph"] * (0.5 - acid)
        if gaba:
            drive = (s["V_h"] - p["half_gaba_mv"]) / p["slope_gaba_mv"]
            rates["A"] = (1 / (1 + math.exp(-drive)) - s["A"]) / p["tau_gaba_s"]
            current += p["g_gaba"] * s["A"] * (p["e_cl_mv"] - s["V_h"])
            goal += p["gaba_ph"] * s["A"]
        if ph or gaba:
            shift += p["shift_mv"] * s["dpH"]
            gain += p["per_ph"] * s["dpH"]
            rates["dpH"] = (goal - s["dpH"]) / p["tau_ph_s"]
        v = v_cone + shift
        m = 1 / (1 + math.exp(-(v - p["half_mv"]) / p["slope_mv"]))
        calcium = p["g_ca"] * m * max(p["e_ca_mv"] - v, 0) * gain
        rates["Ca"] = (calcium - s["Ca"]) / p["tau_ca_s"]
        rates["V_h"] = current / p["tau_h_s"]
        return rates

    return slope


def _one_cone(switches):
    def make(cells, bin_s, dt_s):
        named = dict(zip(("ephaptic", "ph", "gaba"), switches, strict=True))
        stage = horizontal(cells, 1, bin_s, dt_s=dt_s, **named)

        def step(params, state, x):
            state, y = stage.step(params, state, x[:, None])
            return state, y[:, 0]

        return stage._replace(step=step)

    return make


for switches in ((True, True, True), (True, False, False)):
    CASES.append(
        Case(
            f"horizontal_{switches.count(True)}",
            _one_cone(switches),
            _feedback(*switches),
            -45 + 8 * flicker(1.0, 1.0, 60, 5, seed=2),
            0.01,
            0.05,
            0.002,
            (-80.0, -40.0, 20.0),
            low={"Ca": 0, "V_h": -90, "A": 0, "dpH": -0.15},
            high={"V_h": 0, "A": 1, "dpH": 0.3},
            cells=20,
            again=switches.count(True) == 1,
        )
    )


def _bipolar(p, s, x, kind):
    heard = x**2 / (x**2 + p["half"] ** 2) if kind == "on" else x / (x + p["half"])
    goal = 1 - heard if kind == "on" else heard
    leak = p["g_leak"] * (p["e_leak_mv"] - s["V"])
    synaptic = p["g_max"] * s["m"] * (p["e_mv"] - s["V"])
    return {"m": (goal - s["m"]) / p["tau_m_s"], "V": (leak + synaptic) / p["c_nf"]}


for kind in ("on", "off"):
    CASES.append(
        Case(
            f"bipolar_{kind}",
            lambda cells, bin_s, dt_s, kind=kind: bipolar(
                cells, bin_s, kind, dt_s=dt_s
            ),
            lambda p, s, x, kind=kind: _bipolar(p, s, x, kind),
            flicker(5.0, 0.9, 60, 5, seed=3),
            0.01,
            0.04,
            0.002,
            (0.0, 1e5, 5.0),
            low={"m": 0, "V": -60},
            high={"m": 1, "V": 0},
            cells=20,
            again=kind == "off",
        )
    )


def _contrast(p, s, x):
    u = x / (1 + max(s["v"], 0) ** 4)
    return {"v": p["strength"] * u - s["v"] / p["tau_s"]}


for size, error in ((1, 0.06), (4, 0.085)):
    CASES.append(
        Case(
            f"contrast_gain_{size}",
            lambda cells, bin_s, dt_s: contrast_gain(cells, bin_s, dt_s=dt_s),
            _contrast,
            size * (flicker(1.0, 0.9, 60, 5, seed=4) - 0.8),
            0.01,
            error,
            0.002,
            (0.0, 4.0, -4.0),
            cells=20,
            again=size > 1,
        )
    )


def _in_steps(make, names: str):
    """A part that takes no dt_s, stepped as in the circuit: 5 steps in a bin of 1/30 s.

    names: of its states, a letter each, where they are a tuple.
    """

    def made(cells, bin_s, dt_s):
        number = round(bin_s / (dt_s or 1 / 150))
        stage = make(cells, bin_s / number)

        def named(state):
            return dict(zip(names, state, strict=True)) if names else state

        def start(params, key=None):
            return named(stage.start(params))

        def step(params, state, x):
            def once(state, _):
                state = tuple(state[n] for n in names) if names else state
                state, y = stage.step(params, state, x)
                return named(state), y

            state, y = jax.lax.scan(once, state, None, length=number)
            return state, y.mean(0)

        return stage._replace(start=start, step=step)

    return made


def _kinetics(p, s, u):
    opened = (p["k_a"] * u + p["k_a0"]) * s["R"]
    shut, back = p["k_fi"] * s["A"], p["k_fr"] * s["I"]
    rates = {"R": back - opened, "A": opened - shut, "I": shut - back}
    if "J" in s:
        stored = p["k_si"] * s["I"] - (p["k_sr"] * u + p["k_sr0"]) * s["J"]
        rates |= {"I": rates["I"] - stored, "J": stored}
    return rates


# Release of bipolar cells as the circuit drives it: every bin another contrast.
FLICKER = 1 / (1 + np.exp(1 - 1.5 * np.random.default_rng(0).standard_normal(60)))
for states, error in (("RAI", 0.155), ("RAIJ", 0.12)):
    CASES.append(
        Case(
            f"kinetics_{len(states)}",
            _in_steps(functools.partial(kinetics, reserve="J" in states), states),
            _kinetics,
            FLICKER,
            1 / 30,
            error,
            1 / 150,
            (0.0, 1.0, 0.25),
            low=dict.fromkeys(states, 0),
            high=dict.fromkeys(states, 1),
            cells=20,
            again="J" in states,  # its bounds and order: test_kinetics
        )
    )


def _adapting(p, s, x):
    return {
        "b": (x - s["b"]) / p["tau_s"],
        "m": (s["b"] - s["m"]) / p["tau_slow_s"],
    }


CASES.append(
    Case(
        "adapting_membrane",
        _in_steps(adapting_membrane, ""),
        _adapting,
        np.random.default_rng(0).standard_normal(60),
        1 / 30,
        0.05,
        1 / 150,
        (0.0, 1e5, -1e5),
        low={"b": -1e5, "m": -1e5},
        high={"b": 1e5, "m": 1e5},
        cells=20,
    )
)


def _each(cases: list[Case]):
    return pytest.mark.parametrize("case", cases, ids=[case.name for case in cases])


EACH = _each([case for case in CASES if not case.again])


@_each(CASES)
def test_it_follows_an_adaptive_solver(case: Case):
    found = errors(case, None)
    assert max(found.values()) < case.error, found


@EACH
def test_the_error_falls_with_the_step_as_its_order_says(case: Case):
    """Half the step, half the error where coefficients are frozen at its start; a
    quarter where they are those of its middle."""
    worst = [max(errors(case, case.dt_s / n).values()) for n in (2, 4)]
    assert 0.85 < worst[0] / worst[1] / 2**case.order < 1.2, worst


def _stay_in_bounds(case: Case, seconds: float) -> None:
    for name, (low, high) in extremes(case, seconds).items():
        assert np.isfinite(low) and np.isfinite(high), name
        # A float32 rounding below the bound is allowed.
        assert low >= case.low.get(name, -np.inf) - 1e-5, (name, low)
        assert high <= case.high.get(name, np.inf) * (1 + 1e-5), (name, high)


@EACH
def test_hostile_input(case: Case):
    """Ten minutes shared out over cells side by side: 15 s each at the least."""
    _stay_in_bounds(case, 600 / case.cells)


@pytest.mark.slow
@_each(CASES)
def test_ten_minutes_of_hostile_input(case: Case):
    _stay_in_bounds(case, 600)


@EACH
def test_gradients_are_those_of_finite_differences(case: Case):
    check_slopes(slopes(lambda: case.make(1, case.bin_s, None), case.light))


def _sheet() -> Stage:
    """Three coupled cells in a row of which one is driven."""
    sheet, driven = coupled(1, 3, 0.01), np.array([1.0, 0.0, 0.0])
    return sheet._replace(step=lambda p, s, x: sheet.step(p, s, x * driven))


def _fires() -> Stage:
    """A spike is heard with every drive above 1."""
    cell = integrate_and_fire(1, 0.008, adaptive=True)
    return cell._replace(
        step=lambda p, s, x: cell.step(p, s, (x, (x > 1).astype(x.dtype)))
    )


ALONE: dict[str, Callable[[], Stage]] = {
    "kinetics_4": lambda: kinetics(1, 1 / 30),
    "coupled": _sheet,
    "slow_gain": lambda: slow_gain(1, 0.1),
    "integrate_and_fire": _fires,
}


@pytest.mark.parametrize("name", ALONE)
def test_gradients_of_parts_whose_solution_is_tested_elsewhere(name: str):
    check_slopes(slopes(ALONE[name], np.tile([1.0, 0.2, 2.0, 0.6], 6), bins=24))


@pytest.mark.parametrize(("states", "error"), [("RAI", 0.34), ("RAIJ", 0.30)])
def test_what_the_circuit_hears_of_kinetics_in_a_bin(states: str, error: float):
    """Its mean over a bin, of explicit Euler in 5 steps, is off by `error` of its
    standard deviation, as `kinetics` says; in 4 times as many by a quarter or less."""
    case = next(case for case in CASES if case.name == f"kinetics_{len(states)}")
    mean = _mean_release(case)
    gaps = []
    for dt_s in (1 / 150, 1 / 600):
        with jax.enable_x64(True):
            stage = case.make(1, case.bin_s, dt_s)
            x = jnp.asarray(case.light)[:, None]
            found = np.asarray(run(stage, in_float64(stage), x)[1])[:, 0]
        gaps.append(np.sqrt(np.mean((found - mean) ** 2)) / mean.std())
    assert gaps[0] == pytest.approx(error, abs=0.01)
    assert gaps[1] < gaps[0] / 4


def _mean_release(case: Case) -> np.ndarray:
    """(bins,) from the pool that k_fi takes from A: by LSODA, with A's own sum."""

    def slope(p, s, u):
        rates = case.slope(p, {n: v for n, v in s.items() if n != "sum"}, u)
        return rates | {"sum": s["A"]}

    def make(cells, bin_s, dt_s):
        stage = case.make(cells, bin_s, dt_s)
        return stage._replace(
            start=lambda p, key=None: stage.start(p) | {"sum": 0 * p["k_a"]}
        )

    summed = exact(dataclasses.replace(case, make=make, slope=slope))["sum"]
    return np.diff(summed) / case.bin_s
