"""Ribbon synapse as a cycle of four pools of vesicles, in the mean.

    p = sigmoid(k (V - V_half))
    e = e_max p RRP/RRP_max            docked -> cleft
    i = i_max (1 - RRP/RRP_max) IP/IP_max      ribbon -> docked
    r = r_max (1 - IP/IP_max) RP/RP_max        reserve -> ribbon
    d = d_max exo                      cleft -> reserve

RP + IP + RRP + exo is conserved. Source: Schroeder, Oesterle, Berens, Yoshimatsu &
Baden 2021, eLife 10:e67851, as read in jaxley-mech, ribbon.py. The published rates,
read per ms, are fast for a tonic ribbon: they are a start, and near the upper bounds.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from retina.circuit.substeps import repeat, substeps
from retina.circuit.synapses.synapse import POOLS_S, Synapse
from retina.parameter import Parameter

SOURCE = "Schroeder et al. 2021, eLife 67851 (ribbon.py)"
DOCKED, RIBBON, RESERVE = 3.0, 10.0, 25.0
ABOVE = 1.2
START = {"exo": 0.75, "RRP": 1.5, "IP": 5.0, "RP": 12.5}
_RATES = {"e_max": 1500.0, "i_max": 4000.0, "r_max": 2000.0}
PARAMETERS = {
    n: Parameter(v, "vesicle/s", v / 100, ABOVE * v, source=SOURCE)
    for n, v in _RATES.items()
} | {
    "d_max": Parameter(100.0, "1/s", 1.0, ABOVE * 100.0, source=SOURCE),
    "slope": Parameter(1.0, "1/mV", 0.01, 10.0, source=SOURCE),
    "half_mv": Parameter(-35.0, "mV", -80.0, 0.0, source=SOURCE),
}
# Explicit Euler, which conserves vesicles. Release and docking together empty or fill
# the docked pool at 2200 per s at the upper bounds; at this step, to the brim at most.
SAFE_S = DOCKED / (ABOVE * (_RATES["e_max"] + _RATES["i_max"]))


def ribbon_cycle(count: int, dt_s: float, substep_s: float | None = None) -> Synapse:
    """Rung S7, graded. Pre: potential in mV; out: vesicles in the cleft.

    count, dt_s: see `Synapse`.
    substep_s:   0.45 ms at most.
    raises:      BadSetting for too long a sub-step, with the longest that is safe.

    >>> ribbon_cycle(1, 0.001).about
    ('ribbon_cycle', 3)
    """
    number, dt = substeps("ribbon_cycle", dt_s, SAFE_S, substep_s)

    def init(key):
        return {n: jnp.float32(p.value) for n, p in PARAMETERS.items()}

    def start(params, key=None):
        kind = params["e_max"].dtype
        return {n: jnp.full(count, v, kind) for n, v in START.items()}

    def step(params, state, pre, post_mv):
        dock = params["i_max"] * (dt / (DOCKED * RIBBON))
        refill = params["r_max"] * (dt / (RIBBON * RESERVE))
        recycle = params["d_max"] * dt
        opened = jax.nn.sigmoid(params["slope"] * (pre - params["half_mv"]))
        release = params["e_max"] * (dt / DOCKED) * opened

        def once(state):
            exo, rrp, ip, rp = (state[n] for n in ("exo", "RRP", "IP", "RP"))
            e = release * rrp
            i = dock * (DOCKED - rrp) * ip
            r = refill * (RIBBON - ip) * rp
            d = recycle * exo
            return {
                "exo": exo + (e - d),
                "RRP": rrp + (i - e),
                "IP": ip + (r - i),
                "RP": rp + (d - r),
            }

        state = repeat(once, state, number)
        return state, state["exo"]

    return Synapse(
        count,
        dt_s,
        init=init,
        start=start,
        step=step,
        on_event=None,
        parameters=PARAMETERS,
        about=("ribbon_cycle", number),
        burn_in_s=POOLS_S,
        substeps=number,
    )
