"""`compare` judges what `score` reports: the median over seeds, not one of them."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import jax
import numpy as np
import pytest

import retina
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
