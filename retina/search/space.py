"""Ranges of keywords: what may be tried, and every point of it where it is finite."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, model_validator

from retina.errors import BadCard


class Range(BaseModel):
    """Numbers from `low` to `high`, both of them included.

    step: between neighbours; 1 where both ends are whole numbers and `step` is not
          given. Without one the range is continuous: it can be searched, but has no
          end to come to.
    count: in place of a step, how many numbers; on a log scale with `log`.
    log:   ratios matter rather than differences.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    low: int | float
    high: int | float
    step: int | float | None = None
    count: int | None = None
    log: bool = False

    @model_validator(mode="after")
    def _makes_sense(self) -> Range:
        if not self.low < self.high:
            raise ValueError(f"low {self.low:g} is not below high {self.high:g}")
        if self.step is not None and self.count is not None:
            raise ValueError("step or count, not both")
        if self.log and self.step is not None:
            raise ValueError("a log range has no step: give count")
        if self.log and self.low <= 0:
            raise ValueError(f"a log range begins above 0, not at {self.low:g}")
        if self.step is not None and self.step <= 0:
            raise ValueError(f"step {self.step:g}: more than 0")
        if self.count is not None and self.count < 2:
            raise ValueError(f"count {self.count}: 2 or more")
        return self

    @property
    def whole(self) -> bool:
        """Whether its numbers are integers."""
        ends = isinstance(self.low, int) and isinstance(self.high, int)
        return ends and not isinstance(self.step, float)

    def values(self) -> tuple[int | float, ...] | None:
        """Every number in it; None where it is continuous.

        >>> Range(low=2, high=9, step=3).values()
        (2, 5, 8)
        >>> Range(low=0.01, high=1.0, count=3, log=True).values()
        (0.01, 0.1, 1.0)
        """
        if self.count is not None:
            return self._counted(self.count)
        step = 1 if self.step is None and self.whole else self.step
        if step is None:
            return None
        # A ratio of decimals falls short of a whole number by their rounding.
        number = int(math.floor((self.high - self.low) / step + 1e-9)) + 1
        return tuple(_tidy(self.low + i * step, self.whole) for i in range(number))

    def _counted(self, count: int) -> tuple[int | float, ...]:
        shares = [i / (count - 1) for i in range(count)]
        if self.log:
            found = [self.low * (self.high / self.low) ** s for s in shares]
        else:
            found = [self.low + (self.high - self.low) * s for s in shares]
        return tuple(dict.fromkeys(_tidy(value, self.whole) for value in found))


Space = Mapping[str, Range | list[Any]]


def size(space: Space) -> int | None:
    """How many points; None where a range is continuous.

    >>> size({"lags": Range(low=1, high=30), "rank": [1, 2]})
    60
    """
    each = [_choices(one) for one in space.values()]
    return None if None in each else math.prod(len(one) for one in each if one)


def points(space: Space) -> Iterator[dict[str, Any]]:
    """Every point, the last keyword running fastest.

    raises: BadCard where a range is continuous.
    """
    for key, one in space.items():
        if _choices(one) is None:
            raise BadCard(
                f"space of {key!r} is continuous, so a grid never ends: give it a "
                'count or a step, or another [search] method, such as "nsga2"'
            )
    rows = itertools.product(*(_choices(one) or () for one in space.values()))
    return (dict(zip(space, row, strict=True)) for row in rows)


def corners(space: Space) -> list[dict[str, Any]]:
    """First and last of each range and list: what is wrong with a type shows there.

    >>> corners({"lags": Range(low=1, high=30), "rank": [1, 2, 3]})
    [{'lags': 1, 'rank': 1}, {'lags': 30, 'rank': 3}]
    """
    for key, one in space.items():
        if isinstance(one, list) and not one:
            raise BadCard(f"space of {key!r}: an empty list")
    ends = {
        key: (one.low, one.high) if isinstance(one, Range) else (one[0], one[-1])
        for key, one in space.items()
    }
    return [{key: end[i] for key, end in ends.items()} for i in (0, 1)]


def draw(space: Space, rng: np.random.Generator) -> dict[str, Any]:
    """A point of a space, each keyword even over its values, or their logarithms."""
    return {key: _drawn(one, rng) for key, one in space.items()}


def _drawn(one: Range | list[Any], rng: np.random.Generator) -> Any:
    every = _choices(one)
    if every is not None:
        return every[int(rng.integers(len(every)))]
    assert isinstance(one, Range)
    share = float(rng.uniform())
    if one.log:
        return _tidy(one.low * (one.high / one.low) ** share, one.whole)
    return _tidy(one.low + (one.high - one.low) * share, one.whole)


def _choices(one: Range | list[Any]) -> tuple[Any, ...] | None:
    return one.values() if isinstance(one, Range) else tuple(one)


def _tidy(value: float, whole: bool) -> int | float:
    """Without the rounding of the last digits, which would make another job of it."""
    return round(value) if whole else float(f"{value:.12g}")
