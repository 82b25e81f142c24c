"""What one bin costs of a model that does not do the same in every bin."""

from __future__ import annotations

import dataclasses
from typing import Any

from retina.costs.counts import KINDS, Counts
from retina.costs.flops import TracedStep, trace_step
from retina.costs.memory import Memory, memory
from retina.costs.walk import Work
from retina.stage import Model, Tree


@dataclasses.dataclass(frozen=True, eq=False)
class Bin:
    """One bin, the mean over a period; of most models every bin is the whole step.

    step:    the whole step.
    work, memory: setup, depth, fan-in and state are those of the whole step.
    note:    what the bins of a period cost one by one; () where they are the same.
    """

    step: TracedStep
    work: Work
    memory: Memory
    note: tuple[str, ...] = ()


def one_bin(model: Model, params: Tree, dtype: Any = None) -> Bin:
    """What a bin of the streaming step does and moves, from shapes alone.

    A mean that is not whole is rounded up, each kind of work by itself.

    params, dtype: as for `retina.costs.flops.trace_step`.
    """
    step = trace_step(model, params, dtype=dtype)
    work, held = step.work(), memory(step)
    if model.between is None:
        return Bin(step, work, held)
    rest = trace_step(model._replace(stage=model.between), params, dtype=dtype)
    resting, idle = rest.work().step, memory(rest)
    others = model.period - 1
    moved = {
        name: _mean(getattr(held, name) + others * getattr(idle, name), model.period)
        for name in ("weights_read", "state_read", "state_written")
    }
    return Bin(
        step,
        dataclasses.replace(
            work, step=_shared(work.step + others * resting, model.period)
        ),
        dataclasses.replace(held, **moved),
        (
            f"FLOPs per bin are the mean of {model.period} bins: {work.step.flops:,} "
            f"in one and {resting.flops:,} in each other",
        ),
    )


def _shared(period: Counts, bins: int) -> Counts:
    """The work of a whole period over its bins.

    >>> _shared(Counts(macs=7, adds=4), 2).macs
    4
    """
    kinds = {kind: _mean(getattr(period, kind), bins) for kind in KINDS}
    return Counts(
        **kinds,
        by_primitive={n: _shared(c, bins) for n, c in period.by_primitive.items()},
        by_part={n: _shared(c, bins) for n, c in period.by_part.items()},
    )


def _mean(total: int, bins: int) -> int:
    return -(-total // bins)
