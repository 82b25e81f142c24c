"""The frontier against brute force, and what cannot stand on one."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math

import numpy as np
import pytest

from retina.costs.denominators import NO_CLAIM
from retina.errors import BadSetting, UnknownName
from retina.reports.table import table
from retina.search.frontier import as_json, cost_range, frontier
from retina.search.label import labels
from tests.reports.points import point

CHEAP = "flops_per_s_per_cell"


def dominated(one, others):
    """By the definition: another is no dearer, no worse, and better in one."""
    price, value = one
    return any(
        c <= price and a >= value and (c < price or a > value) for c, a in others
    )


def test_as_brute_force_on_random_points_with_ties():
    generator = np.random.default_rng(0)
    for _ in range(200):
        pairs = [
            (float(c), float(a) / 4)
            for c, a in zip(
                generator.integers(1, 6, 8), generator.integers(0, 5, 8), strict=True
            )
        ]
        front = frontier(
            [point(f"m{i}", a, 12 * c) for i, (c, a) in enumerate(pairs)], CHEAP
        )
        for p, on in zip(front.points, front.on, strict=True):
            own = pairs[int(p.model[1:])]
            assert on == (not dominated(own, pairs)), (own, pairs)


def test_the_order_of_the_points_does_not_matter():
    made = [
        point(n, a, c) for n, a, c in [("a", 0.5, 9), ("b", 0.7, 20), ("c", 0.6, 5)]
    ]
    fronts = [frontier(order, CHEAP) for order in itertools.permutations(made)]
    assert all(front == fronts[0] for front in fronts)
    assert [p.model for p in fronts[0].best()] == ["c", "b"]


def test_a_range_is_ordered_by_its_geometric_middle_and_kept():
    one = point("ln", 0.5, 12 * 1000.0, events=(1.0, 100.0))
    assert cost_range(one, "flops_per_synaptic_event") == pytest.approx((10, 100, 1000))
    wide = point("a", 0.6, 12 * 1000.0, events=(1.0, 10000.0))  # middle 10
    narrow = point("b", 0.5, 12 * 1000.0, events=(50.0, 50.0))  # middle 20
    assert frontier([narrow, wide]).on == (True, False)
    rows = as_json(frontier([one]))["points"]
    assert rows[0]["flops_per_synaptic_event"] == pytest.approx(
        {"low": 10.0, "high": 1000.0}
    )


def test_an_undefined_accuracy_is_never_on_the_frontier():
    front = frontier(
        [point("a", math.nan, 1.0), point("b", 0.1, 9.0), point("c", math.nan, 9.0)],
        CHEAP,
    )
    assert {p.model: on for p, on in zip(front.points, front.on, strict=True)} == {
        "a": False,
        "b": True,
        "c": False,
    }
    rows = json.loads(json.dumps(as_json(front), allow_nan=False))["points"]
    assert [row["cc_norm"] for row in rows] == [None, 0.1, None]


def test_json_keys_that_do_not_change():
    front = frontier([point("ln", 0.5, 1e4, run="ln-1"), point("cnn", 0.4, 1e5)], CHEAP)
    table = as_json(front)
    assert (table["x"], table["y"]) == (CHEAP, "cc_norm")
    assert table["points"][0] == {
        "run": "ln-1",
        "model": "ln",
        CHEAP: 1e4 / 12,
        "cc_norm": 0.5,
        "on_frontier": True,
    }
    assert table["points"][1]["on_frontier"] is False


def test_hypervolume_by_hand():
    # Costs 10, 100, 1000 with accuracies .5, .8, .7: one decade at .5, one at .8.
    made = [point("a", 0.5, 120), point("b", 0.8, 1200), point("c", 0.7, 12000)]
    assert frontier(made, CHEAP).hypervolume == pytest.approx(0.5 + 0.8)
    # What costs nothing stands a decade before the cheapest: that much more.
    free = point("mean", 0.1, 0)
    assert frontier([*made, free], CHEAP).hypervolume == pytest.approx(0.1 + 1.3)
    assert math.isnan(frontier([]).hypervolume)
    # The unit of cost does not matter, also below 1.
    small = [point(p.model, p.value("cc_norm"), p.cost.flops_per_s / 1e4) for p in made]
    assert frontier(small, CHEAP).hypervolume == pytest.approx(0.5 + 0.8)


def test_names_that_do_not_exist_and_figures_that_are_not_known():
    one = point("ln", 0.5, 1e4, events=None)
    with pytest.raises(UnknownName, match="did you mean 'flops_per_spike'"):
        frontier([one], "flops_per_spikes")
    with pytest.raises(UnknownName, match="did you mean 'cc_norm'"):
        frontier([one], CHEAP, "ccnorm")
    with pytest.raises(BadSetting, match="not known for 'simulated'.*flops_per_spike"):
        frontier([one])
    for other in ("by_part", "synapse_claims", "model", "notes"):
        with pytest.raises(UnknownName, match=f"no cost '{other}' that is one number"):
            frontier([one], other)


@pytest.mark.parametrize("x", ["flops_per_synaptic_event", "flops_per_s_per_synapse"])
def test_a_full_field_stands_on_no_axis_per_synapse(x):
    whole, field = point("ln", 0.5, 1e4), point("cnn", 0.6, 1e5)
    told = dataclasses.replace(
        field.cost, synapse_claims=False, notes=("other", NO_CLAIM)
    )
    field = dataclasses.replace(field, cost=told)
    assert frontier([whole], x).on == (True,)
    with pytest.raises(BadSetting, match="collapses space.*--x flops_per_spike"):
        frontier([whole, field], x)
    assert frontier([whole, field], "flops_per_spike").on == (True, True)
    # A table says so, has no such figure and takes another axis.
    assert NO_CLAIM in table([field]) and "synaptic" not in table([field])
    assert "synaptic" in table([whole])


@pytest.mark.parametrize("change", [{"bins": 9}, {"group": "running"}, {"trials": 2}])
def test_points_must_be_scored_on_the_same_bins(change):
    one, other = point("ln", 0.5, 1e4), point("cnn", 0.6, 1e5)
    other = dataclasses.replace(other, score=dataclasses.replace(other.score, **change))
    with pytest.raises(BadSetting, match="not scored on the same bins"):
        frontier([one, other], CHEAP)


def test_labels_tell_runs_of_one_model_apart_and_no_more():
    made = [
        point("ln", 0.5, 1, settings={"rank": 1, "lags": 9}),
        point("ln", 0.5, 1, settings={"rank": None, "lags": 9}),
        point("cnn", 0.5, 1, settings={"channels": (8, 8)}),
        point("odd/lab.py:mine", 0.5, 1),
        point("glm", 0.5, 1, run="glm-1"),
        point("glm", 0.5, 1, run="glm-2"),
        point("merged", 0.5, 1, settings={"rank": 4, "settings": (("lags", 9),)}),
        point("merged", 0.5, 1, settings={"rank": 8, "settings": (("lags", 5),)}),
    ]
    assert labels(made) == [
        "ln rank=1",
        "ln rank=none",
        "cnn",
        "mine",
        "glm (glm-1)",
        "glm (glm-2)",
        "merged rank=4",
        "merged rank=8",
    ]


def test_labels_of_an_ablation_name_what_each_lacks():
    whole = {"amacrine": "wide", "gain": True, "horizontal": True}
    changes = [{}, {"amacrine": "none"}, {"gain": False}, {"horizontal": False}]
    made = [point("circuit", 0.5, 1, settings=whole | each) for each in changes]
    assert labels(made) == [
        "circuit",
        "circuit amacrine=none",
        "circuit gain=false",
        "circuit horizontal=false",
    ]
    # Of a grid no point is the middle: each has all that it is made of.
    grid = [{"a": a, "b": b} for a in (1, 2) for b in (3, 4)]
    made = [point("cnn", 0.5, 1, settings=each) for each in grid]
    assert labels(made) == [f"cnn a={a} b={b}" for a in (1, 2) for b in (3, 4)]
