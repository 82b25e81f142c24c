"""Recipes fitted side by side: each as it would be alone, and the best is kept."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest

from retina import build
from retina.errors import BadSetting, BrokenRun
from retina.fitting.clips import tabulate
from retina.fitting.descent import objective
from retina.fitting.fit import fit
from retina.fitting.loop import Loop
from retina.fitting.start import mean_counts
from retina.fitting.tuning import candidates, weights, widest
from retina.parameter import Parameter
from retina.stage import Recipe
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


@pytest.mark.slow
def test_each_combination_is_the_fit_that_it_would_be_alone(split):
    model = _model(split)
    lists: dict[str, Any] = {"learning_rate": [1e-3, 3e-2], "l2": [0.0, 1.0]}
    both = fit(model, split, key=KEY, seeds=2, **QUICK, **lists)
    tuned = both.training["tuned"]
    pairs = [(one["learning_rate"], one["l2"]) for one in tuned]
    assert pairs == [(1e-3, 0.0), (1e-3, 1.0), (3e-2, 0.0), (3e-2, 1.0)]
    each = []
    for one in tuned:
        recipe = {"learning_rate": one["learning_rate"], "l2": one["l2"]}
        alone = fit(model, split, key=KEY, seeds=2, **QUICK, **recipe)
        each.append(alone)
        assert alone.training["tuned"] == []
        # Rounding in batched products grows on the way: see test_descent.
        median = np.median([max(line) for line in _bits_of_seeds(alone)])
        assert one["validation_bits"] == pytest.approx(median, abs=2e-3)
    best = max(tuned, key=lambda one: one["validation_bits"])
    assert {name: both.training[name] for name in lists} == {
        name: best[name] for name in lists
    }
    assert len(both.seeds) == 2
    kept = each[tuned.index(best)]
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


def test_a_price_on_activity_is_of_its_lane_as_well(split):
    model = build.model("mean", split.spec)
    asked = QUICK | {"optimiser": "adam", "activity": [0.0, 0.25]}
    recipes = candidates(model, asked)
    assert weights(recipes, 2)["activity"].tolist() == [0.0, 0.0, 0.25, 0.25]
    assert widest(recipes).activity == 0.25
    table, null = tabulate(model, split.train, 64), mean_counts(split.train)
    free = model.stage.init(KEY)
    data = table.first[:2], table.stimulus, table.counts, 0
    own = jax.jit(objective(model, table, null, activity=0.5))
    none, price = (
        own(free, (free, {"activity": np.float32(one)}), *data)[0] for one in (0, 0.25)
    )
    assert price > none + 0.01
    alone = jax.jit(objective(model, table, null, activity=0.25))
    np.testing.assert_allclose(alone(free, (free, {}), *data)[0], price, rtol=1e-6)


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


class _Scripted:
    """Two recipes of two seeds: validation bits by lane and step, and the losses."""

    # The second recipe has the better median, the first the best lane; the second's
    # lanes stand still from step 2 on, the first's never do.
    bits = ((0, 0, 0, 0), (1, 0, 2, 3), *((1.4 + 0.4 * n, 0, 2, 3) for n in range(9)))
    walk, last, every, settled = None, np.zeros(1), 1, False
    fixed: Any = {"x": jax.numpy.zeros(4)}
    sound = np.ones(4, bool)

    def __init__(self, lost: dict[int, list[int]]):
        self.step, self.lost = 0, lost

    @property
    def judged(self):
        return {"x": jax.numpy.zeros(4)}

    def advance(self, step, rate):
        self.step = step + 1
        losses = np.array([8.0, 7.0, 3.0, 4.0]) - 0.1 * self.step
        for first, lanes in self.lost.items():
            losses[lanes] = np.nan if self.step >= first else losses[lanes]
        return losses, 1

    def rate(self, step, rate):
        return None

    def score(self, params):
        bits = np.array(self.bits[self.step], float)
        return bits, bits + 0.5


def _scripted(split, lost: dict[int, list[int]]):
    walker, told = _Scripted(lost), []
    settings = Recipe(patience=1, max_steps=10)
    lanes: dict[str, Any] = {"rates": 0.1, "recipes": 2}
    loop = Loop(walker, {"x": Parameter()}, walker.score, settings, 0.0, **lanes)
    loop.run(_model(split), {}, told.append, None)
    return loop, told


def test_what_is_told_is_of_the_recipe_that_is_kept(split):
    loop, told = _scripted(split, {})
    assert told[-1]["step"] == 10, "the other goes on"
    assert told[-1]["validation_bits"] == 3 and told[-1]["validation_median"] == 3.5
    assert told[-1]["train_loss"] == pytest.approx(3.0)
    assert loop.lanes == slice(2, 4)
    training = loop.training(3)
    assert training["converged"] and training["stopped"] == ""
    assert training["steps"] == 4 and training["best_step"] == 1
    assert [line["step"] for line in loop.curve] == [0, 1, 2, 3, 4]
    assert [line["validation_bits"] for line in loop.curve] == [0, 3, 3, 3, 3]
    assert loop.curve[2]["train_loss"] == pytest.approx(3.8)


def test_a_loss_that_explodes_in_a_recipe_that_is_not_kept_stops_nothing(split):
    loop, _ = _scripted(split, {6: [0, 1]})
    training = loop.training(3)
    assert training["converged"] and training["stopped"] == ""


def test_a_recipe_that_explodes_and_is_kept_has_not_converged(split):
    loop, _ = _scripted(split, {3: [2, 3]})
    training = loop.training(3)
    assert not training["converged"] and training["steps"] == 3
    assert "became nan between steps 2 and 3" in training["stopped"]
    assert "parameters of step 1, the best on validation" in training["stopped"]


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
