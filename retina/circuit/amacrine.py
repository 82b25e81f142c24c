"""Amacrine cells: a leaky, rectified, delayed pool of bipolar release that inhibits it.

    tau dV/dt = sum_i w_i r_i - V,   a = max(V - theta, 0),   heard `delay` bins later

    presynaptic:  r = x / (1 + sum b a), r is pooled (feedback: divides release)
    postsynaptic: r = x - sum b a, x is pooled (feedforward: Cl current in the target)

Wide-field cells pool and inhibit all inputs; a narrow-field cell one input alone.
Sources: reciprocal feedback from 47 % of amacrine processes, Jacoby & Marshak 2000; tau
20-100 ms and delays of 5-30 ms chosen within what models use (Schroeder et al. 2020).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax

from retina.errors import BadSetting, at_least_one, nearest
from retina.parameter import Parameter
from retina.stage import Stage, recurrent

SITES = ("presynaptic", "postsynaptic")
TAU = Parameter(0.05, "s", 0.005, 0.5, source="chosen: 20-100 ms", axes=("amacrine",))
THETA = Parameter(0.1, "1", 0.0, 10.0, source="chosen", axes=("amacrine",))
WEIGHT = {"low": 0.0, "high": 100.0, "source": "chosen"}


def amacrine(
    inputs: int,
    cells: int | None,
    bin_s: float,
    *,
    site: str = "presynaptic",
    delay: int = 1,
) -> Stage:
    """Stage (inputs,) -> (inputs,): bipolar release, at least 0, to what gets through.

    cells:  wide-field cells; None: narrow-field, one for each input and with it alone.
    site:   where they inhibit, presynaptic or postsynaptic.
    delay:  bins until an amacrine cell is heard, 1 or more; the loop closes over it.
    raises: BadSetting for another site, or no delay.

    >>> stage = amacrine(4, None, 0.01)
    >>> params = stage.init(jax.random.key(0))
    >>> r = stage.apply(params, stage.start(params), jnp.ones((50, 4)))[1][:, 0]
    >>> bool(r[-1] < 0.8 * r[0])
    True
    """
    if site not in SITES:
        raise BadSetting(f"site {site!r}: {nearest(site, SITES)}")
    if not bin_s > 0:
        raise BadSetting(f"amacrine: bin_s {bin_s:g} s; give a time above 0")
    at_least_one(inputs=inputs, cells=cells, delay=delay)
    wide = cells is not None
    number = cells or inputs
    pooled_axes = ("input", "amacrine") if wide else ("amacrine",)
    back_axes = ("amacrine", "out") if wide else ("amacrine",)

    def init(key: jax.Array):
        keys = jax.random.split(key)
        shapes = ((inputs, number), (number, inputs)) if wide else ((number,),) * 2
        # Cells of one kind differ a little, else they would stay the same in a fit.
        to, back = (
            jax.random.uniform(k, shape, jnp.float32, 0.8, 1.2) / shape[0] ** wide
            for k, shape in zip(keys, shapes, strict=True)
        )
        return {
            "to": to,
            "back": back,
            "tau_s": jnp.full(number, TAU.value or 0.0, jnp.float32),
            "theta": jnp.full(number, THETA.value or 0.0, jnp.float32),
        }

    def start(params, key=None):
        kind = params["tau_s"].dtype
        past = jnp.zeros((delay, number), kind)
        return {"V": jnp.zeros(number, kind), "past": past, "at": jnp.int32(0)}

    def weigh(x, weights):
        return x @ weights if wide else x * weights

    def step(params, state, x):
        keep = jnp.exp(-bin_s / params["tau_s"])
        heard = lax.dynamic_index_in_dim(state["past"], state["at"], 0, False)
        inhibition = weigh(heard, params["back"])
        if site == "presynaptic":
            x = jnp.maximum(x, 0)
            pooled = r = x / (1 + inhibition)
        else:
            pooled, r = x, x - inhibition
        v = keep * state["V"] + (1 - keep) * weigh(pooled, params["to"])
        active = jnp.maximum(v - params["theta"], 0)
        past = lax.dynamic_update_index_in_dim(state["past"], active, state["at"], 0)
        at = state["at"] + 1
        return {"V": v, "past": past, "at": jnp.where(at == delay, 0, at)}, r

    return recurrent(
        step,
        start=start,
        init=init,
        parameters={
            "to": Parameter(**WEIGHT, axes=pooled_axes),
            "back": Parameter(**WEIGHT, axes=back_axes),
            "tau_s": TAU,
            "theta": THETA,
        },
        burn_in_s=5.0 + delay * bin_s,
        about=("amacrine", inputs, cells, bin_s, site, delay),
    )


def contract() -> list[tuple[Stage, tuple[int, ...]]]:
    return [
        (amacrine(3, 2, 0.01, delay=2), (3,)),
        (amacrine(2, None, 0.01, site="postsynaptic"), (2,)),
    ]
