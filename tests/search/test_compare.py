"""`compare` judges what `score` reports: the median over seeds, not one of them."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import jax
import numpy as np
import pytest

import retina
from retina.metrics.compare import Difference
from retina.search import compare
from retina.search.bins import Same
from tests.fitting import synthetic


def test_the_seed_that_is_kept_decides_nothing_alone():
    split = synthetic.split(synthetic.truth((), 6), train=2000, held_out=1500)
    model = retina.model("mean", split.spec)
    fit = retina.fit(model, split, key=jax.random.key(0))
    bad = jax.tree.map(lambda leaf: 3 * leaf, fit.params)
    seeds = (bad, fit.params, fit.params)
    several = dataclasses.replace(fit, params=bad, seeds=seeds)
    (found,) = retina.compare({"one": fit, "several": several}, split)
    median = [
        retina.score(f, split.test).metrics["bits_per_spike"].median
        for f in (fit, several)
    ]
    assert median[0] == pytest.approx(median[1])
    assert found.difference.median == 0 and not found.difference.decided


def test_of_many_comparisons_what_is_plain_can_be_told(monkeypatch):
    """Each of five models is much worse than the one before, on all of twelve cells."""
    rng = np.random.default_rng(0)
    rate = rng.gamma(1.0, 0.3, (400, 12))
    counts = rng.poisson(rate, (3, 400, 12)).astype(float)
    models = {f"m{n}": [[(3**n * rate, counts)]] for n in range(5)}
    same = Same("frozen", models, rate.mean(0), 1 / 30)
    monkeypatch.setattr(compare, "same_bins", lambda *_: [same])
    fits = dict.fromkeys(models, SimpleNamespace(training={}))
    found = compare.compare(fits, None)  # type: ignore[arg-type]
    assert all(one.difference.decided and one.p_holm < 0.05 for one in found)
    few = compare.compare(fits, None, draws=1000)  # type: ignore[arg-type]
    assert all(one.p_holm > 0.05 for one in few)


@pytest.mark.parametrize(
    ("metric", "fits", "draws"),
    [
        ("pearson", 3, 1000),
        ("pearson", 4, 20_000),
        ("time_rescaling", 4, 20_000),  # cells are drawn, nothing is scored again
        (f"{__name__}:anew", 4, 1000),
    ],
)
def test_draws_are_many_where_they_are_needed_and_quick(
    monkeypatch, metric, fits, draws
):
    asked = []

    def drawn(*_, names, draws, **__):
        asked.append(draws)
        return Difference(metric, names, 0.1, (0.0, 0.2), (0.1,), 1, 1, 0.5)

    models = {f"m{n}": [[]] for n in range(fits)}
    same = Same("frozen", models, np.ones(1), 1 / 30)
    monkeypatch.setattr(compare, "same_bins", lambda *_: [same])
    monkeypatch.setattr(compare, "paired", drawn)
    named = dict.fromkeys(models, SimpleNamespace(training={}))
    compare.compare(named, None, metric)  # type: ignore[arg-type]
    assert asked == [draws] * (fits - 1)


def anew(rate, response):
    return rate[0]
