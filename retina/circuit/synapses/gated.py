"""Gated terminals: a drive of any sign gates release at a rung of the ladder.

    opened = gate(drive + bias),   release = rung(opened)

The drive is of size about 1 (an LN model's filtered stimulus). `gate` is what the rung
expects (`rungs`). Midpoint and slope of a ribbon's own gate stay as published, since
bias and size of the drive say the same.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp

from retina.circuit.synapses.delta import delta
from retina.circuit.synapses.rungs import GATES, RUNGS
from retina.circuit.synapses.synapse import Synapse
from retina.circuit.terminal import terminal
from retina.errors import BadSetting, nearest
from retina.parameter import Parameter
from retina.stage import Stage

# As published the pools of a cycle settle within a bin and leave nothing to learn.
SLOWER = {"e_max": 10, "d_max": 10, "i_max": 50, "r_max": 50}
FIXED = ("slope", "half", "half_mv")


def gated(
    shape: tuple[int, ...],
    bin_s: float,
    rung: str,
    *,
    axis: str = "cell",
    bias: float | None = None,
    drawn: bool = False,
) -> Stage:
    """Stage (*shape) -> (*shape): drives to releases, each from a state of its own.

    shape:  of one input; numbers belong to the last axis and are shared along the
            others: a kind of terminal that stands at many places.
    rung:   a name of `rungs`.
    axis:   what the last axis is, for `Parameter.axes`.
    bias:   at the start; None: as chosen for the rung.
    drawn:  with whole vesicles drawn, of a rung that has such a form.
    raises: BadSetting for another rung.

    >>> stage = gated((3, 2), 0.01, "depletion")
    >>> params = stage.init(jax.random.key(0))
    >>> stage.step(params, stage.start(params), jnp.ones((3, 2)))[1].shape
    (3, 2)
    """
    if rung not in RUNGS:
        raise BadSetting(f"rung {rung!r}: {nearest(rung, RUNGS)}")
    kinds, count = shape[-1], math.prod(shape)
    make = RUNGS[rung].drawn if drawn else RUNGS[rung].make or _static
    if make is None:
        raise BadSetting(f"rung {rung!r} draws no vesicles; give ribbon_quanta")
    synapse = make(count, bin_s)
    release = terminal(synapse)
    bias = RUNGS[rung].bias if bias is None else bias
    described = _described(synapse.parameters, rung, axis) | {
        "bias": Parameter(bias, axes=(axis,))
    }

    def init(key: jax.Array):
        params = {}
        for n, own in make(kinds, bin_s).init(key).items():
            one = described[n]
            # Where a rung draws a number for each, they differ a little.
            value = own if own.ndim else jnp.float32(one.value or 0.0)
            states = own.shape[-1:] if "edge" in one.axes else ()
            params[n] = jnp.broadcast_to(value, (kinds, *states))
        return params | {"bias": jnp.full(kinds, bias, jnp.float32)}

    def spread(params):
        """Every number at every place: (count,), or (count, edge)."""
        return {
            n: jnp.broadcast_to(v, shape + v.shape[1:]).reshape(-1, *v.shape[1:])
            for n, v in params.items()
        }

    def start(params, key=None):
        return _rest(rung, synapse, spread(params), key)

    def step(params, state, drive):
        each = spread(params)
        pre = _pre(rung, each, drive.reshape(-1))
        state, out = release.step(each, state, pre)
        return state, out.reshape(shape)

    def apply(params, state, drive):
        each = spread(params)
        along = {n: v[None] for n, v in each.items()}
        pre = _pre(rung, along, drive.reshape(drive.shape[0], -1))
        state, out = release.apply(each, state, pre)
        return state, out.reshape(-1, *shape)

    return release._replace(
        init=init,
        start=start,
        step=step,
        apply=apply,
        parameters=described,
        about=("terminal", shape, synapse.about, bin_s, bias),
    )


def _static(count: int, dt_s: float) -> Synapse:
    """No synapse: what a `delta` passes on, without the unit of a step."""
    made = delta(count, dt_s)
    return made._replace(
        start=lambda params, key=None: {},
        on_rate=lambda params, state, rate, post_mv: (state, rate),
    )


def _described(parameters: Any, rung: str, axis: str) -> dict[str, Parameter]:
    described = {}
    for n, one in parameters.items():
        edges = ("edge",) if "edge" in one.axes else ()
        one = dataclasses.replace(one, axes=(axis, *edges))
        if n in FIXED:
            one = dataclasses.replace(one, trainable=False)
        elif rung == "ribbon_cycle":
            part = SLOWER[n]
            value, source = (
                (one.value or 0.0) / part,
                f"chosen: 1/{part} of {one.source}",
            )
            one = dataclasses.replace(one, value=value, source=source)
        described[n] = one
    return described


def _pre(rung: str, params: Any, drive: jax.Array) -> jax.Array:
    drive, gate = drive + params["bias"], RUNGS[rung].gate
    if gate in ("rate", "events", "fraction"):
        return GATES[gate](drive)
    return params["half_mv" if gate == "mv" else "half"] + drive / params["slope"]


def _rest(rung: str, synapse: Synapse, params: Any, key: Any) -> Any:
    """A start near where the drive's mean, 0, holds the pools."""
    if rung == "depletion":
        u = jax.nn.softplus(params["bias"])
        return {"filled": 1 / (1 + params["use"] * params["tau_s"] * u)}
    if rung == "ribbon_quanta":
        full = {"docked": params["docked_max"], "ribbon": params["ribbon_max"]}
        return synapse.start(params, key) | full
    return synapse.start(params, key)


def contract() -> list[tuple[Stage, tuple[int, ...]]]:
    # Of rungs that are one form at other sizes, one; alpha is in `terminal`.
    rungs = ("nmda", "tsodyks_markram", "depletion", "fast_kinetic", "kinetic")
    rungs = (*rungs, "ribbon_cycle", "ribbon_quanta", "markov_8")
    return [(gated((2, 3), 0.02, rung), (2, 3)) for rung in rungs]
