"""The quickstart stops its fits early, but not half-way."""

from __future__ import annotations

import jax
import numpy as np
import pytest

import retina
from retina.search import experiment, grid
from retina.search.job import Job
from retina.types import Split

pytestmark = [pytest.mark.slow, pytest.mark.fast_code]

PATIENCE = 4
STEPS = 40  # of L-BFGS, whose evaluations are every 4 of them or every 10


@pytest.fixture(scope="module")
def split() -> Split:
    return retina.split(retina.load("simulated"))


@pytest.mark.parametrize(
    "job", grid.jobs(experiment.read("quickstart")), ids=lambda job: job.label
)
def test_it_is_within_2_percent_of_its_converged_validation_score(
    job: Job, split: Split
):
    """The fit goes on where it stopped, at its first rate and with more patience."""
    model = retina.model(job.model, split.spec, **job.settings)
    key = jax.random.key(job.key)
    soon = retina.fit(model, split, key=key, **job.fit)
    recipe = {**job.fit, "patience": PATIENCE}
    if model.recipe.optimiser == "lbfgs":
        recipe["settle"] = 1e-7
        recipe["patience"] = STEPS // (4 if model.independent else 10)
    late = retina.fit(model, split, key=key, start=soon, **recipe)
    assert late.training["converged"]
    reached, possible = (np.median(f.validation["per_cell"]) for f in (soon, late))
    assert reached >= possible - 0.02 * abs(possible)
