"""A bipolar cell's potential and release: a membrane, less a share of its slow average.

    tau db/dt = u - b,   tau_slow dm/dt = b - m,   v = gain (b - share m) + bias

Sustained for a share of 0, transient for 1. What is released is a gate of v, as the
rung behind it wants it (`synapses.rungs`). Source: chosen (form, values); a share and a
time constant for each type stand for what tells types apart by their kinetics.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from retina.circuit.synapses.rungs import GATES
from retina.errors import BadSetting, nearest
from retina.parameter import Parameter
from retina.stage import Stage, recurrent

RELEASE = {**GATES, "potential": lambda v: v}
CELL = ("out",)
PARAMETERS = {
    "tau_s": Parameter(0.03, "s", 0.004, 0.15, axes=CELL),
    "tau_slow_s": Parameter(0.1, "s", 0.02, 0.3, axes=CELL),
    "share": Parameter(0.8, "1", 0.0, 1.5, axes=CELL),
    "gain": Parameter(3.0, "1", 0.05, 200.0, axes=CELL),
    "bias": Parameter(-1.0, "1", axes=CELL),
}
SPREAD = {"tau_s": 2.0, "tau_slow_s": 2.0, "share": 1.4, "gain": 1.1}


def adapting_membrane(cells: int, dt_s: float, *, release: str = "rate") -> Stage:
    """Stage (cells,) -> (cells,): what arrives to what is released.

    release: a gate of `synapses.rungs`, or "potential" for v itself.
    raises:  BadSetting.

    Cells begin with time constants drawn around the values, as types have theirs. b is
    exact while x is held; m hears b as it is at the step's end, which under a drive that
    changes every 1/30 s puts it off by 0.04 of its s.d. in steps of 1/150 s, by 0.19 in
    one step of 1/30 s, as a circuit without feedback and pools takes it: first order.

    >>> stage = adapting_membrane(1, 0.01)
    >>> params = stage.init(jax.random.key(0))
    >>> y = stage.apply(params, stage.start(params), jnp.ones((100, 1)))[1][:, 0]
    >>> bool(y.max() > 1.2 * y[-1])
    True
    """
    if release not in RELEASE:
        raise BadSetting(f"release {release!r}: {nearest(release, RELEASE)}")
    released = RELEASE[release]

    def init(key: jax.Array):
        params = {}
        for n, k in zip(PARAMETERS, jax.random.split(key, 5), strict=True):
            most = jnp.log(jnp.float32(SPREAD.get(n, 1.0)))
            drawn = jax.random.uniform(k, (cells,), jnp.float32, -1.0, 1.0)
            params[n] = jnp.float32(PARAMETERS[n].value) * jnp.exp(most * drawn)
        return params

    def start(params, key=None):
        still = jnp.zeros(cells, params["tau_s"].dtype)
        return {"b": still, "m": still}

    def step(params, state, x):
        keep, slow = (jnp.exp(-dt_s / params[n]) for n in ("tau_s", "tau_slow_s"))
        b = x + keep * (state["b"] - x)
        m = b + slow * (state["m"] - b)
        v = params["gain"] * (b - params["share"] * m) + params["bias"]
        return {"b": b, "m": m}, released(v)

    return recurrent(
        step,
        start=start,
        init=init,
        parameters=PARAMETERS,
        burn_in_s=1.5,
        about=("adapting_membrane", cells, dt_s, release),
    )


def contract() -> list[tuple[Stage, tuple[int, ...]]]:
    return [(adapting_membrane(3, 0.02, release=r), (3,)) for r in ("rate", "mv")]
