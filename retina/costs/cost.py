"""The verb `cost`: what one model costs, per bin, second, cell, spike and synapse."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from retina.circuit.declaration import fan_in, synapses
from retina.clocks import period
from retina.costs.among_cells import among_cells
from retina.costs.bits import DENSE
from retina.costs.clocks import one_bin, per_bin, rates_hz
from retina.costs.counts import WEIGHTS, Counts
from retina.costs.denominators import NO_CLAIM, Denominator, stands_for
from retina.costs.sparse import dropped_macs
from retina.costs.wiring import wire_um, wiring
from retina.errors import BadSetting, at_least_one
from retina.stage import Model
from retina.types import GRADED, Cost, Interval, Split

Tree = Any

RUNS = 100  # sampled histories behind one free-running rate

_JSON = (
    "flops_per_bin flops_per_s flops_per_s_per_cell flops_per_s_alone "
    "flops_per_s_marginal flops_per_spike flops_per_bit "
    "flops_per_synaptic_event flops_per_s_per_synapse total_ops_per_bin params "
    "param_bytes state_bytes bytes_per_bin fan_in depth transcendentals_per_bin "
    "sparse_flops_per_bin bit_operations_per_bin"
).split()


def cost(
    model: Model,
    params: Tree,
    split: Split | None = None,
    *,
    spikes: float | None = None,
    species: str | None = None,
    runs: int | None = None,
) -> Cost:
    """What a model costs, counted on the very step that its scores come from.

    params:  its parameters, or their shapes.
    split:   gives the recorded spikes of the test clips, the stimulus as it is stored,
             the species and the cells. Without it the per-spike figures are None.
    spikes:  recorded spikes per second, summed over cells, in place of the split's.
    species: in place of the split's; without either, what the card says that has the
             name of the data set.
    runs:    of the model side by side, whose mean rate is what is wanted: the work,
             the traffic and the state of each are charged, per bin as per second. By
             default as many as its score takes: RUNS where a model hears its own
             counts, else 1.
    raises:  UncountedPrimitive for a step that has no exact cost.

    >>> from retina import build
    >>> from retina.types import Spec
    >>> mean = build.model("mean", Spec(frame=(8, 8), cells=3, bin_s=0.01))
    >>> cost(mean, mean.stage.init(jax.random.key(0))).flops_per_bin
    0
    """
    if spikes is not None and not spikes > 0:
        raise BadSetting(
            f"spikes is {spikes:g} per second; give the recorded rate summed over "
            "cells, above 0, or leave it out"
        )
    at_least_one(runs=runs)
    runs = runs_of(model) if runs is None else runs
    spec = model.spec if split is None else split.spec
    stored = _stored(split)
    one = one_bin(model, params, stored)
    work, held, wired = one.work, one.memory, wiring(one.step)
    clocks = dict(one.clocks)
    if model.stage.uses_response:
        clocks["bin"] += heard(spec.cells)
    clocks = {name: runs * counts for name, counts in clocks.items()}
    every = per_bin(clocks, rates_hz(model))
    per_second = 1.0 / spec.bin_s
    flops_per_s = every.flops * per_second
    per_cell = flops_per_s / spec.cells
    alone, marginal, sharing = among_cells(model, params, every.flops, stored, runs)
    if spikes is None and spec.event != GRADED:
        spikes = None if split is None else recorded_rate(split)
    worth = stands_for(spec.dataset, species, split, spec.event)
    full_field = math.prod(spec.frame) == 1
    return Cost(
        model=model.name,
        dataset=spec.dataset,
        flops_per_bin=every.flops,
        flops_per_s=flops_per_s,
        flops_per_s_per_cell=per_cell,
        flops_per_s_alone=None if alone is None else alone * per_second,
        flops_per_s_marginal=None if marginal is None else marginal * per_second,
        flops_per_spike=flops_per_s / spikes if spikes else None,
        flops_per_synaptic_event=_per(per_cell, worth.events_per_s),
        flops_per_s_per_synapse=_per(per_cell, worth.synapses),
        total_ops_per_bin=every.total_ops,
        params=held.params,
        param_bytes=held.param_bytes,
        state_bytes=runs * held.state_bytes,
        bytes_per_bin=runs * held.bytes_per_bin,
        fan_in=work.fan_in,
        depth=work.depth,
        transcendentals_per_bin=every.transcendentals,
        counts={**clocks, "setup": work.setup},
        rates_hz=rates_hz(model),
        by_part={part: c.as_dict() for part, c in every.by_part.items()},
        notes=(
            *_clocks_note(one.clocks, period(model.stage)),
            *_runs_note(runs, work.step.flops),
            _weights_note(every.flops_with, work.setup.flops),
            sharing,
            *_declared_note(model),
            *_synapse_notes(worth, full_field),
        ),
        fan_ins=wired.fan_in,
        fan_outs=wired.fan_out,
        wire_um=None if model.circuit is None else wire_um(model.circuit),
        event=spec.event,
        synapse_claims=not full_field,
        **_other_machines(model, params, stored, every, runs),
    )


def _other_machines(
    model: Model, params: Tree, stored: Any, every: Counts, runs: int
) -> dict[str, Any]:
    """Figures of machines that are not one of dense float32 products."""
    found = {
        "sparse_flops_per_bin": every.flops,
        "bit_operations_per_bin": DENSE * every.macs,
    }
    if _has_zeros(params) or (model.columns and _are_numbers(params)):
        dropped = dropped_macs(model, params, stored)
        found["sparse_flops_per_bin"] -= 2 * runs * dropped
    if model.columns is not None:
        own = model.columns(params, stored)
        found |= {name: runs * figure for name, figure in own.items()}
    return found


def _are_numbers(params: Tree) -> bool:
    return not any(
        isinstance(leaf, jax.ShapeDtypeStruct) for leaf in jax.tree.leaves(params)
    )


def _has_zeros(params: Tree) -> bool:
    """Whether an array of weights, or of what is kept of them, holds a zero.

    A quick answer: without one, nothing has to be computed to see what is skipped.
    """
    return _are_numbers(params) and any(
        leaf.ndim > 1
        and (leaf.dtype == bool or jnp.issubdtype(leaf.dtype, jnp.floating))
        and not bool(jnp.all(leaf))
        for leaf in jax.tree.leaves(params)
    )


def runs_of(model: Model) -> int:
    """How many runs of a model its score is the mean of, and its cost the sum of."""
    return RUNS if model.stage.uses_response else 1


def heard(cells: int) -> Counts:
    """Drawing the counts that one run of a model hears of itself: a number per cell."""
    return Counts(randoms=cells).within("random_bits", "sampled counts")


def as_json(cost: Cost) -> dict[str, Any]:
    """The figures of `retina cost --json`: these keys do not change.

    A model on two clocks has one more, `by_clock`.

    >>> from retina import build
    >>> from retina.types import Spec
    >>> mean = build.model("mean", Spec(frame=(8, 8), cells=3, bin_s=0.01))
    >>> as_json(cost(mean, mean.stage.init(jax.random.key(0))))["params"]
    3
    """
    figures = {key: getattr(cost, key) for key in _JSON}
    step = per_bin(cost.counts, cost.rates_hz)
    clocks = {
        name: {"rate_hz": rate, **cost.counts[name].as_dict()}
        for name, rate in cost.rates_hz.items()
    }
    return {
        **{
            key: dataclasses.asdict(value) if isinstance(value, Interval) else value
            for key, value in figures.items()
        },
        "by_part": cost.by_part,
        "by_primitive": {k: c.as_dict() for k, c in step.by_primitive.items()},
        "by_kind": step.as_dict(),
        "setup": cost.counts["setup"].as_dict(),
        "flops_per_bin_with": {str(w): step.flops_with(w) for w in WEIGHTS},
        "arithmetic_intensity": cost.arithmetic_intensity,
        "parallel_width": cost.parallel_width,
        "connections": cost.connections,
        "fan_ins": cost.fan_ins,
        "fan_outs": cost.fan_outs,
        "wire_um": cost.wire_um,
        **({"by_clock": clocks} if len(clocks) > 1 else {}),
    }


def recorded_rate(split: Split) -> float:
    """Recorded spikes per second of the scored test bins, summed over cells.

    The same for every model: none gets cheaper by firing more.
    """
    total = seconds = 0.0
    for clip in split.test:
        total += float(clip.response[:, clip.skip :].sum(dtype="float64"))
        seconds += len(clip.response) * clip.bins * split.spec.bin_s
    return total / seconds if seconds else 0.0


def _stored(split: Split | None) -> Any:
    if split is None:
        return None
    clips = (*split.test, *split.train, *split.validation)
    return clips[0].stimulus.dtype if clips else None


def _per(flops: float, range_: Interval | None) -> Interval | None:
    """The dearest figure goes with the fewest synapses."""
    return range_ and Interval(flops / range_.high, flops / range_.low)


def _weights_note(flops_with: Callable[[int], float], setup: int) -> str:
    one, ten, twenty = (round(flops_with(weight), 1) for weight in WEIGHTS)
    return (
        f"FLOPs per bin with a transcendental as 1, 10 or 20: {one:,}, {ten:,}, "
        f"{twenty:,}; setup, once: {setup:,} FLOPs"
    )


def _clocks_note(clocks: Mapping[str, Counts], each: int) -> tuple[str, ...]:
    if len(clocks) == 1:
        return ()
    (_, every), (slow, more) = clocks.items()
    return (
        f"two clocks: one run takes {every.flops:,} FLOPs every bin and {more.flops:,} "
        f"more once per {slow} of {each} bins; figures per bin are the mean of {each} "
        "bins, but depth is that of the dearest",
    )


def _runs_note(runs: int, flops: float) -> tuple[str, ...]:
    if runs == 1:
        return ()
    return (
        f"{runs} sampled runs, each charged in every figure: one alone takes "
        f"{round(flops, 1):,} FLOPs per bin; the counts that a run hears are a random "
        "draw per cell and bin; not included: the search that makes a count of a draw, "
        "of no fixed length, and the mean over the runs",
    )


def _declared_note(model: Model) -> tuple[str, ...]:
    """Synapses that a circuit declares; they stand for many more of a retina."""
    if model.circuit is None:
        return ()
    each, output = fan_in(model.circuit), model.circuit.output
    targets = {n: target for n, (_, target, _) in synapses(model.circuit).items()}
    total = sum(number * targets[name].cells for name, number in each.items())
    onto = sum(n for name, n in each.items() if targets[name].name == output)
    return (
        f"the circuit declares {onto:,.0f} synapses onto one {output} "
        f"cell and {total:,.0f} in all: "
        + ", ".join(f"{name} {number:,.0f}" for name, number in each.items())
        + "; the per-synapse figures divide by the recording's, as of every model",
    )


def _synapse_notes(worth: Denominator, full_field: bool) -> tuple[str, ...]:
    if worth.synapses is None and worth.events_per_s is None:
        return worth.notes
    notes = [
        *worth.notes,
        "synapses are those onto the ganglion cell; those before it, which the model "
        "also replaces, are not counted: the per-synapse figures are upper bounds",
        "the per-spike and per-synapse figures divide by constants of the recording: "
        "they cannot change the order of its models",
    ]
    if full_field:
        notes.insert(0, NO_CLAIM)
    return tuple(notes)
