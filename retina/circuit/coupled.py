"""Cells of a grid coupled by gap junctions: a sheet, exact at any step.

    C dV_i/dt = -g_L V_i + g sum_j (V_j - V_i) + g_L u_i       over the four neighbours

The sheet's own patterns are cosines along rows and columns, of which each decays by
itself: tau/(1 + (g/g_L) lambda). A step takes the drive apart into them, steps each
exactly, and puts the potential together again: four products, whatever the coupling.
(Explicit Euler is 4 FLOPs a pair and sub-step, stable below 2 C / (g_L + 8 g).)
Conductances: rods 0.35 nS (Li et al. 2012); cones 0.5-1 nS, AII 0.7-3 nS are recalled.
"""

from __future__ import annotations

import math

import jax.numpy as jnp
import numpy as np

from retina.errors import BadSetting, at_least_one
from retina.parameter import Parameter
from retina.stage import Stage, recurrent

LEAK_NS = 1.0
FUSED = 1e9  # as good as infinite, with a slope
TAU = Parameter(0.02, "s", 0.002, 0.2, source="chosen: as van Hateren 2005")


def coupled(height: int, width: int, dt_s: float, *, coupling_ns: float = 1.0) -> Stage:
    """Stage (cells,) -> (cells,): current over the leak to potential above rest, rows.

    coupling_ns: between neighbours, to begin with; the leak of a cell is 1 nS. 0: each
                 cell is alone; infinite: all are one, which hears the mean current.
    raises:      BadSetting for a coupling below 0, or no cells.

    >>> import jax
    >>> sheet = coupled(1, 3, 0.001, coupling_ns=1e4)
    >>> params = sheet.init(jax.random.key(0))
    >>> x = jnp.tile(jnp.array([3.0, 0.0, 0.0]), (200, 1))
    >>> sheet.apply(params, sheet.start(params), x)[1][-1].round(2).tolist()
    [1.0, 1.0, 1.0]
    """
    at_least_one(height=height, width=width)
    if not coupling_ns >= 0:
        raise BadSetting(f"coupling_ns {coupling_ns:g}: 0 or more, inf for fused cells")
    described = {"tau_s": TAU}
    if 0 < coupling_ns < math.inf:
        described["coupling_ns"] = Parameter(coupling_ns, "nS", low=0.0)
    rows, columns = (_cosines(n) for n in (height, width))
    steep = _steepness(height)[:, None] + _steepness(width)[None]

    def start(params, key=None):
        return jnp.zeros((height, width), params["tau_s"].dtype)

    def step(params, state, x):
        dtype = params["tau_s"].dtype
        down, along = rows.astype(dtype), columns.astype(dtype)
        coupling = params.get("coupling_ns", min(coupling_ns, FUSED))
        pull = 1 + coupling / LEAK_NS * steep.astype(dtype)
        keep = jnp.exp(pull * (-dt_s / params["tau_s"]))
        goal = down @ x.reshape(height, width) @ along.T
        state = keep * state + (1 - keep) / pull * goal
        return state, (down.T @ state @ along).reshape(-1)

    return recurrent(
        step,
        start=start,
        init=lambda key: {n: jnp.float32(p.value) for n, p in described.items()},
        parameters=described,
        burn_in_s=8 * TAU.high,
        about=("coupled", height, width, dt_s, coupling_ns),
    )


def _cosines(n: int) -> np.ndarray:
    """(pattern, place), orthonormal."""
    k, i = np.arange(n)[:, None], np.arange(n)[None]
    found = np.cos(np.pi * k * (2 * i + 1) / (2 * n)) * np.sqrt(2 / n)
    found[0] = np.sqrt(1 / n)
    return found


def _steepness(n: int) -> np.ndarray:
    """What each pattern loses to its neighbours, per unit conductance."""
    return 2 - 2 * np.cos(np.pi * np.arange(n) / n)


def contract() -> list[tuple[Stage, tuple[int, ...]]]:
    return [(coupled(2, 3, 0.01), (6,)), (coupled(1, 2, 0.01, coupling_ns=0.0), (2,))]
