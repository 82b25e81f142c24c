"""A metric by its name over several test clips, and what to say about few repeats."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from retina import registry
from retina.errors import BadSetting
from retina.metrics.arrays import Pair, joined

FEW, LOW = 10, 0.25


def bound(
    name: str, null_rate: ArrayLike | None
) -> tuple[Callable[..., np.ndarray], dict[str, np.ndarray]]:
    """A metric's function, and the keywords it takes after rate and response.

    name:      a file of retina/metrics/, an entry point, or "package.module:function".
    null_rate: (cell,); handed on only to a metric with an argument of that name.
    raises:    UnknownName; BadSetting where the metric needs a null and none is given.

    >>> bound("pearson", None)[1]
    {}
    """
    metric = registry.find("metrics", name)
    if "null_rate" not in inspect.signature(metric).parameters:
        return metric, {}
    if null_rate is None:
        raise BadSetting(
            f"metric {name!r} compares with a null and got none: pass "
            "null_rate=fit.null_rate, the training mean of each cell in counts per bin"
        )
    return metric, {"null_rate": np.asarray(null_rate, np.float64)}


def evaluate(
    name: str, pairs: Sequence[Pair], null_rate: ArrayLike | None = None
) -> np.ndarray:
    """One metric on test clips laid end to end in time.

    name:      as `retina list metrics` gives it.
    pairs:     (rate (time, cell), response (trial, time, cell)) of each clip; lengths
               may differ, trials and cells agree.
    null_rate: (cell,), training mean in counts per bin, for the metrics that need it.
    returns:   (cell,) float64, in the metric's unit.
    raises:    UnknownName; ShapeMismatch; BadSetting for a missing null.

    >>> rate = np.array([[0.0], [1.0], [0.0], [3.0]])
    >>> evaluate("pearson", [(rate, rate[None]), (rate[:2], rate[None, :2])]).round(6)
    array([1.])
    """
    metric, null = bound(name, null_rate)
    rate, response, _ = joined(pairs)
    return np.asarray(metric(rate, response, **null), np.float64)


def few_repeats_note(response: ArrayLike) -> str:
    """A line of warning where repeats are too few for the noise ceiling to be trusted.

    Simulated with the true rate (500 bins): at 0.05 counts per bin cc_norm scatters by
    0.2 with 8 repeats and by 0.7 with 4; at 0.5 by less than 0.03. Hence: fewer than 10
    repeats, median cell below 0.25 counts per bin.

    response: (trial, time, cell), counts per bin.
    returns:  one sentence, or "" where there is nothing to warn of.

    >>> few_repeats_note(np.ones((4, 100, 3)))
    ''
    """
    y = np.asarray(response)
    trials = len(y)
    if trials == 1:
        return "1 trial: cc_norm, feve, signal_power and cc_max need repeats"
    rate = float(np.median(y.mean(axis=(0, 1))))
    if trials >= FEW or rate >= LOW:
        return ""
    return (
        f"only {trials} repeats at a median of {rate:.2g} counts per bin: cc_norm, "
        "feve and cc_max are biased and scatter widely; prefer pearson_trial and "
        "bits_per_spike"
    )
