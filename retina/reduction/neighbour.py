"""Where a model may start: a fitted bigger one of its kind, cut to its size."""

from __future__ import annotations

from typing import Any

import jax

from retina import registry
from retina.errors import BadSetting
from retina.reduction.cutting import fitting
from retina.stage import Model, Tree
from retina.types import Fit, Split

# The size of a model -> the reduction that lowers it, and its keyword for that.
SIZES = {
    "channels": ("channels", "keep"),
    "subunits": ("channels", "keep"),
    "hidden_channels": ("channels", "keep"),
    "width": ("channels", "keep"),
    "lags": ("taps", "keep"),
    "rank": ("factorise", "rank"),
    "readout_rank": ("factorise", "rank"),
    "basis": ("factorise", "basis"),
}


def shrunk(
    bigger: Fit, model: Model, split: Split, key: jax.Array
) -> tuple[Tree, dict[str, Any]]:
    """Parameters of a fitted model, cut for one that is smaller in one size.

    bigger:  of several seeds, the best on validation is cut.
    model:   the same model on the same recording, but for one of SIZES.
    returns: parameters of `model`, and {"method", "settings"} of the cut.
    raises:  BadSetting where they differ otherwise, or no reduction gives that size.
    """
    before, after = dict(bigger.model.settings), dict(model.settings)
    differ = [name for name, value in after.items() if value != before.get(name)]
    alike = (bigger.model.name, bigger.model.spec) == (model.name, model.spec)
    if not alike or len(differ) != 1 or differ[0] not in SIZES:
        raise BadSetting(
            f"{model.name} cannot start from {bigger.model.name}: they differ in "
            f"{', '.join(differ) or 'more than their size'}, and it must be one of "
            f"{', '.join(SIZES)} alone"
        )
    (size,) = differ
    method, keyword = SIZES[size]
    value = after[size]
    if keyword == "keep":
        value = _total(after[size], size) / _total(before[size], size)
    settings = {keyword: value}
    cut, params = registry.find("reductions", method)(bigger, split, key, **settings)
    made = dict(cut.settings)
    wrong = [name for name, value in after.items() if value != made.get(name)]
    if wrong:
        raise BadSetting(
            f"{method} of {model.name} {size}={before[size]} gives {wrong[0]}="
            f"{made.get(wrong[0])}, not {after[wrong[0]]}: fit this one by itself"
        )
    return fitting(model, params, method)[1], {"method": method, "settings": settings}


def _total(size: Any, name: str) -> int:
    if size is None:
        raise BadSetting(f"{name}=None is no size to go down from: state a number")
    return sum(size) if isinstance(size, tuple) else size
