"""From one ganglion cell's cost to a retina's and a brain's: an extrapolation, a range.

The numbers, each with its mark and source, stand beside this in scale.toml.
"""

from __future__ import annotations

import dataclasses
import functools
import tomllib
from pathlib import Path
from typing import Any

from retina.errors import BadSetting, UnknownName, nearest
from retina.types import Cost, Interval

BRAIN, HUMAN = "brain", "human-retina"
WARNING = (
    "THIS IS AN EXTRAPOLATION, NOT A MEASUREMENT: the cost of one model of some "
    "recorded cells, on one stimulus, times numbers of cells and of brains. It is as "
    "good as they are."
)


@dataclasses.dataclass(frozen=True)
class Row:
    """A published number. mark: "read" in its source, or "recalled"."""

    name: str
    low: float
    high: float
    mark: str
    source: str
    of: str = ""


@dataclasses.dataclass(frozen=True)
class Scaled:
    """FLOP/s of a retina or a brain.

    per_cell:  of one ganglion cell: the cost of one more, of the cells shared over
               all, and of one alone, lowest to highest of those that are known.
    cells:     ganglion cells of the retina.
    retina:    per_cell times cells.
    by_factor: of a brain, by each way to scale up; {} for a retina.
    whole:     the least and the most of all that.
    published: estimates of the same, to be read beside it.
    """

    to: str
    warning: str
    per_cell: Interval
    cells: Row
    retina: Interval
    by_factor: dict[str, Interval]
    factors: tuple[Row, ...]
    whole: Interval
    published: tuple[Row, ...]


@functools.cache
def _table() -> dict[str, list[dict[str, Any]]]:
    file = Path(__file__).with_name("scale.toml")
    return tomllib.loads(file.read_text(encoding="utf-8"))


def rows(kind: str) -> tuple[Row, ...]:
    """The rows of one kind: "retina", "factor" or "estimate".

    >>> [row.name for row in rows("factor")]
    ['volume', 'neurons', 'synapses', 'mass', 'energy']
    """
    return tuple(Row(**row) for row in _table()[kind])


def scale(cost: Cost, to: str) -> Scaled:
    """Carry a cost per ganglion cell to a retina, or on to a brain.

    cost:   from `retina.cost` with runs=1: a retina runs once, whatever a score takes
            the mean of.
    to:     "human-retina", "mouse-retina" or "brain" (by way of the human retina).
    raises: UnknownName; BadSetting for a recording of other cells than ganglion cells.

    Every cell is taken to cost as much as the recorded ones.
    """
    retinas = {row.name: row for row in rows("retina")}
    if to not in (*retinas, BRAIN):
        raise UnknownName(f"scale to {to!r}: {nearest(to, [*retinas, BRAIN])}")
    if cost.event != "spike":
        raise BadSetting(
            f"{cost.dataset!r} is of no ganglion cells: scale a run on a recording of "
            "ganglion cells"
        )
    known = [
        flops
        for flops in (
            cost.flops_per_s_marginal,
            cost.flops_per_s_per_cell,
            cost.flops_per_s_alone,
        )
        if flops is not None
    ]
    per_cell = Interval(min(known), max(known))
    cells = retinas[HUMAN if to == BRAIN else to]
    retina = _times(per_cell, cells)
    factors = rows("factor") if to == BRAIN else ()
    by_factor = {row.name: _times(retina, row) for row in factors}
    every = list(by_factor.values()) or [retina]
    return Scaled(
        to=to,
        warning=WARNING,
        per_cell=per_cell,
        cells=cells,
        retina=retina,
        by_factor=by_factor,
        factors=factors,
        whole=Interval(min(r.low for r in every), max(r.high for r in every)),
        published=tuple(row for row in rows("estimate") if row.of == to),
    )


def _times(range_: Interval, row: Row) -> Interval:
    return Interval(range_.low * row.low, range_.high * row.high)
