"""Gap junctions: neighbours in a row share their currents, from not at all to fused.

    C dV_i/dt = g_L (E_L - V_i) + g (V_(i-1) - V_i) + g (V_(i+1) - V_i) + I_i

Without coupling each cell is alone; with infinite coupling a row of N cells is one of
N C and N g_L: it hears the mean current. 4 FLOPs a pair and step. Rods: about 350 pS
(Li et al. 2012); cones 0.5-1 nS, AII 0.7-3 nS are recalled.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from retina.circuit.substeps import repeat, substeps
from retina.errors import BadSetting, at_least_one
from retina.parameter import Parameter
from retina.stage import Stage, recurrent

LEAK_NS, REST_MV, C_NF = 1.0, -40.0, 0.01
MORE = 4.0  # a fit may couple so much more tightly than it starts


def gap_junction(
    cells: int, bin_s: float, coupling_ns: float = 1.0, *, dt_s: float | None = None
) -> Stage:
    """Stage (cells,) -> (cells,): current in pA to potential in mV, a row of cells.

    coupling_ns: between neighbours, in nS: 0 for none, infinite for one fused cell.
    dt_s:        the sub-step; explicit, so half of 2 C / (g_L + 4 g) at most.
    raises:      BadSetting for a negative coupling, or too long a step, with the
                 longest that is safe for all a fit may come to.

    >>> row = gap_junction(3, 0.001, math.inf)
    >>> params = row.init(jax.random.key(0))
    >>> row.step(params, row.start(params), jnp.array([3.0, 0.0, 0.0]))[1].round(3)
    Array([-39.9, -39.9, -39.9], dtype=float32)
    """
    at_least_one(cells=cells)
    if not coupling_ns >= 0:
        raise BadSetting(f"coupling_ns {coupling_ns:g}: 0 or more, inf for fused cells")
    fused, coupled = math.isinf(coupling_ns), coupling_ns > 0 and cells > 1
    coupled = coupled and not fused
    highest = MORE * coupling_ns if coupled else 0.0
    # Half of the bound where explicit Euler starts to ring: nothing overshoots.
    safe_s = C_NF / (LEAK_NS + 4 * highest)
    number, dt = substeps("gap_junction", bin_s, safe_s, dt_s)
    described = {
        "leak_ns": Parameter(LEAK_NS, "nS", 0.1, 10.0, False, "chosen"),
        "rest_mv": Parameter(REST_MV, "mV", -90.0, 0.0, source="chosen"),
        "c_nf": Parameter(C_NF, "nF", 0.001, 0.1, False, "chosen: 10 pF"),
    }
    if coupled:
        described["coupling_ns"] = Parameter(coupling_ns, "nS", 0.0, highest)
    held = 1 if fused else cells

    def init(key: jax.Array):
        return {n: jnp.float32(p.value) for n, p in described.items()}

    def start(params, key=None):
        return {"V": jnp.broadcast_to(params["rest_mv"], (held,))}

    def step(params, state, current):
        per_c = dt / params["c_nf"]
        keep = 1 - per_c * params["leak_ns"]
        resting = per_c * params["leak_ns"] * params["rest_mv"]
        # N C and N g_L with the summed current: the mean current in one cell.
        arriving = current.mean(keepdims=True) if fused else current
        arriving = per_c * arriving + resting

        def once(state):
            v = state["V"]
            after = keep * v + arriving
            if coupled:
                after = shared(after, (per_c * params["coupling_ns"]) * jnp.diff(v))
            return {"V": after}

        state = repeat(once, state, number)
        return state, jnp.broadcast_to(state["V"], current.shape)

    return recurrent(
        step,
        start=start,
        init=init,
        parameters=described,
        burn_in_s=20 * C_NF / LEAK_NS,
        substeps=number,
        about=("gap_junction", cells, bin_s, coupling_ns, number),
    )


def shared(v: jax.Array, over: jax.Array) -> jax.Array:
    """(cells,) after each pair has passed on what flows from its right to its left.

    >>> shared(jnp.array([1.0, 2.0]), jnp.array([0.25])).tolist()
    [1.25, 1.75]
    """
    left, right = v[:1] + over[:1], v[-1:] - over[-1:]
    return jnp.concatenate([left, v[1:-1] + (over[1:] - over[:-1]), right])


def contract() -> list[tuple[Stage, tuple[int, ...]]]:
    return [(gap_junction(3, 0.002), (3,)), (gap_junction(2, 0.01, math.inf), (2,))]
