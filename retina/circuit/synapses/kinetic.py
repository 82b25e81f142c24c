"""Four-state kinetics as a rung: release that depletes a fast and a slow pool."""

from __future__ import annotations

from retina.circuit.kinetics import kinetics, substeps_of
from retina.circuit.synapses.synapse import Synapse


def kinetic(
    count: int, dt_s: float, *, reserve: bool = True, method: str = "euler"
) -> Synapse:
    """Rung S6, graded. Pre: activation in [0, 1]; out: the active fraction.

    count, dt_s: see `Synapse`. Equations and source: `retina.circuit.kinetics`.
    reserve:     False: the fast pool alone, three states.
    method:      euler or implicit, see there.

    >>> from retina.circuit.synapses.price import price
    >>> price(kinetic(1, 0.001)).step.flops
    19
    """
    stage = kinetics(count, dt_s, reserve=reserve, method=method)
    told = (() if reserve else ("fast",)) + (() if method == "euler" else (method,))
    return Synapse(
        count,
        dt_s,
        init=stage.init,
        start=stage.start,
        step=lambda params, state, pre, post_mv: stage.step(params, state, pre),
        on_event=None,
        parameters=stage.parameters,
        about=("kinetic", *told),
        burn_in_s=stage.burn_in_s,
        hears=(0.0, 1.0),
        substeps=substeps_of(dt_s, reserve),
    )
