"""A control: few FLOPs, and a table of counts in their place."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from retina.errors import at_least_one
from retina.fitting.projections import examples, separable_filters
from retina.layers.door import door, image_shape
from retina.layers.look_up import level_of, look_up
from retina.layers.projections import projections, stepwise
from retina.recipe import Recipe
from retina.stage import Model, chain
from retina.types import Spec

SPAN = 3.0  # s.d. of a training projection on either side that its levels cover


def lookup_table(
    spec: Spec,
    /,
    *,
    lags: int = 30,
    window: int = 13,
    filters: int = 2,
    levels: int = 16,
    prior: float = 3.0,
) -> Model:
    """Each cell's stimulus on a few filters, quantised; the mean count found there.

    lags:    bins of stimulus the filters see, the present one included.
    window:  pixels on a side of the window, centred on the cell's receptive field.
    filters: time courses behind one spatial filter: the spike-triggered average's,
             then the spike-triggered covariance's.
    levels:  equal steps over three s.d. on either side of a projection's mean.
    prior:   spikes that an entry holds before any is seen, at the rate found without
             its last filter: the first filter's at the cell's mean rate. Chosen, as
             the three s.d., on the simulated recording's validation clips.
    source:  Schwartz et al. 2006, doi 10.1167/6.4.13 (the filters, and the rate as
             a histogram over them).

    Nothing is fitted by gradient: the table is counted from the training clips.

    >>> lookup_table(Spec((8, 8), 3, 0.01), lags=5).stage.lags
    4
    """
    at_least_one(lags=lags, window=window, filters=filters, levels=levels)
    filters = min(filters, lags)
    bank = projections(image_shape(spec), spec.cells, lags, filters, window)
    table = look_up(spec.cells, filters, levels)
    front = chain(door(spec), bank)

    def warm_start(params, clips):
        params = params | {
            "projections": separable_filters(clips, spec, lags, filters, window)
        }
        seen, said, trials = examples(front, params, clips)
        centre, spread = seen.mean(0), np.maximum(seen.std(0), 1e-6)
        steps = {
            "low": jnp.asarray(centre - SPAN * spread),
            "per_unit": jnp.asarray(np.float32(levels / (2 * SPAN)) / spread),
        }
        levels_of = jax.vmap(lambda x: level_of(steps, x, levels))
        level = np.asarray(levels_of(jnp.asarray(seen)))
        rates = [
            expected(level[:, n], said[:, n] * trials, trials, levels, prior)
            for n in range(spec.cells)
        ]
        made = jnp.asarray(np.stack(rates), jnp.float32)
        return params | {"look_up": steps | {"table": made}}

    return Model(
        "lookup_table",
        spec,
        stepwise(door(spec), bank, table),
        warm_start=warm_start,
        recipe=Recipe("lbfgs", max_steps=0),
    )


def expected(
    level: np.ndarray, spikes: np.ndarray, bins: np.ndarray, levels: int, prior: float
) -> np.ndarray:
    """Expected count per bin at every combination of levels, the last running fastest.

    level:   (n, filter) int. spikes, bins: (n,), how many spikes in how many bins.
    returns: (levels ** filter,) float64: (spikes + prior) / (bins + prior / coarser),
             `coarser` being the same without the last filter, and without any the mean.

    >>> expected(np.array([[0], [1]]), np.array([1, 0]), np.array([4, 4]), 2, 1.0)
    array([0.16666667, 0.08333333])
    """
    rate = np.maximum(spikes.sum() / max(bins.sum(), 1), 1e-4)[None]
    at = np.zeros(len(level), np.int64)
    for one in range(level.shape[1]):
        at = at * levels + level[:, one]
        coarser = np.repeat(rate, levels)
        held = np.bincount(at, spikes, minlength=len(coarser))
        seen = np.bincount(at, bins, minlength=len(coarser))
        rate = (held + prior) / (seen + prior / coarser)
    return rate
