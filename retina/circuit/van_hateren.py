"""The cone of van Hateren: outer segment, inner segment and horizontal cell loop.

    tau_R dR/dt = I - R              tau_E dE/dt = R - E           I in troland
    dX/dt = alpha - (c_b + k_b E) X  alpha = 1000/(1 + (a_C C)^4)  tau_C dC/dt = X - C
    tau_m dV_is/dt = X/g - V_is      tau_is dg/dt = a_is V_is^0.678 - g
    tau_a dV'/dt = V_is - V'         a_I = (V'/V_I)^mu             V_s = V_is - V_h
    tau_1 dV_1/dt = (g_t/a_I)/(1 + e^(-(V_s - V_k)/V_n)) - V_1
    a_I tau_2 dV_b/dt = V_1 - V_b    a_I tau_h dV_h/dt = V_b - V_h

V_b drives bipolar cells, V_h is the horizontal cell; 1000 per s is the author's 1 per
ms. Source: van Hateren 2005, J Vis 5:331, doi 10.1167/5.4.5, values of the author's
program hc_widefield. Its pure delay of 2.82 ms is left to whoever lines the output up
with a recording.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from retina.circuit.root import rising_root
from retina.circuit.substeps import repeat, substeps
from retina.parameter import Parameter
from retina.stage import Stage, recurrent

SOURCE = "van Hateren 2005, hc_widefield"


def _rows(fixed: bool, **rows: tuple[float, str]) -> dict[str, Parameter]:
    return {
        n: Parameter(v, unit, v / 10, v * 10, not fixed, SOURCE)
        for n, (v, unit) in rows.items()
    }


OUTER = _rows(
    False,
    tau_r_s=(0.49e-3, "s"),
    tau_e_s=(16.8e-3, "s"),
    tau_c_s=(2.89e-3, "s"),
    c_beta=(2.80, "1/s"),
    k_beta=(0.163, "1/(s td)"),
    a_c=(9.08e-2, "1"),
)
LOOP = _rows(
    False,
    tau_m_s=(4e-3, "s"),
    tau_is_s=(56.9e-3, "s"),
    tau_1_s=(4e-3, "s"),
    tau_2_s=(4e-3, "s"),
    tau_h_s=(20e-3, "s"),
    tau_a_s=(250e-3, "s"),
    a_is=(7.09e-2, "1"),
    g_t=(151.1, "mV"),
) | _rows(
    True, gamma_is=(0.678, "1"), mu=(0.733, "1"), v_i=(19.7, "mV"), v_n=(3.0, "mV")
)
LOOP["v_k"] = Parameter(-10.0, "mV", -100.0, 100.0, False, SOURCE)
# Steps with an error below 5 % of the response (tests/circuit). The loop's
# gain, not any one time constant, asks for the shorter; it is the author's. At ten
# times g_t, or a tenth of tau_h, the loop rings without end in the equations too.
SAFE_OUTER_S = 0.5e-3
SAFE_LOOP_S = 0.1e-3


def van_hateren(
    cells: int, bin_s: float, *, loop: bool = True, dt_s: float | None = None
) -> Stage:
    """Stage (cells,) -> (cells,): troland to V_b in mV, or to X without the loop.

    loop:    False is the outer segment alone: 4 states of 10, output X.
    dt_s:    the sub-step: 0.1 ms at most, 0.5 ms without the loop.
    returns: positive in the dark; light lowers it. Light below 0 counts as darkness.
    raises:  BadSetting for too long a step.

    >>> cone = van_hateren(1, 0.01)
    >>> len(cone.start(cone.init(jax.random.key(0))))
    10
    """
    safe_s = SAFE_LOOP_S if loop else SAFE_OUTER_S
    number, dt = substeps("van_hateren", bin_s, safe_s, dt_s)
    described = OUTER | (LOOP if loop else {})
    fixed_taus = ("r", "e", "c") + (("m", "is", "1", "a") if loop else ())

    def init(key: jax.Array):
        return {n: jnp.float32(p.value) for n, p in described.items()}

    def start(params, key=None):
        """Darkness, long since."""
        found = steady(params, 0.0, loop=loop)
        return {n: jnp.broadcast_to(v, (cells,)) for n, v in found.items()}

    def step(params, state, light):
        keep = {n: jnp.exp(-dt / params[f"tau_{n}_s"]) for n in fixed_taus}
        light = jnp.maximum(light, 0)

        def towards(old, goal, kept):
            return goal + (old - goal) * kept

        def outer(s):
            beta = params["c_beta"] + params["k_beta"] * s["E"]
            alpha = 1e3 / (1 + (params["a_c"] * s["C"]) ** 4)
            return {
                "R": towards(s["R"], light, keep["r"]),
                "E": towards(s["E"], s["R"], keep["e"]),
                "X": towards(s["X"], alpha / beta, jnp.exp(-dt * beta)),
                "C": towards(s["C"], s["X"], keep["c"]),
            }

        def inner(s):
            a_i = (s["V_a"] / params["v_i"]) ** params["mu"]
            v_s = s["V_is"] - s["V_h"]
            open_ = jax.nn.sigmoid((v_s - params["v_k"]) / params["v_n"])
            per_a = -dt / a_i
            to_g = params["a_is"] * s["V_is"] ** params["gamma_is"]
            return {
                "V_is": towards(s["V_is"], s["X"] / s["g"], keep["m"]),
                "g": towards(s["g"], to_g, keep["is"]),
                "V_a": towards(s["V_a"], s["V_is"], keep["a"]),
                "V_1": towards(s["V_1"], params["g_t"] / a_i * open_, keep["1"]),
                "V_b": towards(s["V_b"], s["V_1"], jnp.exp(per_a / params["tau_2_s"])),
                "V_h": towards(s["V_h"], s["V_b"], jnp.exp(per_a / params["tau_h_s"])),
            }

        def once(s):
            return outer(s) | (inner(s) if loop else {})

        state = repeat(once, state, number)
        return state, state["V_b" if loop else "X"]

    return recurrent(
        step,
        start=start,
        init=init,
        parameters=described,
        burn_in_s=3.0 if loop else 2.0,
        substeps=number,
        about=("van_hateren", cells, bin_s, loop, number),
    )


def steady(params, light, *, loop: bool = True) -> dict[str, Any]:
    """The state after a long time at one light, by bisection.

    light:   troland.
    returns: the states by name.

    >>> params = {n: jnp.float32(p.value) for n, p in (OUTER | LOOP).items()}
    >>> found = steady(params, 100.0)
    >>> round(float(found["C"]), 3), round(float(found["V_is"] - found["V_h"]), 3)
    (14.126, -12.928)
    """
    r = jnp.full_like(params["c_beta"], light)
    beta = params["c_beta"] + params["k_beta"] * r
    # X beta (1 + (a_C X)^4) = 1000 rises with X, and X is at most 1000 / beta.
    x = rising_root(
        lambda x: x * beta * (1 + (params["a_c"] * x) ** 4) - 1e3,
        jnp.zeros_like(r),
        1e3 / beta,
    )
    outer = {"R": r, "E": r, "X": x, "C": x}
    if not loop:
        return outer
    v_is = (x / params["a_is"]) ** (1 / (1 + params["gamma_is"]))
    top = params["g_t"] / (v_is / params["v_i"]) ** params["mu"]

    def excess(v_h):
        drive = (v_is - v_h - params["v_k"]) / params["v_n"]
        return v_h - top * jax.nn.sigmoid(drive)

    v_h = rising_root(excess, jnp.zeros_like(r), top)
    inner = {"V_is": v_is, "g": x / v_is, "V_a": v_is}
    return outer | inner | {n: v_h for n in ("V_1", "V_b", "V_h")}


def contract() -> list[tuple[Stage, tuple[int, ...]]]:
    return [(van_hateren(1, 0.004), (1,))]
