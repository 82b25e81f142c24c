"""What a model does on each of its clocks, and the mean over the bins of a frame."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax

from retina.costs.counts import KINDS, Counts
from retina.costs.flops import trace_step
from retina.stage import Model, Tree, chain


def by_clock(
    model: Model, params: Tree, step: Counts, stored: Any = None
) -> dict[str, Counts]:
    """The work of a step, by the clock that asks for it: "bin" and, where some parts
    run once per frame (`retina.clocks`), "frame".

    step:   of a bin with which a frame begins: both clocks tick.
    stored: dtype of the stimulus; float32 unless told.
    """
    early = model.stage.per_frame
    if not early:
        return {"bin": step}
    front = chain(*(part for name, part in model.stage.parts if name in early))
    own = {name: params[name] for name in early}
    shown = jax.ShapeDtypeStruct(
        model.spec.frame, jax.dtypes.canonicalize_dtype(stored or "float32")
    )
    frame = trace_step(front, own, shown).work().step
    return {"bin": _without_none(step + -1 * frame), "frame": frame}


def rates_hz(model: Model) -> dict[str, float]:
    """Steps per second of each clock of a model."""
    bin_hz = 1.0 / model.spec.bin_s
    if not model.stage.per_frame:
        return {"bin": bin_hz}
    return {"bin": bin_hz, "frame": bin_hz / model.spec.bins_per_frame}


def per_bin(counts: Mapping[str, Counts], rates_hz: Mapping[str, float]) -> Counts:
    """The mean work of a bin: what comes once per frame is shared out over its bins.

    >>> one = {"bin": Counts(adds=3), "frame": Counts(adds=8)}
    >>> per_bin(one, {"bin": 400.0, "frame": 100.0}).adds
    5
    """
    every = counts["bin"]
    if "frame" not in counts:
        return every
    each = round(rates_hz["bin"] / rates_hz["frame"])
    return every + _shared(counts["frame"], each)


def _shared(counts: Counts, each: int) -> Counts:
    """A whole number where it is one."""
    kinds = {
        kind: number // each if number % each == 0 else number / each
        for kind, number in _kinds(counts).items()
    }
    return Counts(
        **kinds,  # type: ignore[arg-type]
        by_primitive={n: _shared(c, each) for n, c in counts.by_primitive.items()},
        by_part={n: _shared(c, each) for n, c in counts.by_part.items()},
    )


def _without_none(counts: Counts) -> Counts:
    return dataclasses.replace(
        counts,
        by_primitive={n: c for n, c in counts.by_primitive.items() if c},
        by_part={n: c for n, c in counts.by_part.items() if c},
    )


def _kinds(counts: Counts) -> dict[str, int]:
    return {kind: getattr(counts, kind) for kind in KINDS}
