"""Where a fit first stopped being finite: step, block, bin, part and parameter.

The parameters before the event are run again on the clips that it happened on, part by
part: forward until one gives a number that is not finite, then backward until a slope
is not.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from retina.clocks import between
from retina.fitting.clips import Table, at_hand, cut
from retina.fitting.loss import nats
from retina.stage import Model, Params, Signal, Stage, Tree
from retina.types import Clip

HUGE = 1e18  # its square is infinite in float32


@dataclasses.dataclass(frozen=True)
class Blame:
    """What was found; a field that nothing is known of is empty, or -1.

    step:      optimiser steps taken before the one that failed.
    block, trial, bin: of the recording; the bin counts from the block's first.
    part:      of the model, and what it did there: "gave inf" or "has a slope of nan".
    parameter: the first of that part whose slope is not finite, or else of the
               penalty, with its value (of the first entry that is not) and unit.
    """

    step: int
    block: str = ""
    trial: int = -1
    bin: int = -1
    part: str = ""
    did: str = ""
    parameter: str = ""
    value: float = 0.0
    unit: str = ""

    def __str__(self) -> str:
        said = f"after {self.step} steps"
        if self.part:
            said += (
                f", in bin {self.bin} of block {self.block!r} (trial {self.trial}), "
                f"{self.part!r} {self.did}"
            )
        else:
            said += (
                ", every rate and slope of the model is finite, its penalty or its "
                "training pass is not"
            )
        if self.parameter:
            unit = "" if self.unit == "1" else f" {self.unit}"
            said += (
                f", and the slope of {self.parameter}, then {self.value:.4g}{unit}, "
                "is not finite"
            )
        return said


@dataclasses.dataclass(frozen=True)
class Found:
    """In one clip: a part, its bin within the clip, what it did, and its slopes.

    node: of a circuit, where a number was lost first; else "".
    """

    part: str
    bin: int
    did: str
    slopes: Tree
    node: str = ""


def blame(
    model: Model,
    table: Table,
    clips: Sequence[Clip],
    null_rate: np.ndarray,
    params: Params,
    first: np.ndarray,
    step: int,
) -> Blame:
    """Look through clips, in order, for the first number that is not finite.

    clips:  that the table was made of.
    params: the last that were finite, of one seed.
    first:  (clip, 2) rows of the table that the step was taken on.
    step:   how many steps came before.
    """
    null = jnp.asarray(null_rate, jnp.float32)
    for row in np.asarray(first):
        shown, at = at_hand(table, np.asarray(row))
        signal, counts = cut(model, shown, table.counts, at, table.lead, table.bins)
        found = within(model, params, signal, counts, null, table.lead)
        if found is None:
            continue
        block, trial, begin = origin(clips, row)
        name, value, unit = _parameter(model, params, found)
        return Blame(
            step,
            block,
            trial,
            begin + found.bin,
            found.part,
            found.did,
            name,
            value,
            unit,
        )
    lost = "", 0.0, ""
    if model.penalty is not None:
        slopes = jax.grad(model.penalty, allow_int=True)(params)
        lost = _lost(slopes, model.stage.parameters, params)
    return Blame(step, parameter=lost[0], value=lost[1], unit=lost[2])


def within(
    model: Model, params: Params, signal: Signal, counts, null, lead: int
) -> Found | None:
    """The first part of a model, in one clip, whose output or slope is not finite."""
    stage = model.stage
    x, heard = signal if stage.uses_response else (signal, None)
    total = len(x)
    parts = stage.parts or (("", stage),)
    backs: list[tuple[str, Any]] = []
    for name, part in parts:
        own = params[name] if name else params

        def run(own, x, part=part, name=name):
            x = between(model, name, x)
            given = (x, heard) if part.uses_response else x
            return part.apply(own, part.start(own), given)[1]

        seen = x
        x, back = jax.vjp(run, own, x)
        backs.append((name or stage.name, back))
        at = _first(x)
        if at is not None:
            bin, value = at[0] * (total // len(x)), at[1]
            slopes = back(jnp.ones_like(x))[0]
            given = between(model, name, seen), heard
            until = jax.tree.map(lambda a, end=at[0] + 1: a[:end], given)
            node = _node(part, own, until if part.uses_response else until[0])
            return Found(name or stage.name, bin, f"gave {value:g}", slopes, node)

    def loss(rate):
        return jnp.sum(nats(rate[lead:], counts, null))

    slope = jax.grad(loss)(x)
    # A slope travels back in time: where it is lost first, it is latest.
    at = _last(slope)
    if at is not None:
        return Found("the loss", at, f"has a slope of {_value(slope, at):g}", {})
    for name, back in reversed(backs):
        slopes, before = back(slope)
        lost = _last(before)
        if lost is not None:
            did = f"has a slope of {_value(before, lost):g}"
            return Found(name, lost * (total // len(before)), did, slopes)
        if any(not np.isfinite(a).all() for a in _floats(slopes)):
            return Found(name, lead, "has parameters whose slope is not finite", slopes)
        slope = before
        if slope.dtype == jax.dtypes.float0:
            return None  # the stimulus as it is stored
    return None


def origin(clips: Sequence[Clip], row: np.ndarray) -> tuple[str, int, int]:
    """Block, trial and bin that a clip of a table begins with: see `clips.tabulate`.

    >>> two = [Clip(n, np.zeros(5), np.zeros((2, 5, 1))) for n in "ab"]
    >>> origin(two, np.array([6, 19]))
    ('b', 1, 1)
    """
    at = heard = 0
    for clip in clips:
        trials, bins = clip.response.shape[:2]
        if row[0] < at + bins:
            begin = int(row[0] - at)
            return clip.name, int((row[1] - heard - begin) // (bins + 1)), begin
        at += bins
        heard += trials * (bins + 1)
    raise ValueError(f"row {row[0]} is beyond the last block")


def _parameter(model: Model, params: Params, found: Found) -> tuple[str, float, str]:
    """Name, value and unit of the first whose slope is not finite."""
    described, values = model.stage.parameters, params
    prefix = model.stage.name
    if model.stage.parts:
        if found.part not in params:
            return "", 0.0, ""
        described, values, prefix = (
            described[found.part],
            params[found.part],
            found.part,
        )
    if not jax.tree.leaves(found.slopes):
        return "", 0.0, ""
    if found.node:
        own = (tree[found.node] for tree in (found.slopes, described, values))
        name, value, unit = _lost(*own)
        if name:
            return f"{prefix}.{found.node}.{name}", value, unit
    name, value, unit = _lost(found.slopes, described, values)
    return f"{prefix}.{name}" * bool(name), value, unit


def _node(part: Stage, params: Params, x: Signal) -> str:
    """Of a part whose state and parameters go by the same names, the first in which a
    number is lost or huge at the end of a clip; they are in the order of hearing."""
    begun = part.start(params)
    if not isinstance(begun, dict):
        return ""
    after, _ = part.apply(params, begun, x)
    for name in begun:
        if name in params and any(
            not np.all(np.abs(leaf) < HUGE) for leaf in _floats(after[name])
        ):
            return name
    return ""


def _lost(slopes: Tree, described: Tree, values: Tree) -> tuple[str, float, str]:
    leaves = jax.tree_util.tree_leaves_with_path(slopes)
    rows = zip(leaves, jax.tree.leaves(described), jax.tree.leaves(values), strict=True)
    for (path, slope), parameter, value in rows:
        if not parameter.trainable or slope.dtype == jax.dtypes.float0:
            continue
        lost = ~np.isfinite(np.asarray(slope))
        if lost.any():
            name = jax.tree_util.keystr(path, simple=True, separator=".")
            return name, float(np.asarray(value)[lost].ravel()[0]), parameter.unit
    return "", 0.0, ""


def _first(x: jax.Array) -> tuple[int, float] | None:
    """If not all is finite: the first bin with such a number, or a huge one."""
    flat = np.asarray(x).reshape(len(x), -1)
    if np.isfinite(flat).all():
        return None
    lost = ~(np.abs(flat) < HUGE)
    bin = int(lost.any(axis=1).argmax())
    return bin, float(flat[bin][lost[bin]][0])


def _last(slope: Any) -> int | None:
    if slope.dtype == jax.dtypes.float0:
        return None
    sound = np.isfinite(np.asarray(slope)).reshape(len(slope), -1).all(axis=1)
    lost = np.flatnonzero(~sound)
    return int(lost[-1]) if lost.size else None


def _value(slope: Any, bin: int) -> float:
    row = np.asarray(slope)[bin].ravel()
    return float(row[~np.isfinite(row)][0])


def _floats(tree: Tree) -> list[np.ndarray]:
    leaves = jax.tree.leaves(tree)
    return [np.asarray(a) for a in leaves if jnp.issubdtype(a.dtype, jnp.floating)]
