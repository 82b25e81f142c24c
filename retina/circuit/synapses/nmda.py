"""NMDA gate: magnesium blocks the channel at rest, g / (1 + e^(-k V) [Mg] / 3.57).

Source: Jahr & Stevens 1990, J Neurosci 10:3178, in the form of Destexhe, Mainen &
Sejnowski 1998, as read in jaxley-mech, destexhe98.py. k = 0.062 /mV.
"""

from __future__ import annotations

import jax.numpy as jnp

from retina.circuit.synapses.synapse import Synapse
from retina.parameter import Parameter

SOURCE = "Destexhe, Mainen & Sejnowski 1998 (destexhe98.py)"
PARAMETERS = {
    "mg_mm": Parameter(1.0, "mM", 0.0, 10.0, False, "chosen: physiological"),
    "mg_per_mv": Parameter(0.062, "1/mV", 0.0, 1.0, False, SOURCE),
}
HALF_MM = 3.57


def nmda(inner: Synapse) -> Synapse:
    """Rung S5: the unblocked part of a rung's conductance at the target's potential.

    inner: a rung whose output is a conductance, before `conductance`.

    >>> from retina.circuit.synapses.double_exponential import double_exponential
    >>> sorted(nmda(double_exponential(1, 0.001, "nmda")).parameters)
    ['mg_mm', 'mg_per_mv', 'tau_d_s', 'tau_r_s']
    """

    def gated(view):
        def through(params, state, pre, post_mv):
            state, g = view(params, state, pre, post_mv)
            blocked = jnp.exp(-params["mg_per_mv"] * post_mv)
            return state, g / (1 + params["mg_mm"] / HALF_MM * blocked)

        return view and through

    def init(key):
        values = {n: jnp.float32(p.value) for n, p in PARAMETERS.items()}
        return inner.init(key) | values

    return inner._replace(
        init=init,
        step=gated(inner.step),
        on_rate=gated(inner.on_rate),
        parameters={**inner.parameters, **PARAMETERS},
        hears_post=True,
        about=("nmda", inner.about),
    )
