"""Rungs of the synapse ladder as nodes of a circuit: terminals and compartments.

A population's output is graded. A rung that is driven by events hears them come at this
rate, exactly, however long the step; a graded rung hears the output itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from retina.circuit.synapses.driven import CLAMP
from retina.circuit.synapses.synapse import Synapse
from retina.errors import BadSetting
from retina.stage import Stage, recurrent


def terminal(
    synapse: Synapse,
    *,
    clamped: bool = True,
    gives: tuple[float, float] | None = None,
) -> Stage:
    """Stage (count,) -> (count,): a source's output, at least 0, to what a rung gives.

    clamped: the target is held at -60 mV. False: what comes in is a pair, the source's
             output and the target's potential in mV, which a conductance follows.
    gives:   (least, greatest) output of the source: of what a graded rung does not
             hear (`Synapse.hears`) it hears the nearest that it does. None: nothing
             else comes.

    raises: BadSetting for a rung that is driven by events which do not add up.

    >>> from retina.circuit.synapses.exponential import exponential
    >>> stage = terminal(exponential(1, 0.001))
    >>> params = stage.init(jax.random.key(0))
    >>> y = stage.apply(params, stage.start(params), jnp.full((50, 1), 1000.0))[1]
    >>> round(float(y[-1, 0]), 2)  # 1000 events/s, each of 1, lasting 3 ms
    3.0
    """
    if synapse.on_event is not None and synapse.on_rate is None:
        raise BadSetting(
            f"{synapse.about[0]}: its state moves with each spike, and a population "
            "gives a rate; take a graded rung (kinetic, ribbon_cycle) in its place"
        )
    held = float(CLAMP.value or 0.0)
    (least, greatest), (low, high) = synapse.hears, gives or synapse.hears
    cut = low < least or high > greatest
    told = (() if clamped else ("followed",)) + (("cut",) if cut else ())

    def within(x):
        x = jnp.maximum(x, least) if low < least else x
        return jnp.minimum(x, greatest) if high > greatest else x

    def step(params, state, x):
        x, post_mv = (x, held) if clamped else x
        if synapse.on_rate is None:
            return synapse.step(params, state, within(x), post_mv)
        return synapse.on_rate(params, state, jnp.maximum(x, 0), post_mv)

    stage = recurrent(
        step,
        start=synapse.start,
        init=synapse.init,
        parameters=dict(synapse.parameters),
        burn_in_s=synapse.burn_in_s,
        substeps=synapse.substeps,
        about=("terminal", synapse.about, synapse.count, synapse.dt_s, *told),
    )
    clip = synapse.clip
    if clip is None or not clamped:
        return stage
    return stage._replace(apply=lambda params, s, x: clip(params, s, within(x), held))


def shared(
    make: Callable[[int, float], Any], types: int
) -> Callable[[int, float], Any]:
    """A rung, or dynamics, whose cells of one type have their parameters in common.

    make:    (cells, dt_s) -> Synapse or Stage with parameters of one value a cell.
    types:   the cells are so many types, each of equally many places.
    returns: the same with parameters of one value a type.

    >>> from retina.circuit.synapses.kinetic import kinetic
    >>> synapse = shared(kinetic, 2)(6, 0.005)
    >>> synapse.init(jax.random.key(0))["k_a"].shape, synapse.count
    ((2,), 6)
    """

    def made(cells: int, dt_s: float) -> Any:
        if cells % types:
            raise BadSetting(f"shared: {cells} cells cannot be {types} like types")
        few, whole = make(types, dt_s), make(cells, dt_s)
        places = cells // types
        # What both have alike, a number for all or one a state, belongs to no cell.
        shapes = (jax.eval_shape(s.init, jax.random.key(0)) for s in (few, whole))
        owned = jax.tree.map(lambda a, b: a.shape != b.shape, *shapes)

        def wide(params):
            return jax.tree.map(
                lambda v, own: jnp.repeat(v, places) if own else v, params, owned
            )

        views = {
            name: (lambda params, *rest, view=view: view(wide(params), *rest))
            for name, view in (
                (name, getattr(whole, name, None))
                for name in (
                    "start",
                    "step",
                    "apply",
                    "clip",
                    "on_event",
                    "on_rate",
                    "scale",
                )
            )
            if view is not None
        }
        return whole._replace(
            init=few.init,
            parameters=few.parameters,
            about=("shared", types, whole.about),
            **views,
        )

    return made


def contract() -> list[tuple[Stage, tuple[int, ...]]]:
    from retina.circuit.synapses.alpha import alpha
    from retina.circuit.synapses.kinetic import kinetic

    rungs = (
        alpha(2, 0.01),
        shared(kinetic, 2)(4, 0.005),
    )
    return [(terminal(rung), (rung.count,)) for rung in rungs]
