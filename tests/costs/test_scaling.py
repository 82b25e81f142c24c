"""A range times a range; every factor with a mark and a source."""

from __future__ import annotations

import dataclasses
import math

import pytest

from retina.costs.scaling import rows, scale
from retina.errors import BadSetting, UnknownName
from retina.types import Interval
from tests.reports.points import point


@pytest.fixture
def cost():
    found = point("cnn", 0.9, 1.2e7).cost  # twelve cells of 1e6 FLOP/s
    return dataclasses.replace(found, flops_per_s_marginal=1e5, flops_per_s_alone=1e7)


@pytest.mark.parametrize("kind", ["retina", "factor", "estimate"])
def test_each_row_is_a_range_with_a_mark_and_a_source(kind):
    for row in rows(kind):
        assert 0 < row.low <= row.high
        assert row.mark in ("read", "recalled")
        assert len(row.source) > 20
        if row.mark == "recalled":
            continue
        assert "could not be read" not in row.source


def test_a_retina_is_its_cells_times_one(cost):
    human = scale(cost, "human-retina")
    assert human.per_cell == Interval(1e5, 1e7)
    assert human.retina == Interval(1e5 * 7e5, 1e7 * 1.5e6) == human.whole
    assert {row.name for row in human.published} == {
        "Moravec, by programs for edges and motion",
        "deep networks fitted to ganglion cells",
    }
    assert scale(cost, "mouse-retina").retina == Interval(4.5e9, 4.5e11)


def test_a_brain_is_a_range_over_every_factor(cost):
    made = scale(cost, "brain")
    assert set(made.by_factor) == {"volume", "neurons", "synapses", "mass", "energy"}
    low = min(row.low for row in made.factors)
    high = max(row.high for row in made.factors)
    assert made.whole.low == pytest.approx(7e10 * low)
    assert made.whole.high == pytest.approx(1.5e13 * high)
    assert "NOT A MEASUREMENT" in made.warning
    assert len(made.published) == 4


def test_moravec_is_consistent_with_himself():
    """1,000 MIPS of a retina times his factor is his 100 million MIPS of a brain."""
    found = {row.name: row for row in (*rows("estimate"), *rows("factor"))}
    retina = found["Moravec, by programs for edges and motion"].low
    brain = found["Moravec, by volume"].low
    assert math.isclose(retina * found["volume"].low, brain)


def test_a_cost_that_is_known_in_one_way_only(cost):
    shared = dataclasses.replace(
        cost, flops_per_s_marginal=None, flops_per_s_alone=None
    )
    assert scale(shared, "mouse-retina").per_cell == Interval(1e6, 1e6)


def test_what_cannot_be_scaled(cost):
    with pytest.raises(UnknownName, match="human-retina"):
        scale(cost, "human-retin")
    for event in ("quantum", "graded"):
        with pytest.raises(BadSetting, match="no ganglion cells"):
            scale(dataclasses.replace(cost, event=event), "brain")
