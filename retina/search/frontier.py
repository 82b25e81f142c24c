"""The verb `frontier`: which models nothing else beats on both axes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from retina.costs.denominators import NO_CLAIM, PER_SYNAPSE
from retina.errors import BadSetting, UnknownName, nearest
from retina.types import Cost, Interval, Point

# The figures of a cost that may be an axis: one number, or the range of one.
FIGURES = tuple(
    field.name
    for field in dataclasses.fields(Cost)
    if str(field.type).split(" ")[0] in ("int", "float", "Interval")
)


@dataclasses.dataclass(frozen=True)
class Frontier:
    """Points in order of cost, and which of them are on the frontier.

    x, y:         names of the cost and of the accuracy; see `Point.value`.
    points:       cheapest first, the more accurate first where two cost the same.
    on:           per point: no other is as cheap and as accurate, and better in one.
    hypervolume:  decades of cost times accuracy between the frontier, the cost of
                  the dearest point and accuracy 0; nan where no point has both.
    """

    x: str
    y: str
    points: tuple[Point, ...]
    on: tuple[bool, ...]
    hypervolume: float

    def best(self) -> tuple[Point, ...]:
        """The points on the frontier, cheapest first."""
        return tuple(p for p, on in zip(self.points, self.on, strict=True) if on)


def frontier(
    points: Sequence[Point], x: str = "flops_per_synaptic_event", y: str = "cc_norm"
) -> Frontier:
    """The non-dominated points of (cost low, accuracy high).

    points:  of one recording, scored on the same bins.
    x:       a figure of Cost. One that is an Interval (what is not known of a constant)
             is ordered by its geometric mean; the range stays with the point.
    y:       a metric of the scores. A point whose median is nan is never on the
             frontier.
    raises:  UnknownName for a name that no point has; BadSetting where the figure is
             not known for a point, or is per synapse and enters no claim (full-field
             stimuli), or the points were not scored on the same bins.

    Only medians are compared: whether one model truly beats its neighbour is for the
    paired bootstrap of `retina.compare` to say.

    >>> frontier([], "flops_per_s", "cc_norm").on
    ()
    """
    _check_comparable(points)
    _check_claims(points, x)
    ordered = sorted(points, key=lambda p: (_cost(p, x), -_last(accuracy(p, y)), p.run))
    on = non_dominated(
        [_cost(p, x) for p in ordered], [accuracy(p, y) for p in ordered]
    )
    steps = [
        (_cost(p, x), accuracy(p, y))
        for p, is_on in zip(ordered, on, strict=True)
        if is_on
    ]
    dearest = max((_cost(p, x) for p in ordered), default=math.nan)
    return Frontier(x, y, tuple(ordered), tuple(on), _hypervolume(steps, dearest))


def non_dominated(costs: Sequence[float], values: Sequence[float]) -> list[bool]:
    """Of each whether none is as cheap and as accurate, and better in one of the two.

    costs, values: of which the one should be low and the other high; what lacks one of
                   them (inf or nan; nan or -inf) is beaten.

    >>> non_dominated([9, 1, 2, 2, 3], [0.4, 0.2, 0.5, 0.5, math.nan])
    [False, True, True, True, False]
    """
    on, reached, at = [False] * len(costs), -math.inf, math.nan
    known = [i for i, cost in enumerate(costs) if math.isfinite(cost)]
    for i in sorted(known, key=lambda i: (costs[i], -_last(values[i]))):
        if values[i] > reached:
            on[i], reached, at = True, values[i], costs[i]
        elif values[i] == reached and costs[i] == at:  # a twin
            on[i] = True
    return on


def cost_range(point: Point, x: str) -> tuple[float, float, float]:
    """Low, geometric mean and high of a cost; three times the same where it is known.

    raises: UnknownName; BadSetting where the figure is not known for this recording.
    """
    if x not in FIGURES:
        raise UnknownName(f"no cost {x!r} that is one number: {nearest(x, FIGURES)}")
    value: Any = getattr(point.cost, x)
    if isinstance(value, Interval):
        return value.low, geometric_mean(value.low, value.high), value.high
    if value is None:
        raise BadSetting(
            f"{x} is not known for {point.dataset!r}: name another cost "
            "(--x flops_per_spike, --x flops_per_s_per_cell)"
        )
    return float(value), float(value), float(value)


def geometric_mean(low: float, high: float) -> float:
    """Of the ends of a range, by which costs are ordered."""
    return math.sqrt(low * high)


def accuracy(point: Point, y: str) -> float:
    """The median of a metric over the cells; nan where it is undefined.

    raises: UnknownName for a metric that the point was not scored with.
    """
    if y not in point.score.metrics:
        raise UnknownName(
            f"{point.run or point.model} has no metric {y!r}: "
            f"{nearest(y, point.score.metrics)}; name one that all have (--y NAME)"
        )
    return point.score.metrics[y].median


def as_json(front: Frontier) -> dict[str, Any]:
    """The frontier as plain data, with the keys that do not change.

    returns: {"x", "y", "points": [{"run", "model", x, y, "on_frontier"}], ...}; a cost
             that is a range is {"low", "high"}, an undefined accuracy None.

    >>> as_json(frontier([]))["points"]
    []
    """
    rows = []
    for point, on in zip(front.points, front.on, strict=True):
        low, _, high = cost_range(point, front.x)
        value = accuracy(point, front.y)
        ranged = isinstance(getattr(point.cost, front.x), Interval)
        rows.append(
            {
                "run": point.run,
                "model": point.model,
                front.x: {"low": low, "high": high} if ranged else low,
                front.y: value if math.isfinite(value) else None,
                "on_frontier": on,
            }
        )
    volume = front.hypervolume if math.isfinite(front.hypervolume) else None
    return {"x": front.x, "y": front.y, "hypervolume": volume, "points": rows}


def _check_claims(points: Sequence[Point], x: str) -> None:
    for point in points if x in PER_SYNAPSE else ():
        if not point.cost.synapse_claims and getattr(point.cost, x) is not None:
            raise BadSetting(
                f"{point.dataset!r} has {NO_CLAIM}, so {x} is no axis: name another "
                "cost (--x flops_per_spike, --x flops_per_s_per_cell)"
            )


def _cost(point: Point, x: str) -> float:
    return cost_range(point, x)[1]


def _last(value: float) -> float:
    return -math.inf if math.isnan(value) else value


def _hypervolume(steps: Sequence[tuple[float, float]], dearest: float) -> float:
    """Area under a step line over log10 cost.

    What costs nothing stands one decade before the cheapest that costs something.
    """
    if not steps:
        return math.nan
    positive = [cost for cost in (*(cost for cost, _ in steps), dearest) if cost > 0]
    free = min(positive, default=1.0) / 10
    decades = [math.log10(cost or free) for cost, _ in steps]
    ends = [*decades[1:], math.log10(dearest or free)]
    return sum(
        (end - start) * max(value, 0.0)
        for start, end, (_, value) in zip(decades, ends, steps, strict=True)
    )


def _check_comparable(points: Sequence[Point]) -> None:
    for point in points[1:]:
        first = points[0]
        for word in ("dataset", "group", "bins", "cells", "cell_names", "trials"):
            one, other = getattr(first.score, word), getattr(point.score, word)
            if one != other:
                raise BadSetting(
                    f"{first.run or first.model} and {point.run or point.model} were "
                    f"not scored on the same bins ({word} {one!r}, {other!r}): give "
                    "the runs of one recording and one clock"
                )
