"""The interface of every rung: what a time step does, and what one event does."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from retina.errors import BadSetting
from retina.parameter import Parameter

Params = Any
State = Any


class Event(NamedTuple):
    """One presynaptic spike, or one released quantum, at each synapse.

    amount: the synapse's weight times the rung's `scale`: what it adds to the target.
    time_s: when; the same clock for all events of a synapse.
    """

    amount: Any
    time_s: Any


# Pools of vesicles have no slowest time constant: any rate may be fitted down to almost
# 0, where a pool keeps its start for ever. At the rates they start from, 5 % of it is
# left after 1 s (tests/circuit); this leaves room for a fit ten times slower.
# `depletion` has a bound, and the states of `kinetic` a time of their own.
POOLS_S = 10.0


def _one(params: Params) -> float:
    return 1.0


def _same(state: State, dt_s: float) -> State:
    return state


class Synapse(NamedTuple):
    """`count` synapses of one kind, side by side.

    count:      how many; every state is (count,) or (count, ...).
    dt_s:       length of a time step.
    init:       key -> params, a flat dict.
    start:      (params, key=None) -> state, at rest.
    step:       (params, state, pre, post_mv) -> (state, out), one time step. pre is the
                presynaptic drive of a graded rung; post_mv the potential of the target;
                out is a current in pA, or a conductance in nS, or what the file says.
    on_event:   (params, state, Event) -> state; None for a graded rung, which hears
                `pre` in every step.
    parameters: tree of Parameter, parallel to params.
    about:      hashable name and settings.
    burn_in_s:  time for the slowest state to forget its start.
    linear:     events add up, so that all synapses onto one compartment may share one
                state: events of all of them are added to it.
    on_rate:    (params, state, rate, post_mv) -> (state, out), of a linear rung one
                time step in which events come at a rate, weight x events per second;
                exact at any step, out the mean over it. In place of `on_event` and
                `step`: a state is moved by events or by rates, never by both.
    scale:      params -> amount whose response peaks at 1.
    older:      (state, dt_s) -> state with the times of past events moved back, so that
                the present is always 0: for time steps without end.
    hears_post: whether out depends on post_mv.
    hears:      (least, greatest) pre of a graded rung; its equations hold no further.
    substeps:   turns of a loop inside `step`.
    clip:       `step` over a whole clip, pre and out (time, count), where that has a
                faster form.
    """

    count: int
    dt_s: float
    init: Callable[..., Params]
    start: Callable[..., State]
    step: Callable[[Params, State, Any, Any], tuple[State, Any]]
    on_event: Callable[[Params, State, Event], State] | None
    parameters: Mapping[str, Parameter]
    about: tuple
    burn_in_s: float
    linear: bool = False
    on_rate: Callable[[Params, State, Any, Any], tuple[State, Any]] | None = None
    scale: Callable[[Params], Any] = _one
    older: Callable[[State, float], State] = _same
    hears_post: bool = False
    hears: tuple[float, float] = (-math.inf, math.inf)
    substeps: int = 1
    clip: Callable[[Params, State, Any, Any], tuple[State, Any]] | None = None


def at_dt(name: str, dt_s: float) -> None:
    """Exact recursions take any time step; it must be one.

    raises: BadSetting.
    """
    if not 0 < dt_s < math.inf:
        raise BadSetting(f"{name}: dt_s {dt_s:g} s; give a time above 0")
