"""What grows linearly, and where each meets each."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import growth, neuron
from benchmarks.growth import CASES, exponent
from retina import registry

BENCHMARKS = Path(growth.__file__).parent
# `mean` has nothing to grow; the others are what a reduction makes of a model.
ALONE = {"mean"}
MADE = {
    *("clocked", "cropped", "event_driven", "merged", "pruned", "quantised"),
    *("recursive_subunits", "separated"),
}

# At 256 the fixed parts still show: an exponent is this near to where it goes.
NEAR = 0.15
LINEAR = [
    ("ln full", "synapses"),
    ("ln full", "lags"),
    ("ln", "cells"),
    ("elm", "cells"),
]
SQUARED = [("glm coupled", "cells"), ("cnn", "branches"), ("lstm", "branches")]


@pytest.mark.parametrize("name, axis", LINEAR)
def test_private_parts_grow_linearly(name, axis):
    assert exponent(name, axis, 256) == pytest.approx(1, abs=NEAR)


@pytest.mark.parametrize("name, axis", SQUARED)
def test_where_each_meets_each_it_is_the_square(name, axis):
    assert exponent(name, axis, 256) == pytest.approx(2, abs=NEAR)


def test_every_family_is_in_the_table():
    told = {name.split()[0] for name in CASES}
    assert told == set(registry.names("models")) - ALONE - MADE


@pytest.mark.parametrize("axis", ["synapses", "branches"])
def test_a_tree_of_local_nonlinearities_is_no_dearer_than_its_synapses(axis):
    """Each synapse enters one branch, and each branch one soma: nothing is squared."""
    assert 0.5 < exponent("elm", axis, 256) <= 1


def test_a_circuit_pools_a_square_frame_by_its_rows_and_columns():
    """A place takes as many products as a side has pixels: n sqrt n, and not n."""
    assert exponent("circuit", "synapses", 512) == pytest.approx(1.5, abs=NEAR)


@pytest.mark.slow
def test_the_page_on_growth_is_what_is_counted_now():
    kept = (BENCHMARKS / "growth.md").read_text(encoding="utf-8")
    assert kept == growth.page(), "python -m benchmarks.growth benchmarks/growth.md"


def test_the_page_on_neurons_is_what_is_counted_now():
    kept = (BENCHMARKS / "neuron.md").read_text(encoding="utf-8")
    assert kept == neuron.page(), "python -m benchmarks.neuron benchmarks/neuron.md"


def test_a_recursion_does_not_know_how_far_back_it_looks():
    assert exponent("elm", "lags", 256) == 0
    assert exponent("ln", "lags", 256) == pytest.approx(1, abs=NEAR)


def test_a_shared_core_makes_one_more_cell_cheap():
    """Few cells cost little beside the core that they share; many do not."""
    few, many = exponent("cnn", "cells", 2), exponent("cnn", "cells", 4096)
    assert few < 0.2 < 0.8 < many
