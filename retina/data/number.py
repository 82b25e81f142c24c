"""Numbers as a card gives them: TOML has other types as well."""

from __future__ import annotations

import math
from typing import Any


def is_number(value: Any) -> bool:
    """A finite number, and no truth value.

    >>> [is_number(one) for one in (3, 0.5, True, "4", [1], float("nan"), 2**2000)]
    [True, True, False, False, False, False, False]
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= 2**53 if isinstance(value, int) else math.isfinite(value)


def is_whole(value: Any) -> bool:
    """A number without a fraction; 2.0 is one.

    >>> is_whole(2), is_whole(2.0), is_whole(2.5), is_whole("2")
    (True, True, False, False)
    """
    return is_number(value) and int(value) == value
