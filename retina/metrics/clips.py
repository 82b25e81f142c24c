"""A metric by its name over several test clips, and what to say about few repeats."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from retina import registry
from retina.errors import BadSetting
from retina.metrics.arrays import Pair, joined
from retina.metrics.sums import Sums

FEW, LOW = 10, 0.25


def bound(
    name: str, null_rate: ArrayLike | None, bin_s: float | None = None
) -> tuple[Callable[..., np.ndarray], dict[str, Any]]:
    """A metric's function, and the keywords it takes after rate and response.

    name:      a file of retina/metrics/, an entry point, or "package.module:function".
    null_rate: (cell,); handed on only to a metric with an argument of that name.
    bin_s:     seconds per bin; likewise.
    raises:    UnknownName; BadSetting where the metric needs one that is not given.

    >>> bound("pearson", None)[1]
    {}
    """
    metric = registry.find("metrics", name)
    asked = inspect.signature(metric).parameters
    keywords: dict[str, Any] = {}
    if "null_rate" in asked:
        if null_rate is None:
            raise BadSetting(
                f"metric {name!r} compares with a null and got none: pass "
                "null_rate=fit.null_rate, the training mean of each cell in counts per "
                "bin"
            )
        keywords["null_rate"] = np.asarray(null_rate, np.float64)
    if "bin_s" in asked:
        if bin_s is None:
            raise BadSetting(
                f"metric {name!r} needs the length of a bin: pass bin_s=spec.bin_s, in "
                "seconds"
            )
        keywords["bin_s"] = float(bin_s)
    return metric, keywords


def sums_of(metric: Callable[..., np.ndarray]) -> Sums | None:
    """What the metric's file offers as SUMS.

    Read from the function's own file, which for a plug-in is no importable module.

    >>> from retina.metrics.pearson import pearson
    >>> sums_of(pearson).over
    'time'
    """
    offered = metric.__globals__.get("SUMS")
    return offered if isinstance(offered, Sums) else None


def over(metric: Callable[..., np.ndarray]) -> str:
    """What an interval of the metric resamples: "time", "repeats" or "cells".

    Said by its SUMS, else by OVER in its file, else time.

    >>> from retina.metrics.cc_max import cc_max
    >>> over(cc_max)
    'repeats'
    """
    sums = sums_of(metric)
    return sums.over if sums else metric.__globals__.get("OVER", "time")


def evaluate(
    name: str,
    pairs: Sequence[Pair],
    null_rate: ArrayLike | None = None,
    bin_s: float | None = None,
) -> np.ndarray:
    """One metric on test clips laid end to end in time.

    name:      as `retina list metrics` gives it.
    pairs:     (rate (time, cell), response (trial, time, cell)) of each clip; lengths
               may differ, trials and cells agree.
    null_rate: (cell,), training mean in counts per bin, for the metrics that need it.
    bin_s:     seconds per bin, for the metrics that need it.
    returns:   (cell,) float64, in the metric's unit.
    raises:    UnknownName; ShapeMismatch; BadSetting for a missing null or bin_s.

    >>> rate = np.array([[0.0], [1.0], [0.0], [3.0]])
    >>> evaluate("pearson", [(rate, rate[None]), (rate[:2], rate[None, :2])]).round(6)
    array([1.])
    """
    metric, keywords = bound(name, null_rate, bin_s)
    rate, response, _ = joined(pairs)
    return np.asarray(metric(rate, response, **keywords), np.float64)


def few_repeats_note(response: ArrayLike) -> str:
    """A line of warning where repeats are too few for the noise ceiling to be trusted.

    Simulated with the true rate (500 bins): at 0.05 counts per bin cc_norm scatters by
    0.2 with 8 repeats and by 0.7 with 4; at 0.5 by less than 0.03. Hence: fewer than 10
    repeats, median cell below 0.25 counts per bin.

    response: (trial, time, cell), counts per bin, at least 2 trials.
    returns:  one sentence, or "" where there is nothing to warn of.

    >>> few_repeats_note(np.ones((4, 100, 3)))
    ''
    """
    y = np.asarray(response)
    trials = len(y)
    rate = float(np.median(y.mean(axis=(0, 1))))
    if trials >= FEW or rate >= LOW:
        return ""
    return (
        f"only {trials} repeats at a median of {rate:.2g} counts per bin: cc_norm, "
        "feve and cc_max are biased and scatter widely; prefer pearson_trial and "
        "bits_per_spike"
    )
