"""A control: few FLOPs, and comparisons in their place."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from retina.errors import MissingExtra, at_least_one
from retina.fitting.projections import examples, separable_filters
from retina.fitting.start import mean_counts
from retina.layers.decision_trees import decision_trees
from retina.layers.door import door, image_shape
from retina.layers.fir import temporal_basis
from retina.layers.nonlinearity import output, output_from_mean
from retina.layers.projections import projections, stepwise
from retina.recipe import Recipe
from retina.stage import Model, chain
from retina.types import Spec


def boosted_trees(
    spec: Spec,
    /,
    *,
    lags: int = 30,
    window: int = 13,
    filters: int = 2,
    past: int = 4,
    trees: int = 60,
    depth: int = 4,
    shrinkage: float = 0.1,
) -> Model:
    """Each cell's stimulus on a few filters, now and some bins ago; trees; exp.

    lags, window, filters: as in `lookup_table`.
    past:      bins at which the trees see each projection, the present one included.
    trees:     per cell, one after the other on the gradient of the Poisson deviance.
    depth:     comparisons from a tree's root to its leaf.
    shrinkage: of each tree's leaves as it is added.
    source:    Friedman 2001, doi 10.1214/aos/1013203451 (boosting).

    Nothing is fitted by gradient: scikit-learn grows the trees on the training clips,
    without early stopping. `pip install 'retina-frontier[trees]'`

    >>> boosted_trees(Spec((8, 8), 3, 0.01), lags=5, past=2).stage.lags
    5
    """
    at_least_one(lags=lags, window=window, filters=filters)
    at_least_one(past=past, trees=trees, depth=depth)
    filters = min(filters, lags)
    image, cells = image_shape(spec), spec.cells
    bank = projections(image, cells, lags, filters, window)
    before = temporal_basis((cells, filters), past, past)
    forest = decision_trees((cells, filters, past), trees, depth)
    front = chain(door(spec), bank, before)

    def warm_start(params, clips):
        params = params | {
            "projections": separable_filters(clips, spec, lags, filters, window)
        }
        seen, said, trials = examples(front, params, clips)
        seen = seen.reshape(*seen.shape[:2], -1)
        start = output_from_mean("exp", params["output"], mean_counts(clips))
        bias = np.array(start["bias"])
        heaps = []
        for n in range(cells):
            if not said[:, n].any():  # a silent cell keeps its floor
                heaps.append(heap_of([], trees, depth))
                continue
            grown = grow(seen[:, n], said[:, n], trials, trees, depth, shrinkage)
            bias[n] = grown._baseline_prediction.item()
            heaps.append(heap_of([t[0].nodes for t in grown._predictors], trees, depth))
        return params | {
            "decision_trees": {
                name: jnp.asarray(np.stack([heap[name] for heap in heaps]))
                for name in heaps[0]
            },
            "output": {"bias": jnp.asarray(bias)},
        }

    return Model(
        "boosted_trees",
        spec,
        stepwise(door(spec), bank, before, forest, output("exp", cells)),
        warm_start=warm_start,
        recipe=Recipe("lbfgs", max_steps=0),
    )


def grow(
    features: np.ndarray,
    counts: np.ndarray,
    weights: np.ndarray,
    trees: int,
    depth: int,
    shrinkage: float,
) -> Any:
    """scikit-learn's gradient boosting of Poisson counts, fitted.

    features: (n, feature). counts, weights: (n,).
    raises:   MissingExtra where scikit-learn is not installed.
    """
    try:
        from sklearn.ensemble import (  # type: ignore[import-not-found]
            HistGradientBoostingRegressor,
        )
        from threadpoolctl import threadpool_limits  # type: ignore[import-not-found]
    except ImportError:
        raise MissingExtra(
            "boosted trees are grown by the package scikit-learn, which is not "
            "installed: pip install 'retina-frontier[trees]'"
        ) from None
    booster: Any = HistGradientBoostingRegressor
    booster = booster(
        loss="poisson",
        learning_rate=shrinkage,
        max_iter=trees,
        max_depth=depth,
        max_leaf_nodes=None,
        early_stopping=False,
        random_state=0,  # of the sample that the histograms' edges are found on
    )
    # Its threads wait for each other at every node: where others work on the same
    # cores, several take far longer than one.
    with threadpool_limits(1, user_api="openmp"):
        return booster.fit(features, counts, sample_weight=weights)


def heap_of(grown: list[np.ndarray], trees: int, depth: int) -> dict[str, np.ndarray]:
    """One cell's trees as `decision_trees` has them.

    grown:   per tree, scikit-learn's array of nodes. Fewer than `trees` are filled up
             with trees that say 0.
    returns: "feature" int32, "threshold" and "leaf" float32, all (trees, 2 ** depth).
    """
    size = (trees, 2**depth)
    feature = np.zeros(size, np.int32)
    threshold = np.full(size, np.inf, np.float32)  # all to the left
    leaf = np.zeros(size, np.float32)
    for tree, nodes in enumerate(grown):
        waiting = [(0, 1, 0)]
        while waiting:
            node, place, level = waiting.pop()
            row = nodes[node]
            if row["is_leaf"]:
                leaf[tree, (place << (depth - level)) - 2**depth] = row["value"]
                continue
            feature[tree, place] = row["feature_idx"]
            threshold[tree, place] = _rounded_down(row["num_threshold"])
            waiting.append((row["left"], 2 * place, level + 1))
            waiting.append((row["right"], 2 * place + 1, level + 1))
    return {"feature": feature, "threshold": threshold, "leaf": leaf}


def _rounded_down(threshold: float) -> np.float32:
    """So that a float32 feature is above it where it is above the threshold itself."""
    near = np.float32(threshold)
    above = float(near) > float(threshold)
    return np.nextafter(near, np.float32(-np.inf)) if above else near
