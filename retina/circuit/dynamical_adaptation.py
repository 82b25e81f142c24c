"""Dynamical adaptation (DA): a fast filter whose gain a slower filter sets.

    y = K_y * s,  z = gamma y + (1 - gamma) K_z * s
    tau_r dr/dt = alpha y - (1 + beta z) r        (tau_r = 0: r = alpha y/(1 + beta z))

K_y and K_z are gamma kernels t^n e^(-t/tau) / (tau^(n+1) n!): n + 1 leaky integrators
in a row. Source: Clark, Benichou, Meister & da Silveira 2013, PLoS Comput Biol
9:e1003289, doi 10.1371/journal.pcbi.1003289; values are the authors' demonstration,
not a fit to a cell. Photoreceptors hyperpolarise: the minus goes into alpha.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from retina.circuit.substeps import repeat, substeps
from retina.errors import BadSetting
from retina.parameter import Parameter
from retina.stage import Stage, recurrent

DEMO = "Clark et al. 2013, DA_integrate.m (demonstration values)"
SAFE_S = 0.005
PARAMETERS = {
    "alpha": Parameter(1.0, "mV", source=DEMO),
    "beta": Parameter(0.2, "1", 0.0, 100.0, source=DEMO),
    "gamma": Parameter(0.5, "1", 0.0, 1.0, source=DEMO),
    "tau_y_s": Parameter(0.05, "s", 0.002, 0.1, source=DEMO),
    "tau_z_s": Parameter(0.06, "s", 0.002, 0.4, source=DEMO),
    "tau_r_s": Parameter(0.03, "s", 0.001, 0.2, source=DEMO),
}


def dynamical_adaptation(
    cells: int,
    bin_s: float,
    *,
    n_y: int = 2,
    n_z: int = 3,
    instant: bool = False,
    dt_s: float | None = None,
) -> Stage:
    """Stage (cells,) -> (cells,): intensity, at least 0, in any unit, to mV.

    n_y, n_z: orders of the two kernels.
    instant:  tau_r = 0, one state and one exponential less.
    dt_s:     the sub-step, 5 ms at most; exponential, so stable at any intensity.
    raises:   BadSetting for an order below 0 or too long a step.

    >>> stage = dynamical_adaptation(1, 0.01)
    >>> len(stage.start(stage.init(jax.random.key(0))))
    8
    """
    if min(n_y, n_z) < 0:
        raise BadSetting(f"n_y {n_y}, n_z {n_z}: give 0 or more")
    number, dt = substeps("dynamical_adaptation", bin_s, SAFE_S, dt_s)
    described = {
        n: p for n, p in PARAMETERS.items() if not (instant and n == "tau_r_s")
    }
    y_names = [f"y{i}" for i in range(n_y + 1)]
    z_names = [f"z{i}" for i in range(n_z + 1)]
    names = y_names + z_names + ([] if instant else ["r"])

    def init(key: jax.Array):
        return {n: jnp.float32(p.value) for n, p in described.items()}

    def start(params, key=None):
        return {n: jnp.zeros((cells,), params["alpha"].dtype) for n in names}

    def step(params, state, s):
        keep_y = jnp.exp(-dt / params["tau_y_s"])
        keep_z = jnp.exp(-dt / params["tau_z_s"])
        rest = 1 - params["gamma"]
        s = jnp.maximum(s, 0)

        def row(state, names, keep):
            after, x = {}, s
            for n in names:
                x = keep * state[n] + (1 - keep) * x
                after[n] = x
            return after, x

        def once(state):
            ys, y = row(state, y_names, keep_y)
            zs, z = row(state, z_names, keep_z)
            speed = 1 + params["beta"] * (params["gamma"] * y + rest * z)
            after = ys | zs
            if not instant:
                goal = params["alpha"] * y / speed
                keep = jnp.exp(speed * (-dt / params["tau_r_s"]))
                after["r"] = goal + (state["r"] - goal) * keep
            return after

        state = repeat(once, state, number)
        if not instant:
            return state, state["r"]
        y, z = state[y_names[-1]], state[z_names[-1]]
        speed = 1 + params["beta"] * (params["gamma"] * y + rest * z)
        return state, params["alpha"] * y / speed

    return recurrent(
        step,
        start=start,
        init=init,
        parameters=described,
        burn_in_s=4 * (n_z + 1) * 0.4,
        substeps=number,
        about=("dynamical_adaptation", cells, bin_s, n_y, n_z, instant, number),
    )


def contract() -> list[tuple[Stage, tuple[int, ...]]]:
    return [(dynamical_adaptation(2, 0.01), (2,))]
