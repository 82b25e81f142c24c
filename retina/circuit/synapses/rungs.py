"""Rungs by which a graded cell releases, under the names that models take.

The keyword `rung` of `ribbon_ln` and `subunit_ribbon` and `release` of `circuit` mean
the same by the same word, from the foot of the ladder up:

    static              S0, `delta`: no state, what opens is released
    exponential         S1: one leak at the target
    alpha               S3: two in a row
    double_exponential  S3b without its driving force: a rise and a decay
    conductance         S2: `exponential` onto a passive compartment
    nmda                S5: `double_exponential` with a magnesium block, onto one
    tsodyks_markram     S4: facilitation and depletion, the means over events
    depletion           one pool, the graded form of S4 without facilitation
    fast_kinetic        three states
    kinetic             S6: the same with a slow reserve, a fourth
    ribbon_cycle        S7: four pools
    ribbon_quanta       S8: docked and waiting vesicles, the mean of what is drawn
    markov_8, _16, _32  S10: so many states in a row, by the chance of each

A release is graded: rungs that are driven by events hear them come at the rate that the
gate gives (`Synapse.on_rate`, or the equations of the mean in the rung's file). Their
price is then one of steps: per event, FLOPs per step over the events in a step. What
they cost event by event is counted too (`price`), and is another number.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax

from retina.circuit.synapses import ribbon_quanta as quanta
from retina.circuit.synapses.alpha import alpha
from retina.circuit.synapses.compartment import compartment
from retina.circuit.synapses.delta import delta
from retina.circuit.synapses.depletion import depletion
from retina.circuit.synapses.double_exponential import double_exponential
from retina.circuit.synapses.exponential import exponential
from retina.circuit.synapses.kinetic import kinetic
from retina.circuit.synapses.markov import USUAL_HZ, markov
from retina.circuit.synapses.nmda import nmda
from retina.circuit.synapses.ribbon_cycle import ribbon_cycle
from retina.circuit.synapses.synapse import Synapse
from retina.circuit.synapses.tsodyks_markram import tsodyks_markram
from retina.parameter import Parameter


class Rung(NamedTuple):
    """A rung, and what a cell whose drive is of size about 1 gives it.

    make: (count, dt_s) -> Synapse; None for no synapse.
    gate: of `GATES`, from drive to what the rung hears.
    bias: of the drive, to begin with: low enough that pools hold out.
    loud: by how much what is released is smaller than a rate.
    drawn: likewise a Synapse of the same parameters that releases whole vesicles at
          random, for simulation; None where there is none.
    """

    make: Callable[[int, float], Synapse] | None
    gate: str
    bias: float
    loud: float
    drawn: Callable[[int, float], Synapse] | None = None


def _calcium(v: jax.Array) -> jax.Array:
    half, slope = (quanta.PARAMETERS[n].value or 0.0 for n in ("half", "slope"))
    return half + v * (1 / slope)


def _events(v: jax.Array) -> jax.Array:
    return 10 * jax.nn.softplus(v)  # USUAL_HZ at 0


# A softplus where the rung has no ceiling of its own; sites that are open; a potential
# about a ribbon's -35 mV; calcium about its half activation; events per second.
GATES: dict[str, Callable[[jax.Array], jax.Array]] = {
    "rate": jax.nn.softplus,
    "events": _events,
    "fraction": jax.nn.sigmoid,
    "mv": lambda v: 5 * v - 35,
    "calcium": _calcium,
}
# The least and the greatest that a gate gives; the others give anything.
SPANS = {"rate": (0.0, math.inf), "events": (0.0, math.inf), "fraction": (0.0, 1.0)}
# AMPA's 3 ms are over within a bin of a 30-Hz recording and leave nothing to learn;
# longer than this, and the start is not forgotten within what is cut off before a fit.
TAU = Parameter(0.03, "s", 0.001, 0.6, source="chosen: about a frame of 30 Hz")
LONGEST_S = 2.0  # as of `depletion`


def _leaky(count: int, dt_s: float) -> Synapse:
    return exponential(count, dt_s, TAU)


def _two_leaks(count: int, dt_s: float) -> Synapse:
    return alpha(count, dt_s, TAU)


def _rise_and_decay(count: int, dt_s: float) -> Synapse:
    return double_exponential(count, dt_s, "nmda", 20.0)


def _conductance(count: int, dt_s: float) -> Synapse:
    return compartment(_leaky(count, dt_s))


def _blocked(count: int, dt_s: float) -> Synapse:
    return compartment(nmda(_rise_and_decay(count, dt_s)), 20.0)


def _plastic(count: int, dt_s: float) -> Synapse:
    return tsodyks_markram(delta(count, dt_s), mean=True, longest_s=LONGEST_S)


def _states(states: int) -> Rung:
    make = functools.partial(markov, states=states, timed=True)
    return Rung(make, "events", 0.0, 1 / USUAL_HZ)


RUNGS = {
    "static": Rung(None, "rate", 0.0, 1.0),
    "exponential": Rung(_leaky, "events", 0.0, 3.0),
    "alpha": Rung(_two_leaks, "events", 0.0, 1.0),
    "double_exponential": Rung(_rise_and_decay, "events", 0.0, 2.0),
    "conductance": Rung(_conductance, "events", 0.0, 0.05),
    "nmda": Rung(_blocked, "events", 0.0, 0.05),
    "tsodyks_markram": Rung(_plastic, "events", 0.0, 3.0),
    "depletion": Rung(depletion, "rate", 0.0, 1.0),
    "fast_kinetic": Rung(
        functools.partial(kinetic, reserve=False), "fraction", -1.0, 5.0
    ),
    "kinetic": Rung(kinetic, "fraction", -1.0, 5.0),
    "ribbon_quanta": Rung(
        functools.partial(quanta.ribbon_quanta, mean=True),
        "calcium",
        -3.0,
        5.0,
        quanta.ribbon_quanta,
    ),
    "ribbon_cycle": Rung(ribbon_cycle, "mv", -2.0, 0.5),
    "markov_8": _states(8),
    "markov_16": _states(16),
    "markov_32": _states(32),
}
