"""First-order kinetics of the LNK model: resting, active and two inactivated states.

    dR/dt  = -(k_a u + k_a0) R + k_fr I1
    dA/dt  =  (k_a u + k_a0) R - k_fi A
    dI1/dt =  k_fi A - (k_fr + k_si) I1 + (k_sr u + k_sr0) I2
    dI2/dt =  k_si I1 - (k_sr u + k_sr0) I2

R + A + I1 + I2 = 1; the output is A. Source: Ozuysal & Baccus 2012, Neuron 73:1002,
doi 10.1016/j.neuron.2011.12.029 (equations). Read as a synapse: release depletes a
pool that refills fast (k_fr) and from a slow reserve (k_sr). Bipolar cells need no I2.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax import lax

from retina.errors import BadSetting, nearest
from retina.parameter import Parameter
from retina.stage import Stage, recurrent

METHODS = ("euler", "implicit")
# The start is an engineering choice near the published 5 /s return path of ganglion
# cells; the upper bounds are what the sub-step below is made safe for.
FAST, SLOW = 120.0, 20.0
CELL = ("cell",)
RATES = {
    "k_a": Parameter(50.0, "1/s", 0.0, FAST, source="chosen", axes=CELL),
    "k_a0": Parameter(0.5, "1/s", 0.0, 10.0, source="chosen", axes=CELL),
    "k_fi": Parameter(40.0, "1/s", 0.0, FAST, source="chosen", axes=CELL),
    "k_fr": Parameter(
        5.0, "1/s", 0.0, FAST, source="Ozuysal & Baccus 2012, Fig 5", axes=("cell",)
    ),
    "k_si": Parameter(1.0, "1/s", 0.0, SLOW, source="chosen", axes=CELL),
    "k_sr": Parameter(0.5, "1/s", 0.0, 10.0, source="chosen", axes=CELL),
    "k_sr0": Parameter(0.1, "1/s", 0.0, 10.0, source="chosen", axes=CELL),
}
# Of bipolar cells, whose pool refills by one path: 43 +- 1.8 per s in five cells. The
# lower bound is what the burn-in of 1.5 s is made for.
WITHOUT_RESERVE = {
    "k_a": Parameter(100.0, "1/s", 0.0, FAST, source="chosen", axes=CELL),
    "k_a0": RATES["k_a0"],
    "k_fi": Parameter(60.0, "1/s", 0.0, FAST, source="chosen", axes=CELL),
    "k_fr": Parameter(
        43.0, "1/s", 3.0, FAST, source="Ozuysal & Baccus 2012, Fig 5", axes=CELL
    ),
}


def kinetics(
    cells: int, bin_s: float, *, reserve: bool = True, method: str = "euler"
) -> Stage:
    """Stage (cell,) -> (cell,): activation u in [0, 1] to the active fraction A.

    reserve: False leaves the slow state I2 out, as in bipolar cells.
    method:  of a sub-step, the drive held within a bin: euler (explicit) or implicit
             (backward Euler, solved exactly), both of first order. What is published
             here was fitted with euler, the default; a new fit should be implicit.
    raises:  BadSetting for another method.

    The number of sub-steps keeps sub-step x (largest rate out of a state) below 1 at
    the rates' upper bounds: an explicit sub-step is then a stochastic matrix, as an
    implicit one is at any length, so no fitted value can leave [0, 1]. Stable is not
    exact. Under a drive that changes in every bin of 1/30 s, in 5 sub-steps, what a
    circuit hears, the mean of A after each, is off by so many of its s.d., without the
    reserve and with it, and costs so many FLOPs (tests/circuit/test_kinetics.py):

        euler       0.34, 0.30    11, 19 a sub-step
        implicit    0.03, 0.08    16, 33

    The states at a bin's end are off by up to 0.15 and 0.11, and by 0.09 and 0.09.
    10 sub-steps halve that, 20 quarter it. A fit finds rates of the scheme at its step,
    not of the equations: another step or method, other values.
    """
    if method not in METHODS:
        raise BadSetting(f"kinetics: method {method!r}: {nearest(method, METHODS)}")
    substeps = substeps_of(bin_s, reserve)
    dt = bin_s / substeps
    told = (() if reserve else ("alone",)) + (() if method == "euler" else (method,))
    rates = RATES if reserve else WITHOUT_RESERVE

    def init(key: jax.Array):
        # Starts differ a little from cell to cell and seed to seed, within the bounds.
        params = {}
        for name, k in zip(rates, jax.random.split(key, len(rates)), strict=True):
            spread = jax.random.uniform(k, (cells,), jnp.float32, 0.9, 1.1)
            params[name] = (rates[name].value or 0.0) * spread
        return params

    def start(params, key=None):
        """The steady state at u = 1/4, a weak standing drive."""
        into_a = params["k_a"] * 0.25 + params["k_a0"]
        i1 = 1 / params["k_fr"]
        parts = (1 / into_a, 1 / params["k_fi"], i1)
        if reserve:
            back = params["k_sr"] * 0.25 + params["k_sr0"]
            parts = (*parts, params["k_si"] * i1 / back)
        total = sum(parts)
        return tuple(part / total for part in parts)

    def explicit(params, state, u):
        activate = (params["k_a"] * dt) * u + params["k_a0"] * dt
        k_fi, k_fr = params["k_fi"] * dt, params["k_fr"] * dt
        k_si = params["k_si"] * dt if reserve else 0.0
        recover = 0.0
        if reserve:
            recover = (params["k_sr"] * dt) * u + params["k_sr0"] * dt

        def substep(state, _):
            r, a, i1, *rest = state
            activated, inactivated, returned = activate * r, k_fi * a, k_fr * i1
            r, a = r + (returned - activated), a + (activated - inactivated)
            into_i1 = inactivated - returned
            if not reserve:
                return (r, a, i1 + into_i1), None
            stored, refilled = k_si * i1, recover * rest[0]
            i1, i2 = i1 + (into_i1 + (refilled - stored)), rest[0] + (stored - refilled)
            return (r, a, i1, i2), None

        state, _ = lax.scan(substep, state, None, length=substeps)
        return state, state[1]

    def implicit(params, state, u):
        """A, then I1 and I2 follow from the new R, and R from them: one cycle."""
        a = (params["k_a"] * dt) * u + params["k_a0"] * dt
        shut = 1 / (1 + params["k_fi"] * dt)  # kept of A
        passed = params["k_fi"] * dt * shut  # of A to I1
        left = 1 + params["k_fr"] * dt
        passing = jnp.float32(0)
        if reserve:
            b = (params["k_sr"] * dt) * u + params["k_sr0"] * dt
            passing = b / (1 + b)  # of I2 to I1
            left = left + params["k_si"] * dt * (1 - passing)
        held = 1 / left
        back = params["k_fr"] * dt * held  # of I1 to R
        through = back * passed
        divide = 1 / (1 + a * (1 - through))

        def substep(state, _):
            r, active, i1, *rest = state
            stored = i1 if not reserve else i1 + passing * rest[0]
            r = (r + back * stored + through * active) * divide
            active = active + a * r
            i1 = (stored + passed * active) * held
            active = shut * active
            if not reserve:
                return (r, active, i1), None
            i2 = (rest[0] + params["k_si"] * dt * i1) * (1 - passing)
            return (r, active, i1, i2), None

        state, _ = lax.scan(substep, state, None, length=substeps)
        return state, state[1]

    return recurrent(
        implicit if method == "implicit" else explicit,
        start=start,
        init=init,
        parameters=dict(rates),
        burn_in_s=8.0 if reserve else 1.5,
        substeps=substeps,
        about=("kinetics", cells, bin_s, substeps, *told),
    )


def substeps_of(bin_s: float, reserve: bool = True) -> int:
    """Sub-steps in a bin: short enough for all rates at their upper bounds.

    >>> substeps_of(1 / 30), substeps_of(1 / 30, reserve=False)
    (5, 5)
    """
    fastest = max(FAST + 10.0, FAST + SLOW if reserve else FAST)
    return max(1, math.ceil(bin_s * fastest))


def contract() -> list[tuple[Stage, tuple[int, ...]]]:
    return [
        (kinetics(3, 1 / 30), (3,)),
        (kinetics(3, 1 / 30, reserve=False), (3,)),
        (kinetics(3, 1 / 30, method="implicit"), (3,)),
    ]
