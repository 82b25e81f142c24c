"""The verb `reduce`: refit, lineage, compositions, and what it refuses."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np
import pytest

import retina
from retina import registry, store
from retina.errors import BadSetting, UnknownName
from retina.fitting.loss import validator
from retina.reduction import steps
from retina.reduction.steps import (
    EVENTS,
    claims,
    divided,
    joined,
    kept_recipe,
    reduce,
)
from tests.reduction.parents import KEY, drawn, recording

SPLIT = recording(train=800)


@pytest.fixture(scope="module")
def fitted():
    model = retina.model("ln", SPLIT.spec, lags=6, rank=None, window=4)
    return retina.fit(model, SPLIT, key=jax.random.key(0), max_steps=30)


@pytest.fixture(scope="module")
def small(fitted):
    """Two methods in a row; the sparse one is refitted within its mask."""
    return reduce(
        "factorise,prune", fitted, SPLIT, key=KEY, refit_steps=12, rank=2, keep=0.4
    )


def test_a_refit_repairs_and_never_harms(fitted, small):
    for step in small.training["lineage"]:
        bits = step["validation"]
        assert bits["cut"] < bits["refitted"], "a cut that hurt is fitted again"
    assert bits["refitted"] == small.validation["mean"]
    judged = validator(small.model, SPLIT.validation, small.null_rate)(small.params)
    np.testing.assert_allclose(judged.mean(), bits["refitted"], rtol=1e-6)


def test_the_lineage_tells_each_method_from_the_first_fit_on(fitted, small, tmp_path):
    first, second = small.training["lineage"]
    assert (first["method"], second["method"]) == ("factorise", "prune")
    assert (first["of"], second["of"]) == ("ln", "ln")
    assert first["settings"] == {"rank": 2, "basis": None}
    assert first["validation"]["before"] == fitted.validation["mean"]
    assert second["validation"]["before"] == first["validation"]["refitted"]
    for step in (first, second):
        for before, after in step["cost"].values():
            assert after <= before
    store.save(small, tmp_path / "run")
    again = store.load(tmp_path / "run")
    assert again.training["lineage"] == small.training["lineage"]


def test_what_is_pruned_stays_so_through_the_refit(small):
    # 0.4 of 3 cells x rank 2 x 4 x 4 weights, and of as many filters of 6 free lags.
    assert int(np.sum(small.params["spatial"]["filters_kept"])) == 38
    assert int(np.sum(small.params["temporal"]["weights_kept"])) == 14
    settings = dict(small.model.settings)
    assert (small.model.name, settings["of"]) == ("pruned", "ln")
    cost = retina.cost(small.model, small.params, SPLIT)
    assert cost.sparse_flops_per_bin < cost.flops_per_bin


def test_without_a_refit_the_cut_is_what_comes_back(fitted):
    made = reduce("quantise", fitted, SPLIT, key=KEY, refit_steps=0, kind="int4")
    (step,) = made.training["lineage"]
    assert step["validation"]["cut"] == step["validation"]["refitted"]
    assert made.training["steps"] == 0
    for a, b in zip(
        jax.tree.leaves(made.params), jax.tree.leaves(fitted.params), strict=True
    ):
        # There and back through the unbounded parameters that an optimiser moves.
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_what_is_measured_is_told_of_the_model_that_was_refitted(fitted, monkeypatch):
    """Activity hangs on the parameters, which a refit moves."""
    seen = []

    def measured(columns, model, params, split):
        seen.append(params)
        return {EVENTS: 10 - len(seen)}

    monkeypatch.setattr(steps, "claims", lambda *_: (EVENTS,))
    monkeypatch.setattr(steps, "figures", measured)
    made = reduce("prune", fitted, SPLIT, key=KEY, refit_steps=1, keep=0.5)
    assert made.training["lineage"][0]["cost"] == {EVENTS: (9, 7)}
    assert seen[-1] is made.params


def test_a_fit_keeps_the_settings_it_was_made_with():
    fit = drawn("cnn", SPLIT, lags=4, channels=2)
    asked = {"learning_rate": 0.5, "l2": 0.1}
    recipe = {"optimiser": "adam", "max_steps": 7, "scatter": 1.0, **asked}
    fit = dataclasses.replace(fit, training=recipe)
    # Neither its length, nor what throws a start away.
    assert kept_recipe(fit, fit.model) == asked
    # Another model goes by its own recipe; under L-BFGS no learning rate is used.
    assert kept_recipe(fit, retina.model("ln", SPLIT.spec)) == {"l2": 0.1}


@pytest.mark.parametrize(
    ("method", "settings", "error", "says"),
    [
        ("chanels", {}, UnknownName, "did you mean 'channels'"),
        ("prune", {"kep": 0.1}, BadSetting, "no keyword 'kep': did you mean 'keep'"),
        ("prune", {"keep": "few"}, BadSetting, "keep='few' of prune"),
        ("prune", {"max_steps": 3}, BadSetting, "has no keyword 'max_steps'"),
        ("prune,prune", {}, BadSetting, "name each reduction once"),
        (
            "taps,prune",
            {"keep": 0.5},
            BadSetting,
            "keep is a keyword of taps and of prune: say whose, taps.keep=... and "
            "prune.keep=...",
        ),
        (
            "prune",
            {"keep": 0.5, "prune.keep": 0.4},
            BadSetting,
            "keep of prune is given twice",
        ),
        ("prune", {"taps.keep": 0.5}, BadSetting, "'prune' has no keyword 'taps.keep'"),
        (
            "prune",
            {"refit_steps": -1},
            BadSetting,
            "refit_steps -1: a whole number, 0 or more",
        ),
        ("prune", {"keep": 1.0}, BadSetting, "prune would lower nothing here"),
        ("taps", {"keep": 1.0}, BadSetting, "flops_per_bin [0-9,]+ before"),
    ],
)
def test_what_is_refused(fitted, method, settings, error, says):
    with pytest.raises(error, match=says):
        reduce(method, fitted, SPLIT, key=KEY, **settings)


def test_a_claim_names_figures_of_cost():
    def mine(fit, split, key, /):
        """lowers: flops_per_bin, depth"""

    def silent(fit, split, key, /):
        """Nothing is said."""

    def wrong(fit, split, key, /):
        """lowers: flop_per_bin"""

    assert claims(mine, "mine") == ("flops_per_bin", "depth")
    with pytest.raises(BadSetting, match="does not say which cost it lowers"):
        claims(silent, "silent")
    with pytest.raises(BadSetting, match="did you mean 'flops_per_bin'"):
        claims(wrong, "wrong")


def test_settings_go_to_the_method_that_has_them():
    methods = {
        "taps": lambda fit, split, key, /, *, keep=0.5: None,
        "quantise": lambda fit, split, key, /, *, kind="int8": None,
    }
    settings = {"keep": 0.3, "kind": "int4", "learning_rate": 0.1}
    own, recipe = divided(settings, methods)
    assert own == {"taps": {"keep": 0.3}, "quantise": {"kind": "int4"}}
    assert recipe == {"learning_rate": 0.1}


def test_a_keyword_of_several_methods_is_told_to_each():
    methods = {name: registry.find("reductions", name) for name in ("taps", "prune")}
    told = {"taps.keep": 0.7, "prune.keep": 0.4, "l2": 0.1}
    own, recipe = divided(told, methods)
    assert own == {"taps": {"keep": 0.7}, "prune": {"keep": 0.4}}
    assert recipe == {"l2": 0.1}
    assert joined(own, methods) | recipe == told


@pytest.mark.slow
def test_half_of_a_cnn_keeps_most_of_what_it_knows():
    """A real fit: without the refit the cut is worse than the mean rate."""
    split = recording(train=2500)
    settings = {"lags": 5, "basis": 4, "sizes": (3, 3), "readout_rank": 2}
    model = retina.model("cnn", split.spec, channels=6, **settings)
    large = retina.fit(model, split, key=jax.random.key(0), max_steps=300)
    half = reduce("channels", large, split, key=KEY, refit_steps=100)
    cost = [retina.cost(one.model, one.params, split) for one in (large, half)]
    assert cost[1].flops_per_bin < 0.5 * cost[0].flops_per_bin
    assert half.validation["median"] > 0.85 * large.validation["median"]
    bits = half.training["lineage"][0]["validation"]
    assert bits["cut"] < bits["refitted"]
