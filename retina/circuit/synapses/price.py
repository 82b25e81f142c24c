"""What a rung costs: per time step, and per event. Counted, never written down."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from retina.circuit.synapses.synapse import Event, Synapse
from retina.costs.counts import Counts
from retina.costs.program import trace
from retina.costs.walk import walk


@dataclasses.dataclass(frozen=True)
class Price:
    """Counts of all `count` synapses of a rung.

    step:        one time step. Adding the output to the target's other inputs is the
                 target's, one add a compartment, and not in here.
    event:       one event at each synapse; nothing for a graded rung.
    state_bytes: of the state that stays from step to step.
    """

    step: Counts
    event: Counts
    state_bytes: int

    def per_event(
        self, rate_hz: float, dt_s: float, sharing: int = 1, weight: int = 10
    ) -> float:
        """FLOPs per spike through a synapse: event + step / (rate x dt x sharing).

        rate_hz: events of one synapse per second.
        dt_s:    time step.
        sharing: synapses that share one state.
        weight:  FLOPs of a transcendental.

        >>> Price(Counts(multiplies=5), Counts(adds=2), 8).per_event(10, 0.001, 500)
        3.0
        """
        steps = 1 / (rate_hz * dt_s * sharing)
        return self.event.flops_with(weight) + self.step.flops_with(weight) * steps


def price(synapse: Synapse) -> Price:
    """Count a rung's `step` and `on_event`; what parameters alone decide is free.

    >>> from retina.circuit.synapses.exponential import exponential
    >>> price(exponential(1, 0.001)).step.flops
    1
    """
    params = jax.eval_shape(synapse.init, jax.random.key(0))
    state = jax.eval_shape(synapse.start, params)
    each = jax.ShapeDtypeStruct((synapse.count,), jnp.float32)
    now = jax.ShapeDtypeStruct((), jnp.float32)

    def late(fn, *args) -> Counts:
        program = trace(fn, params, *args)
        constant = len(jax.tree.leaves(params))
        return walk(program, program.inputs[constant:]).step

    hear = synapse.on_event
    return Price(
        late(synapse.step, state, each, each),
        Counts() if hear is None else late(hear, state, Event(each, now)),
        sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state)),
    )
