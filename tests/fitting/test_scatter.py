"""Starts of several seeds: apart, within bounds, and as the key says."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from retina import build
from retina.errors import BadSetting
from retina.fitting.fit import fit, started
from retina.fitting.recipe import checked_recipe
from retina.fitting.scatter import scattered
from retina.parameter import Parameter
from tests.fitting import synthetic

MANY = 4000
TREE = {
    "between": Parameter(2.0, "1/s", 1.0, 5.0),
    "above": Parameter(0.1, "s", low=0.0),
    "below": Parameter(-1.0, "mV", high=0.0),
    "free": Parameter(-3.0),
    "zero": Parameter(0.0),
    "weights": Parameter(axes=("input",)),
    "held": Parameter(1.0, trainable=False),
}


def test_each_kind_of_bound_has_its_own_factor():
    params = {n: jnp.full(MANY, p.value or 0.0, "f4") for n, p in TREE.items()}
    params["weights"] = jnp.arange(4.0) - 1
    moved = scattered(TREE, params, jax.random.key(0), 0.5)
    x = {name: np.asarray(value, np.float64) for name, value in moved.items()}
    assert np.all((x["between"] > 1) & (x["between"] < 5))
    assert np.all(x["above"] > 0) and np.all(x["below"] < 0) and np.all(x["free"] < 0)
    logs = (
        np.log((x["between"] - 1) / (5 - x["between"]) * 3),
        np.log(x["above"] / 0.1),
        np.log(-x["below"]),
        np.log(x["free"] / -3),
        x["zero"],
    )
    for one in logs:
        # 4000 draws of s.d. 0.5: the mean is off by 0.008, the s.d. by 0.006.
        assert abs(one.mean()) < 0.04 and abs(one.std() - 0.5) < 0.03
    # Weights keep their shape.
    factor = x["weights"][3] / 2
    np.testing.assert_allclose(x["weights"], factor * (np.arange(4) - 1), rtol=1e-6)
    assert abs(np.log(factor)) > 1e-3 and np.all(x["held"] == 1)


@pytest.mark.parametrize("amount", [0.0, 1.0])
def test_seeds_of_a_mechanistic_model_start_apart_and_within_bounds(amount):
    split = synthetic.split(synthetic.truth(), train=200, held_out=100)
    model = build.model("lnk", split.spec, lags=4, rank=None)
    starts = started(model, split, jax.random.key(0), 3, amount)
    described = model.stage.parameters["kinetics"]
    for name, values in starts["kinetics"].items():
        each, p = np.asarray(values), described[name]
        assert np.all((each > p.low) & (each < p.high))
        apart = np.log(each).std(axis=0)
        # `init` alone spreads them by a tenth each way: an s.d. of 0.06.
        assert np.all(apart > 0.01), name
        assert np.all(apart < 0.12) or amount
    wide = np.log(np.asarray(starts["kinetics"]["k_sr0"])).std()
    assert wide > 0.3 or not amount


def test_a_start_follows_from_the_key_and_the_number_of_seeds_changes_none():
    split = synthetic.split(synthetic.truth(), train=200, held_out=100)
    model = build.model("lnk", split.spec, lags=4, rank=None)
    one, again, other = (
        started(model, split, jax.random.key(key), 2, 1.0) for key in (0, 0, 1)
    )
    rates = [np.asarray(a["kinetics"]["k_a"]) for a in (one, again, other)]
    assert np.array_equal(rates[0], rates[1]) and np.all(rates[0] != rates[2])


def test_a_fit_takes_it_from_its_recipe():
    split = synthetic.split(synthetic.truth(), train=200, held_out=100)
    model = build.model("lnk", split.spec, lags=4, rank=None)
    made = fit(
        model,
        split,
        key=jax.random.key(0),
        seeds=2,
        scatter=1.0,
        max_steps=0,
        warm_up_s=1.0,
    )
    one, two = (np.asarray(seed["kinetics"]["k_a"]) for seed in made.seeds)
    assert np.all(np.abs(np.log(one / two)) > 0.05)
    assert made.training["scatter"] == 1.0
    with pytest.raises(BadSetting, match="scatter -1: 0 or more"):
        checked_recipe(model, {"scatter": -1.0})
