"""How numbers are written for people."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Mapping
from typing import Any

from retina.types import Interval, Metric

_PREFIXES = ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def amount(value: Any) -> str:
    """A count or a cost to two or three figures; a range with both its ends.

    >>> amount(12345), amount(0.5), amount(0), amount(7), amount(7.0), amount(None)
    ('12.3 k', '0.50', '0', '7', '7.0', '-')
    >>> amount(Interval(8.1, 350000))
    '8.1 - 350 k'
    """
    if value is None:
        return "-"
    if isinstance(value, Interval):
        low, high = amount(value.low), amount(value.high)
        return low if low == high else f"{low} - {high}"
    if isinstance(value, int) and abs(value) < 1000:
        return str(value)  # a count
    number = float(value)
    if not math.isfinite(number):
        return "undefined"
    if number == 0:
        return "0"
    for size, letter in _PREFIXES:
        if abs(number) >= size * 0.9995:
            return f"{_short(number / size)} {letter}"
    return _short(number)


def quartiles(tally: Mapping[int, int]) -> tuple[int, int, int, int, int]:
    """Least, quartiles and most of what a tally counts; zeros where it is empty.

    >>> quartiles({1: 3, 100: 1})
    (1, 1, 1, 1, 100)
    """
    if not tally:
        return (0, 0, 0, 0, 0)
    values = sorted(tally)
    below = list(itertools.accumulate(tally[value] for value in values))
    at = [math.ceil(q * below[-1]) for q in (0.25, 0.5, 0.75)]
    low, middle, high = (values[bisect.bisect_left(below, n)] for n in at)
    return values[0], low, middle, high, values[-1]


def median(metric: Metric) -> str:
    """The median over cells.

    >>> median(Metric((0.5,), 0.5, (0.4, 0.6)))
    '0.500'
    """
    return f"{metric.median:.3f}" if math.isfinite(metric.median) else "undefined"


def interval(metric: Metric) -> str:
    """The 95 % interval of the median; nothing where there is none.

    >>> interval(Metric((0.5,), 0.5, (0.4, 0.6)))
    '[0.400, 0.600]'
    """
    low, high = metric.ci95
    return (
        f"[{low:.3f}, {high:.3f}]" if math.isfinite(low) and math.isfinite(high) else ""
    )


def _short(number: float) -> str:
    if abs(number) < 0.095:
        return f"{number:.1g}" if abs(number) < 0.001 else f"{number:.3f}"
    if abs(number) < 0.995:
        return f"{number:.2f}"
    return f"{number:.0f}" if abs(number) >= 99.95 else f"{number:.1f}"
