"""What one bin costs of a model that does not do the same in every bin: the mean.

Such a stage says what each bin of a period takes (`Stage.steps`). Each of these steps
is traced by itself, so that no figure has to guess which branch of `step` is taken; the
one comparison that chooses among them is left out.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from retina.clocks import period
from retina.costs.counts import KINDS, Counts
from retina.costs.flops import TracedStep, trace_step
from retina.costs.memory import Memory, memory
from retina.costs.walk import Work
from retina.stage import Model, Tree


@dataclasses.dataclass(frozen=True, eq=False)
class Bin:
    """One bin, the mean over a period; of most models every bin is the whole step.

    step:    the dearest, with which a period begins.
    work, memory: setup, depth, fan-in and state are those of that step.
    clocks:  the work of each clock when it ticks: "bin", that of the last bin, and what
             the others of a "frame" (`retina.clocks`) or a "period" take beyond it.
    """

    step: TracedStep
    work: Work
    memory: Memory
    clocks: Mapping[str, Counts]


def steps_of(
    model: Model, params: Tree, dtype: Any = None
) -> list[tuple[TracedStep, int]]:
    """The steps of a period, traced, and how many bins take each.

    params, dtype: as for `retina.costs.flops.trace_step`.
    """
    if not model.stage.steps:
        return [(trace_step(model, params, dtype=dtype), 1)]
    stages = [(model.stage._replace(step=s), n) for s, n in model.stage.steps]
    return [
        (trace_step(model._replace(stage=one), params, dtype=dtype), bins)
        for one, bins in stages
    ]


def one_bin(model: Model, params: Tree, dtype: Any = None) -> Bin:
    """What a bin of the streaming step does and moves, from shapes alone.

    params, dtype: as for `retina.costs.flops.trace_step`.
    """
    steps = steps_of(model, params, dtype)
    works = [(step.work(), bins) for step, bins in steps]
    held = [(_read(step), bins) for step, bins in steps]
    first, most = works[0][0], held[0][0]
    if len(steps) == 1:
        return Bin(steps[0][0], first, memory(steps[0][0]), {"bin": first.step})
    every = works[-1][0].step
    more = sum((n * (work.step + -1 * every) for work, n in works[:-1]), Counts())
    clocks = {"bin": every, _slow(model): _without_none(more)}
    moved = {
        name: mean_of((getattr(one, name), bins) for one, bins in held)
        for name in ("weights_read", "state_read", "state_written", "inputs")
    }
    return Bin(
        steps[0][0],
        dataclasses.replace(first, step=per_bin(clocks, rates_hz(model))),
        dataclasses.replace(most, **moved),
        clocks,
    )


def rates_hz(model: Model) -> dict[str, float]:
    """Ticks per second of each clock of a model."""
    bin_hz = 1.0 / model.spec.bin_s
    if not model.stage.steps:
        return {"bin": bin_hz}
    return {"bin": bin_hz, _slow(model): bin_hz / period(model.stage)}


def per_bin(counts: Mapping[str, Counts], rates_hz: Mapping[str, float]) -> Counts:
    """The mean work of a bin: what a slower clock asks for is shared out over its bins.

    >>> one = {"bin": Counts(adds=3), "frame": Counts(adds=8)}
    >>> per_bin(one, {"bin": 400.0, "frame": 100.0}).adds
    5
    """
    total = counts["bin"]
    for clock, rate in rates_hz.items():
        if clock != "bin":
            total = total + _over(counts[clock], round(rates_hz["bin"] / rate))
    return total


def mean_of(figures: Iterable[tuple[Any, int]]) -> Any:
    """The mean of figures, each of so many bins; a whole number where it is one.

    >>> mean_of([(7, 1), (1, 2)]), mean_of([(7, 1), (2, 3)])
    (3, 3.25)
    """
    each = list(figures)
    return _shared(sum(n * bins for n, bins in each), sum(bins for _, bins in each))


def _read(step: TracedStep) -> Memory:
    """Of the input no more than is looked at: a frame that stands is not read again."""
    seen = {value for op in step.program.ops for value in op.ins}
    inputs = sum(value.bytes for value in step.x if value in seen)
    return dataclasses.replace(memory(step), inputs=inputs)


def _slow(model: Model) -> str:
    return "frame" if model.stage.per_frame else "period"


def _shared(number: Any, bins: int) -> Any:
    return number // bins if number % bins == 0 else number / bins


def _over(counts: Counts, bins: int) -> Counts:
    kinds = {kind: _shared(getattr(counts, kind), bins) for kind in KINDS}
    return Counts(
        **kinds,
        by_primitive={n: _over(c, bins) for n, c in counts.by_primitive.items()},
        by_part={n: _over(c, bins) for n, c in counts.by_part.items()},
    )


def _without_none(counts: Counts) -> Counts:
    return dataclasses.replace(
        counts,
        by_primitive={n: c for n, c in counts.by_primitive.items() if c},
        by_part={n: c for n, c in counts.by_part.items() if c},
    )
