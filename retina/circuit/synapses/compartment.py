"""A rung onto a passive compartment of its own, whose potential it hears.

    C dV/dt = g_L (E_L - V) + g(V) (E - V),   out V - E_L

A conductance says more than a current only where the potential moves: what is open
pulls less the closer V is to E, and a magnesium block (`nmda`) lets go as V rises. The
steps are exponential, with g held as the potential before them has it: V never leaves
the span of E_L and E, at any step. Source: the conductance form of any circuit model;
the passive membrane of `retina.circuit.membrane`, whose values it has.
"""

from __future__ import annotations

import math

import jax.numpy as jnp

from retina.circuit.membrane import PARAMETERS as MEMBRANE
from retina.circuit.synapses.conductance import GLUTAMATE_MV
from retina.circuit.synapses.synapse import Synapse
from retina.errors import BadSetting
from retina.parameter import Parameter

PASSIVE = {n: MEMBRANE[n] for n in ("g_leak", "e_leak_mv", "c_nf")}


def compartment(inner: Synapse, weight_ns: float = 7.0) -> Synapse:
    """Graded. Pre: events per second, at least 0; out: depolarisation in mV.

    inner:     a rung whose output is a conductance and which can be driven by a rate.
    weight_ns: of one event, to begin with: a rate stands for all that a terminal
               releases, so that its conductance is of the leak's size.
    raises:    BadSetting for an inner rung without a rate form.

    >>> import jax
    >>> from retina.circuit.synapses.exponential import exponential
    >>> made = compartment(exponential(1, 0.01))
    >>> params = made.init(jax.random.key(0))
    >>> state = made.start(params)
    >>> round(made.step(params, state, jnp.full(1, 1e6), None)[1].item(), 1)  # E - E_L
    60.0
    """
    conduct = inner.on_rate
    if conduct is None:
        raise BadSetting(f"{inner.about[0]} has no rate form; give one that has")
    described = {
        "weight_ns": Parameter(weight_ns, "nS", 0.0, 100 * weight_ns, source="chosen"),
        "reversal_mv": Parameter(GLUTAMATE_MV, "mV", -120.0, 60.0, False, "recalled"),
        **PASSIVE,
    }

    def init(key):
        return inner.init(key) | {n: jnp.float32(p.value) for n, p in described.items()}

    def start(params, key=None):
        rest = jnp.broadcast_to(params["e_leak_mv"], (inner.count,))
        return {"V": rest, "inner": inner.start(params, key)}

    def step(params, state, pre, post_mv):
        v, leak = state["V"], params["g_leak"]
        within, g = conduct(params, state["inner"], params["weight_ns"] * pre, v)
        total = leak + g
        pull = leak * params["e_leak_mv"] + g * params["reversal_mv"]
        goal = pull / total
        v = goal + (v - goal) * jnp.exp(total * (-inner.dt_s / params["c_nf"]))
        return {"V": v, "inner": within}, v - params["e_leak_mv"]

    return Synapse(
        inner.count,
        inner.dt_s,
        init=init,
        start=start,
        step=step,
        on_event=None,
        parameters={**inner.parameters, **described},
        about=("compartment", weight_ns, inner.about),
        burn_in_s=inner.burn_in_s + 1.0,
        hears=(0.0, math.inf),
    )
