"""A Stage of any rung: synapses under voltage clamp, driven step by step.

The current (or conductance, or glutamate) that a train of spikes or a presynaptic
potential gives at a held potential, which is how synapses are recorded.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from retina.circuit.synapses.synapse import Event, Synapse
from retina.errors import BadSetting, at_least_one
from retina.parameter import Parameter
from retina.stage import Stage, chain, memoryless, recurrent

CLAMP = Parameter(-60.0, "mV", -120.0, 60.0, False, "chosen")


def driven(
    synapse: Synapse, *, weight: float = 1.0, sources: int | None = None
) -> Stage:
    """Stage (count,) -> (count,): events in a step, or drive of a graded rung, to out.

    weight:  every synapse's to begin with, in nS, pA or mV as the rung has it.
    sources: number of inputs that share each state: the stage is (sources,) ->
             (count,) and the weights are (sources, count). Linear rungs only.
    raises:  BadSetting where a rung's state cannot be shared.

    Events are numbers, as counts of spikes. x in a step are one event of x times the
    weight: exact for a linear rung, which takes any x. Any other hears them where x is
    above 0, as a volley: it passes on x times as much, and its own state moves once.

    >>> from retina.circuit.synapses.exponential import exponential
    >>> stage = driven(exponential(1, 0.003))
    >>> params = stage.init(jax.random.key(0))
    >>> spike = jnp.array([[1.0], [0.0]])
    >>> stage.apply(params, stage.start(params), spike)[1].ravel().tolist()
    [1.0, 0.3678...]
    """
    at_least_one(sources=sources, count=synapse.count)
    if sources is not None and not synapse.linear:
        raise BadSetting(
            f"{synapse.about[0]}: every synapse has a state of its own, which "
            f"{sources} sources cannot share; leave sources out"
        )
    shape = (synapse.count,) if sources is None else (sources, synapse.count)
    axes = ("synapse",) if sources is None else ("input", "synapse")
    described = {
        **synapse.parameters,
        "weight": Parameter(weight, axes=axes),
        "post_mv": CLAMP,
    }

    def init(key: jax.Array):
        held = {"post_mv": jnp.float32(CLAMP.value)}
        return synapse.init(key) | held | {"weight": jnp.full(shape, weight, "f4")}

    def hear(params, state, x):
        assert synapse.on_event is not None
        each = params["weight"] * synapse.scale(params)
        amount = each * x if sources is None else x @ each
        after = synapse.on_event(params, state, Event(amount, 0.0))
        if synapse.linear:
            return after

        def where_one(new, old):
            # What is not one value a synapse, a random key, moves on regardless.
            return jnp.where(x > 0, new, old) if jnp.shape(new) == x.shape else new

        return jax.tree.map(where_one, after, state)

    def step(params, state, x):
        if synapse.on_event is None:
            state, out = synapse.step(params, state, x, params["post_mv"])
            return state, params["weight"] * out
        state = hear(params, state, x)
        state, out = synapse.step(params, state, x, params["post_mv"])
        return synapse.older(state, synapse.dt_s), out

    return recurrent(
        step,
        start=synapse.start,
        init=init,
        parameters=described,
        burn_in_s=synapse.burn_in_s,
        about=("driven", synapse.about, synapse.count, synapse.dt_s, sources, weight),
    )


def contract() -> list[tuple[Stage, tuple[int, ...]]]:
    from retina.circuit.synapses.alpha import alpha
    from retina.circuit.synapses.conductance import conductance
    from retina.circuit.synapses.double_exponential import double_exponential
    from retina.circuit.synapses.markov import markov
    from retina.circuit.synapses.nmda import nmda
    from retina.circuit.synapses.ribbon_cycle import ribbon_cycle
    from retina.circuit.synapses.ribbon_quanta import ribbon_quanta
    from retina.circuit.synapses.state_machine import state_machine
    from retina.circuit.synapses.tsodyks_markram import tsodyks_markram

    gated = conductance(nmda(double_exponential(2, 0.001, "nmda")))
    plastic = tsodyks_markram(alpha(2, 0.001))
    graded = (markov(2, 0.001, 3), ribbon_quanta(2, 0.01, mean=True))
    # A ribbon is open or shut all the way where the suite's input is.
    millivolt = memoryless(lambda params, x: 5 * x - 35, about=("millivolt",))
    drawn = state_machine(alpha(2, 0.001), 3)
    return [
        (driven(gated, sources=3), (3,)),
        (chain(millivolt, driven(ribbon_cycle(2, 0.001))), (2,)),
        *((driven(rung), (2,)) for rung in (plastic, *graded, drawn)),
    ]
