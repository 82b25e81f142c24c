"""Bipolar cells: glutamate of photoreceptors to a potential, and rectified release.

    ON:  Glu = x^2 / (x^2 + K^2),  tau_m dm/dt = (1 - Glu) - m,  g = g_max m
    OFF: tau_m ds/dt = x/(x + K) - s,  g = g_max s
    C dV/dt = g_L (E_L - V) + g (E - V),  release = k softplus((V - V_th)/k)

x is the photoreceptor's release. ON cells hear it by mGluR6, which closes TRPM1 through
a G protein cascade: the sign turns, and light, which lowers x, depolarises. OFF cells
hear it by AMPA and kainate receptors. Values of the ON cascade: jaxley-mech a18d1ae,
ribbon_mGluR6.py; its dm/dt = 0.04 (1 - Glu)(1 - m) - 0.04 Glu m per ms is the above
with a time constant of 25 ms. The rest is chosen; membrane and release: `membrane`.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from retina.circuit.membrane import PARAMETERS, released
from retina.circuit.substeps import repeat, substeps
from retina.errors import BadSetting, nearest
from retina.parameter import Parameter
from retina.stage import Stage, recurrent

MGLUR6 = "jaxley-mech a18d1ae, ribbon_mGluR6.py"


def _parameters(g_max, g_source, e_mv, e_source, tau_s, tau_source, half, half_source):
    return {
        "half": Parameter(half, "vesicle", half / 20, half * 20, source=half_source),
        "tau_m_s": Parameter(tau_s, "s", tau_s / 10, tau_s * 10, source=tau_source),
        "g_max": Parameter(g_max, "nS", g_max / 20, g_max * 20, source=g_source),
        "e_mv": Parameter(e_mv, "mV", -30.0, 30.0, False, e_source),
    } | PARAMETERS


KINDS = {
    "on": _parameters(1.65, MGLUR6, -11.5, MGLUR6, 0.025, MGLUR6, 5.0, MGLUR6),
    "off": _parameters(
        1.65, "chosen: as ON", 0.0, "recalled", 0.002, "recalled", 5.0, "chosen"
    ),
}
# Exponential steps with the conductance held: stable at any step, and at this one the
# error is below 4 % of the response (tests/circuit).
SAFE_S = 0.002


def bipolar(cells: int, bin_s: float, kind: str, *, dt_s: float | None = None) -> Stage:
    """Stage (cells,) -> (cells,): glutamate, at least 0, to release in mV.

    kind:    "on" or "off".
    dt_s:    the sub-step, 2 ms at most.
    returns: release, the smoothly rectified potential above threshold.
    raises:  BadSetting for another kind or too long a step.

    >>> cell = bipolar(1, 0.01, "on")
    >>> params = cell.init(jax.random.key(0))
    >>> light = cell.apply(params, cell.start(params), jnp.zeros((20, 1)))[1]
    >>> bool(light[-1, 0] > light[0, 0])
    True
    """
    if kind not in KINDS:
        raise BadSetting(f"kind {kind!r}: {nearest(kind, KINDS)}")
    number, dt = substeps("bipolar", bin_s, SAFE_S, dt_s)
    described = KINDS[kind]

    def init(key: jax.Array):
        params = {n: jnp.float32(p.value) for n, p in described.items()}
        return params | {"threshold_mv": jnp.full(cells, params["threshold_mv"])}

    def open_at(params, x):
        x = jnp.maximum(x, 0)
        if kind == "off":
            return x / (x + params["half"])
        squared = x * x
        return 1 - squared / (squared + params["half"] ** 2)

    def membrane(params, gate):
        """Total conductance, and the potential it pulls to."""
        g = params["g_max"] * gate
        total = params["g_leak"] + g
        pull = params["g_leak"] * params["e_leak_mv"] + g * params["e_mv"]
        return total, pull / total

    def start(params, key=None):
        """At rest with receptors half open."""
        m = jnp.full((cells,), 0.5, params["g_max"].dtype)
        return {"m": m, "V": membrane(params, m)[1]}

    def step(params, state, x):
        keep = jnp.exp(-dt / params["tau_m_s"])
        goal = open_at(params, x)

        def once(s):
            total, rest = membrane(params, s["m"])
            fade = jnp.exp(total * (-dt / params["c_nf"]))
            return {
                "m": goal + (s["m"] - goal) * keep,
                "V": rest + (s["V"] - rest) * fade,
            }

        state = repeat(once, state, number)
        return state, released(params, state["V"])

    return recurrent(
        step,
        start=start,
        init=init,
        parameters=described,
        burn_in_s=2.0,
        substeps=number,
        about=("bipolar", cells, bin_s, kind, number),
    )


def contract() -> list[tuple[Stage, tuple[int, ...]]]:
    return [(bipolar(2, 0.002, "on"), (2,))]
