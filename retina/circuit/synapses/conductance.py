"""Conductance synapse: the driving force of the target, I = g (E - V)."""

from __future__ import annotations

import jax.numpy as jnp

from retina.circuit.synapses.synapse import Synapse
from retina.parameter import Parameter

GLUTAMATE_MV, CHLORIDE_MV = 0.0, -65.0


def conductance(inner: Synapse, reversal_mv: float = GLUTAMATE_MV) -> Synapse:
    """Any rung whose output is a conductance in nS, made a current in pA.

    inner:       the rung; its state may be shared only by synapses with this reversal.
    reversal_mv: 0 mV for glutamate, about -65 mV for chloride.

    >>> from retina.circuit.synapses.exponential import exponential
    >>> conductance(exponential(1, 0.001)).about
    ('conductance', 0.0, ('exponential',))
    """
    described = Parameter(
        reversal_mv, "mV", -120.0, 60.0, False, "recalled: glutamate 0, Cl -60 to -70"
    )

    def driving(view):
        def through(params, state, pre, post_mv):
            state, g = view(params, state, pre, post_mv)
            return state, g * (params["reversal_mv"] - post_mv)

        return view and through

    return inner._replace(
        init=lambda key: inner.init(key) | {"reversal_mv": jnp.float32(reversal_mv)},
        step=driving(inner.step),
        on_rate=driving(inner.on_rate),
        parameters={**inner.parameters, "reversal_mv": described},
        hears_post=True,
        about=("conductance", reversal_mv, inner.about),
    )
