"""Every price in the README's tables is what retina counts today, before any fit.

They were counted on the fits: so a price hangs on no parameter's value, and what was
never fitted has an exact one as well.
"""

from __future__ import annotations

import json
from typing import Any

import jax
import pytest

import retina
from retina import resources
from retina.reports import result
from retina.search import experiment, grid
from retina.search.budget import apart

pytestmark = pytest.mark.slow

ASKED = experiment.read("frontier")
# A bit is one that a fit tells: a price per bit needs its score.
PER_FIT = "flops_per_bit"


def of_the_shape(split: Any, name: str, settings: Any) -> dict[str, Any]:
    """The row of a model whose parameters have no values yet."""
    model = retina.model(name, split.spec, **settings)
    shapes = jax.eval_shape(model.stage.init, jax.random.key(0))
    row = {"model": name, "recording": "", "why": ""}
    priced = row | {"cost": retina.cost(model, shapes, split)}
    return result.result([], {}, untried=[priced])["untried"][0]["cost"]


@pytest.mark.parametrize("recording", ASKED.recordings())
def test_the_prices_of_the_frontier(real, recording):
    name, cells = apart(recording)
    real(name)
    split = retina.split(retina.load(name, cells=cells))
    place = resources.path("experiments", "frontier") / "result.json"
    made = json.loads(place.read_text(encoding="utf-8"))
    told = {
        row.get("label", row["model"]): row["cost"]
        for row in (*made["points"], *made["untried"])
        if row["recording"] == recording and "cost" in row
    }
    full = grid.jobs(experiment.read("frontier", "full"))
    jobs = [job for job in full if job.recording == recording]
    assert {job.label for job in jobs} - set(told) == {"photoreceptor_cnn"}
    for job in jobs:
        if job.label in told:
            bare = {PER_FIT: None}
            counted = of_the_shape(split, job.model, job.settings) | bare
            assert counted == told[job.label] | bare, job.label
