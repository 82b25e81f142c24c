"""A point: its price is that of what its accuracy took, and its cells are named."""

from __future__ import annotations

import dataclasses

import jax
import pytest

from retina import build
from retina.costs.cost import cost
from retina.errors import BadSetting, MissingData
from retina.fitting.fit import fit
from retina.fitting.score import RUNS
from retina.search.frontier import frontier
from retina.search.measure import measure
from tests.fitting import synthetic


@pytest.fixture(scope="module")
def split():
    return synthetic.split(synthetic.truth(), train=300, held_out=200)


def point_of(split, name, **settings):
    model = build.model(name, split.spec, **settings)
    fitted = fit(model, split, key=jax.random.key(0), max_steps=10)
    return fitted, measure(fitted, split)


def test_every_sampled_run_is_charged(split):
    fitted, point = point_of(split, "glm", lags=4, history=4, history_basis=3)
    once = cost(fitted.model, fitted.params, split)
    assert point.score.history == "free_running"
    assert point.cost.flops_per_bin == once.flops_per_bin, "a step stays a step"
    for name in ("flops_per_s", "flops_per_s_per_cell", "flops_per_spike"):
        assert getattr(point.cost, name) == pytest.approx(RUNS * getattr(once, name))
    assert point.cost.flops_per_s == pytest.approx(
        point.cost.flops_per_bin * point.cost.rates_hz["bin"]
    )
    assert any(f"{RUNS} sampled runs" in note for note in point.cost.notes)


def test_a_fit_that_was_stopped_says_so(split):
    _, point = point_of(split, "ln", lags=4)
    assert any("not converged" in note for note in point.score.notes)
    model = build.model("mean", split.spec)
    done = measure(fit(model, split, key=jax.random.key(0)), split)
    assert not any("not converged" in note for note in done.score.notes)


def test_points_of_other_cells_are_not_compared(split):
    _, point = point_of(split, "mean")
    assert point.score.cell_names == tuple(cell.name for cell in split.cells)
    swapped = dataclasses.replace(
        point, score=dataclasses.replace(point.score, cell_names=("b", "a"))
    )
    with pytest.raises(BadSetting, match="cell_names"):
        frontier([point, swapped], "flops_per_s")


def test_without_validation_nothing_says_when_to_stop(split):
    with pytest.raises(MissingData, match="no validation block"):
        point_of(dataclasses.replace(split, validation=()), "mean")
