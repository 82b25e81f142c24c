"""Phototransduction of rods and cones: from photoisomerisations to current.

    dR/dt = gamma Phi - sigma R             opsin, Phi in R*/receptor/s
    dP/dt = R + eta - phi P                 phosphodiesterase
    dG/dt = S - P G                         cGMP
    dC/dt = q I - beta C                    calcium
    S = S_max / (1 + (C / K)^4),  I = k f G^3,  output -I in pA

f is a constant, or in the ISETBio cones 1 / (1 + D / C_dark) with slow calcium D,
dD/dt = beta_slow (C - D). q and S_max are such that darkness is a steady state.
Adaptation follows from P, which is both the gain and the speed of G. Sources: van
Hateren 2005, J Vis 5:331, in the form of Angueyra, Baudin, Schwartz & Rieke 2022, J
Neurosci 42:1254; used as a trained layer by Idrees et al. 2024, Nat Commun 15.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from retina.circuit.root import rising_root
from retina.circuit.substeps import repeat, substeps
from retina.errors import BadSetting, nearest
from retina.parameter import Parameter
from retina.stage import Stage, recurrent

IDREES = "Idrees et al. 2024, code dynret 76a7807, prfr_params.py"
MOUSE = "jaxley-retina 9ee0b24, OPL/PR.py (credits the Rieke laboratory)"
ISETBIO = "ISETBio, osBioPhys.m 05135d9"
CHEN = "Chen et al. 2024, eLife 93795, Table 1, by jaxley-mech a18d1ae, chen24.py"
_NAMES = ("sigma", "phi", "eta", "beta", "gamma", "k", "k_gc", "c_dark", "g_dark", "f")
_UNITS = ("1/s", "1/s", "1/s^2", "1/s", "1/s^2", "pA/uM^3", "uM", "uM", "uM", "1")
# G_dark and k can be compared within one row alone: f differs (see the sources).
KINDS = {
    "primate_cone": ((22, 22, 2000, 9, 10, 0.01, 0.5, 1, 35, 0.5), IDREES),
    "primate_rod": ((7.07, 7.07, 2.53, 25, 10, 0.01, 0.5, 1, 15.5, 0.5), IDREES),
    "mouse_cone": ((9.74, 9.74, 761, 2.64, 20, 0.01, 0.4, 1, 20, 1), MOUSE),
    "chen_cone": ((22, 22, 2000, 9, 10, 0.01, 0.5, 1, 20, 1), CHEN),
    "isetbio_peripheral": ((22, 22, 2000, 9, 10, 0.02, 0.5, 1, 20.5, 0.5), ISETBIO),
    "isetbio_foveal": ((10, 22, 700, 5, 12, 0.02, 0.5, 1, 20.5, 0.5), ISETBIO),
}
SLOW = {"isetbio_peripheral": 0.4, "isetbio_foveal": 0.4}  # beta_slow, 1/s
TRAINED = ("sigma", "phi", "eta", "beta", "gamma")  # as by Idrees et al.
# Exponential steps with the coefficients of the step's middle: of second order. P, G
# and C stay positive at any step. These keep the error of every state below 6 % of its
# standard deviation under full-contrast flicker and steps of light (tests/circuit): of
# cones up to 1e5 R*/s (3 % up to 1e4, no steps), of rods up to 200 (1 %).
SAFE_S = {"primate_rod": 0.016}
SAFE_CONE_S = 0.008
# Calcium turns its own inflow down by way of cGMP: by 11 % per 1 % in the dark, 3 times
# (G^3) nearly 4 (in S). Where cGMP follows at once, a calcium that is stepped by turns
# with it swings from step to step if beta dt (1 + 11) is above 2. So that no fit comes
# there, beta has this over dt as its bound.
FOLLOWED = 0.15
# Rods' cGMP is too slow to follow at once, as long as these go no further up.
ROD = {"beta": 1.5, "eta": 3.0}
DEPTH = 0.2  # of a standing current: about the s.d. that unit contrast gives


def phototransduction(
    cells: int,
    bin_s: float,
    *,
    kind: str = "primate_cone",
    dt_s: float | None = None,
    adapted: float = 0.0,
) -> Stage:
    """Stage (cells,) -> (cells,): light in R*/receptor/s to current in pA.

    kind:    primate_cone, primate_rod, mouse_cone, chen_cone, isetbio_peripheral or
             isetbio_foveal.
    dt_s:    the sub-step; 8 ms for cones, 16 ms for rods at most.
    adapted: the light, R*/receptor/s, that a cold start has long been in; 0: darkness.
    returns: the current is negative in the dark and rises towards 0 with light. Light
             is held within a bin; below 0 it counts as darkness.
    raises:  BadSetting for an unknown kind or too long a step.

    >>> cone = phototransduction(1, 0.01)
    >>> params = cone.init(jax.random.key(0))
    >>> round(cone.step(params, cone.start(params), jnp.zeros(1))[1].item(), 1)
    -214.4
    """
    if kind not in KINDS:
        raise BadSetting(f"kind {kind!r}: {nearest(kind, KINDS)}")
    safe_s = SAFE_S.get(kind, SAFE_CONE_S)
    number, dt = substeps(kind, bin_s, safe_s, dt_s)
    described, slow = parameters(kind, dt), kind in SLOW
    lit = (adapted,) if adapted else ()
    forgets = 25.0 if slow else 10.0 if kind == "primate_rod" else 4.0

    def init(key: jax.Array):
        return {n: jnp.float32(p.value) for n, p in described.items()}

    def start(params, key=None):
        still = steady(params, adapted) if adapted else dark(params)
        names = "RPGCD" if slow else "RPGC"
        return {n: jnp.broadcast_to(still[n], (cells,)) for n in names}

    def step(params, state, light):
        # What does not depend on state or light is counted once, as setup.
        open_ = params["k"] * (1 if slow else params["f"])
        still = dark(params)
        twice_s_max = 2 * still["S_max"]
        keep_r, keep_p = (jnp.exp(-dt * params[n]) for n in ("sigma", "phi"))
        keep_c = jnp.exp(-dt / 2 * params["beta"])
        opened = (1 - keep_r) * params["gamma"] / params["sigma"]
        into_p = (1 - keep_p) / params["phi"]
        from_r, resting = into_p / 2, into_p * params["eta"]
        into_c = (1 - keep_c) / params["beta"] * still["q"] * open_
        part_d = -jnp.expm1(-dt * params["beta_slow"]) if slow else 0.0
        per_k, per_dark = 1 / params["k_gc"], 1 / params["c_dark"]
        arriving = opened * jnp.maximum(light, 0)

        def through(s):
            """The current, but for the factor that it has in every step."""
            cubed = s["G"] ** 3
            return cubed / (1 + per_dark * s["D"]) if slow else cubed

        def once(s):
            # Half a step of C, a step of the others with what is half-way, half of C.
            half = keep_c * s["C"] + into_c * through(s)
            r = keep_r * s["R"] + arriving
            p = keep_p * s["P"] + from_r * (s["R"] + r) + resting
            twice_p = s["P"] + p
            goal = twice_s_max / ((1 + (per_k * half) ** 4) * twice_p)
            g = goal + (s["G"] - goal) * jnp.exp(-dt / 2 * twice_p)
            after = {"R": r, "P": p, "G": g}
            if slow:
                after["D"] = s["D"] + part_d * (half - s["D"])
            return after | {"C": keep_c * half + into_c * through(after)}

        state = repeat(once, state, number)
        return state, -open_ * through(state)

    return recurrent(
        step,
        start=start,
        init=init,
        parameters=described,
        # Begun in its light it has less to forget than from darkness.
        burn_in_s=forgets / 2 if adapted else forgets,
        substeps=number,
        about=("phototransduction", cells, bin_s, kind, number, *lit),
    )


def parameters(kind: str, dt_s: float = SAFE_CONE_S) -> dict[str, Parameter]:
    """A published set; gamma and four rates are trained, within a factor of 10.

    dt_s: the sub-step: a cone's beta goes no higher than that can follow.
    """
    values, source = KINDS[kind]
    rows = zip(_NAMES, values, _UNITS, strict=True)
    highest = {n: 10 * v for n, v in zip(_NAMES, values, strict=True)}
    if kind == "primate_rod":
        highest |= {n: ROD[n] * highest[n] / 10 for n in ROD}
    else:
        highest["beta"] = min(highest["beta"], FOLLOWED / dt_s)
    table = {
        n: Parameter(v, unit, v / 10, highest[n], n in TRAINED, source)
        for n, v, unit in rows
    }
    if kind in SLOW:
        v = SLOW[kind]
        table["beta_slow"] = Parameter(v, "1/s", v / 10, v * 10, source=source)
    return table


def dark(params: Mapping[str, Any]) -> dict[str, Any]:
    """The steady state in darkness, and the q and S_max that make it one.

    >>> p = {n: v for n, v in zip(_NAMES, KINDS["primate_cone"][0], strict=True)}
    >>> dark(p)["P"]  # per second
    90.9090...
    """
    p = params["eta"] / params["phi"]
    current = params["k"] * params["f"] * params["g_dark"] ** 3
    return {
        "R": 0 * p,
        "P": p,
        "G": params["g_dark"],
        "C": params["c_dark"],
        "D": params["c_dark"],
        "I": current,
        "q": params["beta"] * params["c_dark"] / current,
        "S_max": p * params["g_dark"] * (1 + (params["c_dark"] / params["k_gc"]) ** 4),
    }


def steady(params: Mapping[str, Any], light: float) -> dict[str, Any]:
    """The state after a long time at one light, R*/receptor/s.

    >>> p = {n: jnp.float32(p.value) for n, p in parameters("primate_cone").items()}
    >>> round(float(steady(p, 1e4)["P"]), 1)  # (eta + gamma light / sigma) / phi
    297.5
    """
    still = dark(params)
    r = params["gamma"] * light / params["sigma"]
    p = (params["eta"] + r) / params["phi"]

    def guanylate(c):
        return still["S_max"] / ((1 + (c / params["k_gc"]) ** 4) * p)

    def excess(c):
        open_ = params["f"]
        if "beta_slow" in params:
            open_ = 1 / (1 + c / params["c_dark"])
        current = params["k"] * open_ * guanylate(c) ** 3
        return params["beta"] * c - still["q"] * current

    # Light only lowers calcium, and less of it means more cGMP: excess rises.
    c = rising_root(excess, jnp.zeros_like(p), jnp.ones_like(p) * params["c_dark"])
    return {"R": r, "P": p, "G": guanylate(c), "C": c, "D": c}


def standing(bin_s: float, light: float, **settings: Any) -> float:
    """The current in pA of a receptor that has long been in one light.

    light:    R*/receptor/s; settings: keywords of `phototransduction`.

    >>> round(standing(0.01, 0.0), 1)
    -214.4
    """
    one = phototransduction(1, bin_s, adapted=light, **settings)
    params = one.init(jax.random.key(0))
    lit = jnp.full(1, light, jnp.float32)
    return float(one.step(params, one.start(params), lit)[1][0])


def contract() -> list[tuple[Stage, tuple[int, ...]]]:
    # Rods: the suite's input is of unit size, which no cone would notice.
    return [(phototransduction(2, 0.01, kind="primate_rod"), (2,))]
