"""Sub-steps: how a bin is cut so that an equation integrated inside it stays right."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from jax import lax

from retina.errors import BadSetting

State = Any


def substeps(
    part: str, bin_s: float, safe_s: float, dt_s: float | None = None
) -> tuple[int, float]:
    """Number of equal sub-steps in a bin, and the length of one in seconds.

    part:    what is integrated, for the message.
    bin_s:   the bin.
    safe_s:  the longest step that is stable and still has the part's stated error.
    dt_s:    a wish for a shorter one; safe_s by default.
    raises:  BadSetting for a step above safe_s, with the largest that is safe.

    >>> substeps("cone", 1 / 30, 0.002)
    (17, 0.00196078431372549)
    >>> substeps("cone", 1 / 30, 0.002, 0.004)
    Traceback (most recent call last):
    retina.errors.BadSetting: cone: dt_s 0.004 s is not safe; give 0.002 s or less
    """
    if not 0 < bin_s < math.inf:
        raise BadSetting(f"{part}: bin_s {bin_s:g} s; give a time above 0")
    if dt_s is not None and not 0 < dt_s <= safe_s * (1 + 1e-9):
        below = f"{safe_s:.3g} s or less" + (", above 0" if dt_s <= 0 else "")
        raise BadSetting(f"{part}: dt_s {dt_s:g} s is not safe; give {below}")
    number = max(1, math.ceil(bin_s / (dt_s or safe_s) - 1e-9))
    return number, bin_s / number


def repeat(once: Callable[[State], State], state: State, times: int) -> State:
    """The state after `times` sub-steps.

    >>> repeat(lambda s: 2 * s, 1.0, 1)
    2.0
    """
    if times == 1:
        return once(state)
    return lax.scan(lambda s, _: (once(s), None), state, None, length=times)[0]
