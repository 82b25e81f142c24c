"""Rungs by which a graded cell releases, under the names that models take.

The keyword `rung` of `ribbon_ln` and `subunit_ribbon` and `release` of `circuit` mean
the same by the same word, dearer from one to the next:

    static         no state: what opens is released
    depletion      one pool
    fast_kinetic   three states
    kinetic        the same with a slow reserve, a fourth
    ribbon_quanta  docked and waiting vesicles, the mean of what is drawn
    ribbon_cycle   four pools
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax

from retina.circuit.synapses import ribbon_quanta as quanta
from retina.circuit.synapses.depletion import depletion
from retina.circuit.synapses.kinetic import kinetic
from retina.circuit.synapses.ribbon_cycle import ribbon_cycle
from retina.circuit.synapses.synapse import Synapse


class Rung(NamedTuple):
    """A rung, and what a cell whose drive is of size about 1 gives it.

    make: (count, dt_s) -> Synapse; None for no synapse.
    gate: of `GATES`, from drive to what the rung hears.
    bias: of the drive, to begin with: low enough that pools hold out.
    loud: by how much what is released is smaller than a rate.
    """

    make: Callable[[int, float], Synapse] | None
    gate: str
    bias: float
    loud: float


def _calcium(v: jax.Array) -> jax.Array:
    half, slope = (quanta.PARAMETERS[n].value or 0.0 for n in ("half", "slope"))
    return half + v * (1 / slope)


# A softplus where the rung has no ceiling of its own; sites that are open; a potential
# about a ribbon's -35 mV; calcium about its half activation.
GATES: dict[str, Callable[[jax.Array], jax.Array]] = {
    "rate": jax.nn.softplus,
    "fraction": jax.nn.sigmoid,
    "mv": lambda v: 5 * v - 35,
    "calcium": _calcium,
}
RUNGS = {
    "static": Rung(None, "rate", 0.0, 1.0),
    "depletion": Rung(depletion, "rate", 0.0, 1.0),
    "fast_kinetic": Rung(
        functools.partial(kinetic, reserve=False), "fraction", -1.0, 5.0
    ),
    "kinetic": Rung(kinetic, "fraction", -1.0, 5.0),
    "ribbon_quanta": Rung(
        functools.partial(quanta.ribbon_quanta, mean=True), "calcium", -3.0, 5.0
    ),
    "ribbon_cycle": Rung(ribbon_cycle, "mv", -2.0, 0.5),
}
