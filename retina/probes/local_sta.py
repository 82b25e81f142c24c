"""Local spike-triggered average: what would change the rate at a given moment."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from retina.errors import at_least_one
from retina.exact import in_float32
from retina.probes.rates import (
    before,
    check_cell,
    check_slope,
    history,
    memory,
    rates,
)
from retina.types import Fit


@in_float32
def local_sta(
    fit: Fit,
    stimulus: np.ndarray,
    cell: int,
    moments: Sequence[int],
    *,
    lags: int | None = None,
) -> np.ndarray:
    """Gradient of one cell's rate with respect to the stimulus before each moment.

    stimulus: (time, *frame), as the recording stores it.
    cell:     its number in the model.
    moments:  bins of the stimulus, each with the model's whole history before it.
    lags:     bins back; None: as far as the model looks.
    returns:  (moment, lag, *frame) float32, counts per bin and unit of the stimulus;
              lag 0 is the frame on the screen during the bin.
    raises:   BadSetting for a moment too near the start, and where the rate has no
              slope at any of them; ShapeMismatch.
    source:   Goldin et al. 2022, doi 10.1038/s41467-022-33242-8.

    A model that listens hears its mean counts. Averaged over white noise, times the
    noise's variance, over the mean rate, it is the model's spike-triggered average.

    >>> from retina.build import model
    >>> from retina.types import Spec
    >>> ln = model("ln", Spec((6, 5), 2, 0.01), lags=4)
    >>> params = ln.stage.init(jax.random.key(0))
    >>> fit = Fit(ln, params, (params,), np.full(2, 0.1), {}, (), {})
    >>> local_sta(fit, np.zeros((20, 6, 5), np.float32), 1, [9, 19]).shape
    (2, 4, 6, 5)
    """
    at_least_one(lags=lags)
    check_cell(fit, cell)
    taps = memory(fit.model) if lags is None else lags
    bins = max(history(fit.model) + 1, taps)
    windows = before(fit, stimulus, moments, bins)
    begins = jnp.asarray(moments, jnp.int32) + 1 - bins
    slope = jax.grad(lambda x, begin: rates(fit, x, begin)[-1, cell])
    # One after the other: long memories of many moments would not fit at once.
    fields = jax.jit(lambda every: lax.map(lambda one: slope(*one)[::-1][:taps], every))
    found = np.asarray(fields((windows, begins)))
    check_slope(fit, cell, found)
    return found
