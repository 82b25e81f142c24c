"""The quickstart stops its fits early, but not half-way."""

from __future__ import annotations

import jax
import numpy as np
import pytest

import retina
from retina.search import experiment, grid

pytestmark = pytest.mark.slow

PATIENCE = 4
STEPS = 40  # of L-BFGS, whose evaluations are every 4 of them or every 10


def test_every_model_is_within_2_percent_of_its_converged_validation_score():
    split = retina.split(retina.load("simulated"))
    for job in grid.jobs(experiment.read("quickstart")):
        model = retina.model(job.model, split.spec, **job.settings)
        key = jax.random.key(job.key)
        soon = retina.fit(model, split, key=key, **job.fit)
        late_recipe = {**job.fit, "patience": PATIENCE}
        if model.recipe.optimiser == "lbfgs":
            late_recipe["settle"] = 1e-7
            late_recipe["patience"] = STEPS // (4 if model.independent else 10)
        late = retina.fit(model, split, key=key, **late_recipe)
        assert late.training["converged"]
        reached, possible = (np.median(f.validation["per_cell"]) for f in (soon, late))
        assert reached >= possible - 0.02 * abs(possible), job.label
