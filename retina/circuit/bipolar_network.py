"""Release of bipolar cell types, held down by the amacrine cells that it drives.

    release_i = ribbon(slope_i x_i - sum_a B_ai A_a + bias_i)
    A_a = sigmoid(2 (E_a - theta_a)),   E_a = K_a * sum_i W_ia release_i, a bin later
    K(t) = e^(-t/tau_d) - e^(-t (1/tau_d + 1/tau_r)), of unit norm

The kernel is two leaky integrators per amacrine cell, exact at any length. The ribbon
is the rung `ribbon_quanta` in the mean: two pools, of this network's size and pace.
Source: Schroeder, Klindt, Strauss, Franke, Euler & Bethge 2020, NeurIPS 33 (code
bc_network e663d3b), in steps of 1/64 s.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from jax import lax

from retina.circuit.synapses.gated import gated
from retina.errors import at_least_one
from retina.parameter import Parameter
from retina.stage import Stage, recurrent

SOURCE = "Schroeder et al. 2020 (bc_network)"
# Per 1/64 s there, per 10 ms in the rung: 0.1 x 0.64.
POOLS = {"dock": 0.064, "refill": 0.064, "docked_max": 10.0, "ribbon_max": 50.0}
STEEPNESS = 2.0
AMACRINE = {
    "theta": Parameter(1.5, "1", 0.0, 20.0, source=SOURCE, axes=("amacrine",)),
    "tau_d_s": Parameter(0.1, "s", 0.01, 1.0, source=SOURCE, axes=("amacrine",)),
    "tau_r_s": Parameter(0.1, "s", 0.01, 1.0, source=SOURCE, axes=("amacrine",)),
}
BACK = 0.01  # an amacrine cell's weight on a bipolar type at the start
SLOPE = 2.5  # per s.d. of a drive: 15 per range, as there, of a range of six
LEAST = 1e-18  # its square too is a number: of a kernel that is over within a bin


def bipolar_network(places: int, types: int, amacrine: int, bin_s: float) -> Stage:
    """Stage (places, types) -> (places, types): drives, of s.d. 1, to releases per bin.

    places:   copies of the network, with the same numbers and states of their own.
    types:    bipolar cell types.
    amacrine: amacrine cells of each copy, each joined to all types.
    raises:   BadSetting for a size below 1.

    >>> stage = bipolar_network(1, 4, 3, 0.01)
    >>> params = stage.init(jax.random.key(0))
    >>> stage.step(params, stage.start(params), jnp.ones((1, 4)))[1].shape
    (1, 4)
    """
    at_least_one(places=places, types=types, amacrine=amacrine)
    ribbon = gated((places, types), bin_s, "ribbon_quanta", axis="kind")
    ribbons = {n: _of_this_network(n, one) for n, one in ribbon.parameters.items()}
    described = {
        "slope": Parameter(SLOPE, "1", 0.0, 50.0, source="chosen", axes=("kind",)),
        "to": Parameter(1 / types, "1", 0.0, source=SOURCE, axes=("input", "amacrine")),
        "back": Parameter(
            BACK,
            "1",
            0.0,
            source="chosen: the number of bc_network, whose slope multiplies it there",
            axes=("amacrine", "input"),
        ),
        **AMACRINE,
        "ribbon": ribbons,
    }

    def init(key: jax.Array):
        def full(size: int, rows):
            return {n: jnp.full(size, p.value or 0.0, "f4") for n, p in rows.items()}

        to, back = jax.random.split(key)
        # Amacrine cells start apart, or they would stay alike in a fit.
        return {
            "slope": jnp.full(types, SLOPE, jnp.float32),
            "to": jax.random.uniform(to, (types, amacrine), "f4", 0.0, 2 / types),
            "back": jax.random.uniform(back, (amacrine, types), "f4", 0.0, 2 * BACK),
            **full(amacrine, AMACRINE),
            "ribbon": full(types, ribbons),
        }

    def start(params, key=None):
        still = jnp.zeros((places, amacrine), params["to"].dtype)
        return {
            "slow": still,
            "fast": still,
            "ribbon": ribbon.start(params["ribbon"]),
        }

    def setup(params):
        """What does not change from bin to bin."""
        slow = jnp.exp(-bin_s / params["tau_d_s"])
        apart = -slow * jnp.expm1(-bin_s / params["tau_r_s"])
        fast = slow - apart
        # The kernel's norm over `apart`, in one piece: of a difference of three series
        # of about 1 each nothing is left in float32 where bins are long.
        both = slow * fast
        norm = (1 - slow**2) * (1 - fast**2) * (1 - both) / (1 + both)
        gain = STEEPNESS * jnp.sqrt(norm) / jnp.maximum(apart, LEAST)
        return slow[None], fast[None], gain[None]

    def once(params, fixed, state, x):
        slow, fast, gain = fixed
        above = gain * (state["slow"] - state["fast"])
        active = jax.nn.sigmoid(above - STEEPNESS * params["theta"][None])
        drive = params["slope"][None] * x - active @ params["back"]
        pools, released = ribbon.step(params["ribbon"], state["ribbon"], drive)
        pooled = released @ params["to"]
        after = {
            "slow": slow * (state["slow"] + pooled),
            "fast": fast * (state["fast"] + pooled),
            "ribbon": pools,
        }
        return after, released

    def apply(params, state, x):
        fixed = setup(params)
        step = jax.checkpoint(lambda state, x_t: once(params, fixed, state, x_t))
        return lax.scan(step, state, x)

    return recurrent(
        lambda params, state, x: once(params, setup(params), state, x),
        start=start,
        init=init,
        parameters=described,
        burn_in_s=ribbon.burn_in_s,
        about=("bipolar_network", places, types, amacrine, bin_s),
    )._replace(apply=apply)


def _of_this_network(name: str, one: Parameter) -> Parameter:
    if name not in POOLS:
        return one
    return dataclasses.replace(one, value=POOLS[name], source=SOURCE)


def contract() -> list[tuple[Stage, tuple[int, ...]]]:
    return [(bipolar_network(2, 3, 4, 0.02), (2, 3))]
