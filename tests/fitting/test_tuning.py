"""Recipes fitted side by side: each as it would be alone, and the best is kept."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest

from retina import build
from retina.errors import BadSetting, BrokenRun
from retina.fitting.fit import fit
from retina.types import Split
from tests.fitting import synthetic

KEY = jax.random.key(0)
QUICK: dict[str, Any] = {
    "batch": 2,
    "clip_bins": 64,
    "max_steps": 80,
    "schedule": "constant",
}


@pytest.fixture(scope="module")
def split() -> Split:
    return synthetic.split(synthetic.truth(), train=400)


def _model(split: Split):
    return build.model("lnln", split.spec, lags=5, basis=3, subunits=2)


def test_each_combination_is_the_fit_that_it_would_be_alone(split):
    model = _model(split)
    lists: dict[str, Any] = {"learning_rate": [1e-3, 3e-2], "l2": [0.0, 1.0]}
    both = fit(model, split, key=KEY, seeds=2, **QUICK, **lists)
    tuned = both.training["tuned"]
    pairs = [(one["learning_rate"], one["l2"]) for one in tuned]
    assert pairs == [(1e-3, 0.0), (1e-3, 1.0), (3e-2, 0.0), (3e-2, 1.0)]
    for one in tuned:
        recipe = {"learning_rate": one["learning_rate"], "l2": one["l2"]}
        alone = fit(model, split, key=KEY, seeds=2, **QUICK, **recipe)
        assert alone.training["tuned"] == []
        # Rounding in batched products grows on the way: see test_descent.
        median = np.median([max(line) for line in _bits_of_seeds(alone)])
        assert one["validation_bits"] == pytest.approx(median, abs=2e-3)
    best = max(tuned, key=lambda one: one["validation_bits"])
    assert {name: both.training[name] for name in lists} == {
        name: best[name] for name in lists
    }
    assert len(both.seeds) == 2
    kept = fit(
        model, split, key=KEY, seeds=2, **QUICK, **{name: best[name] for name in lists}
    )
    assert both.validation["chosen_seed"] == kept.validation["chosen_seed"]
    np.testing.assert_allclose(
        both.validation["seeds"], kept.validation["seeds"], atol=2e-3
    )


def _bits_of_seeds(fitted) -> list[list[float]]:
    return [[bits] for bits in fitted.validation["seeds"]]


def test_a_regulariser_is_of_its_lane_alone(split):
    """A weight so large that nothing is left of the filters, beside none at all."""
    quick = QUICK | {"learning_rate": 3e-2, "max_steps": 400}
    told = fit(_model(split), split, key=KEY, **quick, l2=[0.0, 1e3]).training["tuned"]
    free, crushed = (one["validation_bits"] for one in told)
    assert free > crushed + 0.05


def test_a_rate_that_explodes_does_not_end_the_others(split):
    rates = [1e-2, 1e30]
    fitted = fit(_model(split), split, key=KEY, **QUICK, learning_rate=rates)
    alone = fit(_model(split), split, key=KEY, **QUICK, learning_rate=1e-2)
    assert fitted.training["learning_rate"] == 1e-2
    assert fitted.training["stopped"] == "" and fitted.training["exploded"] == []
    assert fitted.training["steps"] == alone.training["steps"] == 80
    np.testing.assert_allclose(
        fitted.validation["median"], alone.validation["median"], atol=2e-3
    )


def test_a_checkpoint_of_other_recipes_is_refused(split, tmp_path):
    place = tmp_path / "checkpoint"
    lists: dict[str, Any] = {"learning_rate": [1e-2, 1e-1]}
    fit(_model(split), split, key=KEY, checkpoint=place, **QUICK, **lists)
    with pytest.raises(BrokenRun, match=r"learning_rate \[0.01, 0.1\] there, 0.01"):
        fit(
            _model(split),
            split,
            key=KEY,
            checkpoint=place,
            **QUICK,
            learning_rate=1e-2,
        )


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ({"learning_rate": []}, "at least one"),
        ({"learning_rate": [1e-2, -1.0]}, "above 0"),
        ({"l2": [0.0, -1.0]}, "0 or more"),
        ({"batch": [1, 2]}, "valid integer"),
        ({"optimiser": "lbfgs", "l2": [0.0, 1.0]}, "optimiser=adam"),
    ],
)
def test_lists_that_cannot_be_fitted_are_refused(split, recipe, said):
    with pytest.raises(BadSetting, match=said):
        fit(_model(split), split, key=KEY, **(QUICK | recipe))
