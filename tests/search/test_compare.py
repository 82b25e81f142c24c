"""`compare` judges what `score` reports: the median over seeds, not one of them."""

from __future__ import annotations

import dataclasses

import jax
import pytest

import retina
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
