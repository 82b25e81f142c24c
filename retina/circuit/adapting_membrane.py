"""A bipolar cell's potential and release: a membrane, less a share of its slow average.

    tau db/dt = u - b,   tau_slow dm/dt = b - m,   v = gain (b - share m) + bias

Sustained for a share of 0, transient for 1. What is released is a gate of v, as the
rung behind it wants it (`synapses.rungs`). Source: chosen (form, values); a share and a
time constant for each type stand for what tells types apart by their kinetics.

With contrast gain control, recent excitation turns the excursion from the bias down:

    e = gain (b - share m),  dA/dt = h max(e, 0) - A / tau_a,  v = e / (1 + A^6) + bias

Source: Chen, Marre & Berry 2013, gain control at bipolar cells, the form recalled, with
low confidence; there the gain is that of release, here of what opens any rung.
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
# h makes A about 1 at the 0.6 that e has in the mean where a fit starts it. tau_a, as
# given by Souihel & Cessac 2021, is recalled.
GAIN_CONTROL = {
    "gain_tau_s": Parameter(0.15, "s", 0.02, 0.3, source="recalled", axes=CELL),
    "gain_strength": Parameter(10.0, "1/s", 0.0, 100.0, source="chosen", axes=CELL),
}
MOST = 1e6
SPREAD = {"tau_s": 2.0, "tau_slow_s": 2.0, "share": 1.4, "gain": 1.1}


def adapting_membrane(
    cells: int, dt_s: float, *, release: str = "rate", contrast_gain: bool = False
) -> Stage:
    """Stage (cells,) -> (cells,): what arrives to what is released.

    release: a gate of `synapses.rungs`, or "potential" for v itself.
    contrast_gain: with gain control.
    raises:  BadSetting.

    Cells begin with time constants drawn around the values, as types have theirs. b is
    exact while x is held; m hears b as it is at the step's end: first order. Under a
    drive that changes every 1/30 s it is off by 0.04 of its s.d. in steps of 1/150 s,
    and by 0.19 in one step of 1/30 s, as a circuit without feedback or pools takes it.

    >>> stage = adapting_membrane(1, 0.01)
    >>> params = stage.init(jax.random.key(0))
    >>> y = stage.apply(params, stage.start(params), jnp.ones((100, 1)))[1][:, 0]
    >>> bool(y.max() > 1.2 * y[-1])
    True
    """
    if release not in RELEASE:
        raise BadSetting(f"release {release!r}: {nearest(release, RELEASE)}")
    released = RELEASE[release]
    extra = GAIN_CONTROL if contrast_gain else {}

    def init(key: jax.Array):
        params = {}
        for n, k in zip(PARAMETERS, jax.random.split(key, 5), strict=True):
            most = jnp.log(jnp.float32(SPREAD.get(n, 1.0)))
            drawn = jax.random.uniform(k, (cells,), jnp.float32, -1.0, 1.0)
            params[n] = jnp.float32(PARAMETERS[n].value) * jnp.exp(most * drawn)
        for n, described in extra.items():
            params[n] = jnp.full(cells, described.value or 0.0, jnp.float32)
        return params

    def start(params, key=None):
        still = jnp.zeros(cells, params["tau_s"].dtype)
        return {"b": still, "m": still} | ({"A": still} if contrast_gain else {})

    def step(params, state, x):
        keep, slow = (jnp.exp(-dt_s / params[n]) for n in ("tau_s", "tau_slow_s"))
        b = x + keep * (state["b"] - x)
        m = b + slow * (state["m"] - b)
        after = {"b": b, "m": m}
        e = params["gain"] * (b - params["share"] * m)
        if contrast_gain:
            keep = jnp.exp(-dt_s / params["gain_tau_s"])
            lasting = params["gain_strength"] * params["gain_tau_s"]
            goal = lasting * jnp.maximum(e, 0)
            after["A"] = goal + keep * (state["A"] - goal)
            # Beyond 1e6, where float32 has no sixth power any more, nothing is left.
            e = e / (1 + jnp.minimum(after["A"], MOST) ** 6)
        return after, released(e + params["bias"])

    return recurrent(
        step,
        start=start,
        init=init,
        parameters=PARAMETERS | extra,
        burn_in_s=3.0 if contrast_gain else 1.5,
        about=("adapting_membrane", cells, dt_s, release, *extra),
    )


def contract() -> list[tuple[Stage, tuple[int, ...]]]:
    plain = [adapting_membrane(3, 0.02, release=r) for r in ("rate", "mv")]
    controlled = adapting_membrane(3, 0.02, contrast_gain=True)
    return [(stage, (3,)) for stage in (*plain, controlled)]
