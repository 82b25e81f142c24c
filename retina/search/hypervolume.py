"""How much of what can be had a search has found, and whether more came at the end."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

LAST = 1 / 3  # of the tries, over which nothing much may have come; chosen
MUCH = 0.01  # of the hypervolume; chosen


@dataclasses.dataclass(frozen=True)
class Found:
    """The hypervolume after each try, as a share of the box of all that was seen.

    curve:     never falls; the last entry is the whole search.
    flattened: whether the last third of the tries added less than 1 % of the end; False
               for fewer than 6 tries, of which nobody can tell.
    """

    curve: tuple[float, ...]
    flattened: bool


def found(values: ArrayLike, up: Sequence[bool]) -> Found:
    """The hypervolume that tries dominate, in the order in which they were made.

    values: (try, objective); a row with nan counts as a try that found nothing.
    up:     per objective, whether more is better. What is better lower is a cost, of
            which ratios count: its logarithm (of 1 + cost) is taken.

    The box spans, per objective, from the worst to the best value of all tries. A point
    at the worst in one objective therefore adds nothing: the curve says when a search
    stopped finding better, not how good one is beside another.

    source: Zitzler & Thiele 1999, doi 10.1109/4235.797969 (the measure).

    >>> found([[1, 100], [2, 10], [3, 1], [2, 50]], up=[True, False]).curve[0]
    0.0
    """
    table = np.asarray(values, float).reshape(-1, len(up))
    gains = np.where(up, table, -np.log1p(np.maximum(table, 0)))
    whole = np.asarray(np.isfinite(gains).all(axis=1))
    if not whole.any():
        return Found((0.0,) * len(gains), False)
    low, high = gains[whole].min(0), gains[whole].max(0)
    unit = (gains - low) / np.where(high > low, high - low, 1.0)
    # An objective in which all are alike separates nothing: all have all of it.
    unit[:, high <= low] = 1.0
    front = np.empty((0, len(up)))
    curve, now = [], 0.0
    for row, good in zip(unit, whole, strict=True):
        if good and not (front >= row).all(axis=1).any():
            front = np.vstack([front[~(front <= row).all(axis=1)], row])
            now = volume(front)
        curve.append(now)
    return Found(tuple(curve), _flat(curve))


def volume(front: np.ndarray) -> float:
    """Volume between the origin and points that are better the further they are.

    front: (point, objective), 0 or more; exact, by slices along the last objective.

    >>> volume(np.array([[1.0, 0.5], [0.5, 1.0]]))
    0.75
    """
    if len(front) == 0:
        return 0.0
    if front.shape[1] == 1:
        return float(front.max())
    total, above = 0.0, 0.0
    for level in np.unique(front[:, -1]):
        slab = front[front[:, -1] >= level, :-1]
        total += (level - above) * volume(_best(slab))
        above = level
    return float(total)


def _best(points: np.ndarray) -> np.ndarray:
    points = np.unique(points, axis=0)
    beaten = [
        ((points >= one).all(axis=1) & (points > one).any(axis=1)).any()
        for one in points
    ]
    return points[~np.asarray(beaten)]


def _flat(curve: Sequence[float]) -> bool:
    if len(curve) < 6 or curve[-1] == 0:
        return False
    before = curve[len(curve) - math.ceil(len(curve) * LAST) - 1]
    return curve[-1] - before < MUCH * curve[-1]
