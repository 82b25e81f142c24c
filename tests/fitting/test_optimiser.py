"""Directions and schedules by name."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from retina import build
from retina.errors import BadSetting
from retina.fitting.fit import fit
from retina.fitting.optimiser import FALLING, NAMES, direction, rates
from retina.fitting.recipe import checked_recipe
from retina.types import Spec
from tests.fitting import synthetic


@pytest.mark.parametrize("name", NAMES)
def test_each_direction_leads_downhill(name):
    """On a bowl: a small step along it lowers the loss, and keeps the tree's dtypes."""
    params = {"a": jnp.array([1.0, -2.0]), "b": jnp.full((2, 3), 0.5)}

    def loss(tree):
        return jnp.sum(jnp.square(tree["a"])) + jnp.sum(jnp.square(tree["b"]))

    towards = direction(name)

    @jax.jit
    def step(params, moments):
        with jax.numpy_dtype_promotion("standard"):
            move, moments = towards.update(jax.grad(loss)(params), moments, params)
        return jax.tree.map(lambda p, m: p + 1e-2 * m, params, move), moments

    moved, moments = params, towards.init(params)
    for _ in range(20):
        moved, moments = step(moved, moments)
    assert loss(moved) < loss(params)
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(moved))


@pytest.mark.parametrize("name", FALLING)
def test_a_falling_schedule_rises_briefly_and_ends_low(name):
    whole = rates(name, 0, 1000, 1000)
    assert whole[0] == 0 and whole.max() == pytest.approx(1, abs=1e-3)
    assert np.argmax(whole) == 20
    assert np.all(np.diff(whole[20:]) <= 0)
    assert whole[-1] < 0.02
    # A resumed fit asks for a part, and gets that part.
    assert np.array_equal(rates(name, 300, 50, 1000), whole[300:350])


@pytest.mark.parametrize("name", ["plateau", "constant"])
def test_the_others_leave_the_rate_alone(name):
    assert rates(name, 7, 3, 10).tolist() == [1, 1, 1]


def test_a_falling_schedule_runs_to_its_end_and_a_plateau_does_not():
    split = synthetic.split(synthetic.truth(), train=400)
    model = build.model("lnln", split.spec, lags=5, basis=3, subunits=2)
    recipe: dict[str, Any] = {
        "max_steps": 400,
        "batch": 4,
        "learning_rate": 3e-2,
    }
    key = jax.random.key(0)
    cosine = fit(model, split, key=key, schedule="cosine", **recipe)
    assert cosine.training["steps"] == 400 and cosine.training["converged"]
    constant = fit(model, split, key=key, schedule="constant", **recipe)
    assert constant.training["steps"] == 400 and not constant.training["converged"]
    recipe |= {"max_steps": 4000, "patience": 1}
    plateau = fit(model, split, key=key, **recipe)
    assert plateau.training["steps"] < 4000 and plateau.training["converged"]


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"optimiser": "adamm"}, "'adamm'.*did you mean 'adam'"),
        ({"schedule": "cosin"}, "'cosin': did you mean 'cosine'"),
    ],
)
def test_a_name_that_is_none_is_one_line(setting: dict[str, Any], words: str):
    split = synthetic.split(synthetic.truth(), train=400)
    model = build.model("lnln", split.spec, lags=5, basis=3, subunits=2)
    with pytest.raises(BadSetting, match=words):
        fit(model, split, key=jax.random.key(0), **setting)


@pytest.mark.parametrize(
    ("model", "settings", "words"),
    [
        ("ln", {"learning_rate": 0.1}, "learning_rate does nothing under lbfgs.*=adam"),
        ("ln", {"batch": 8}, "batch does nothing under lbfgs"),
        ("ln", {"clip_bins": 64}, "clip_bins does nothing under lbfgs"),
        ("ln", {"in_turn": True}, "in_turn does nothing under lbfgs"),
        ("ln", {"schedule": "cosine"}, "schedule does nothing under lbfgs"),
        ("ln", {"schedule": "constant", "patience": 3}, "schedule constant.*=plateau"),
        ("ln", {"optimiser": "adam", "settle": 1e-3}, "settle.*under adam.*=lbfgs"),
        ("bn_cnn", {"settle": 1e-3}, "settle does nothing under adam: leave it out$"),
        ("bn_cnn", {"in_turn": True}, "in_turn does nothing for bn_cnn"),
    ],
)
def test_a_setting_that_does_nothing_is_refused(model, settings, words):
    made = build.model(model, Spec((40, 40), 1, 0.01))
    with pytest.raises(BadSetting, match=words):
        checked_recipe(made, settings)


def test_settings_that_do_something_together_pass():
    made = build.model("ln", Spec((4, 4), 1, 0.01))
    adam = {"optimiser": "adam", "learning_rate": 0.1, "batch": 8}
    assert checked_recipe(made, adam).learning_rate == 0.1
    assert checked_recipe(made, {"settle": 1e-3, "patience": 3}).settle == 1e-3
