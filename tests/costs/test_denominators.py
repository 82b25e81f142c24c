"""The constants that costs are divided by: each with a range, a mark and a source."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from retina.costs import denominators
from retina.costs.denominators import Constant, denominator, references
from retina.types import Interval

TABLE = tomllib.loads(
    Path(denominators.__file__).with_name("constants.toml").read_text(encoding="utf-8")
)
CONSTANTS = [
    pytest.param(row[key], id=f"{row['species']}-{row.get('type', '')}-{key}")
    for row in TABLE["ganglion"]
    for key in ("synapses", "events_per_s")
    if key in row
]


@pytest.mark.parametrize("entry", CONSTANTS)
def test_each_constant_has_a_range_a_mark_and_a_source(entry):
    constant = Constant(**entry)
    assert 0 < constant.low <= constant.high
    assert constant.mark in ("measured", "borrowed", "assumed")
    assert len(constant.source) > 20


@pytest.mark.parametrize(
    "species, kind, synapses, events",
    [
        ("cat", "beta", (150, 2000), (5100, 45000)),
        ("cat", "ON-alpha", (2200, 2200), (3700, 37000)),
        ("mouse", "", (500, 2500), (1e3, 5.5e4)),
        ("tiger salamander", "OFF", (500, 2000), (1e3, 4.4e4)),
        ("Macaca mulatta", "OFF midget", (28, 50), (56, 1100)),
        ("macaque", "ON parasol", None, None),
        ("macaque", "", None, None),
        ("cat", "W", None, None),
        ("Mus musculus (C57BL/6)", "", (500, 2500), (1e3, 5.5e4)),
        ("lamprey", "", None, None),
        ("catfish", "alpha", None, None),
        ("muscat", "alpha", None, None),
        ("cat", "alphabetical", None, None),
    ],
)
def test_synapses_and_events(species, kind, synapses, events):
    found = denominator(species, [kind])
    assert found.synapses == (synapses and Interval(*synapses))
    assert found.events_per_s == (events and Interval(*events))
    assert found.notes


def test_events_are_synapses_times_quanta_per_synapse_where_they_are_derived():
    """2-22 quanta per synapse and second, Freed 2000a, b."""
    for row in TABLE["ganglion"]:
        if "times 2-22 quanta" in row.get("events_per_s", {}).get("source", ""):
            low, high = row["synapses"]["low"], row["synapses"]["high"]
            assert row["events_per_s"]["low"] == 2 * low
            assert row["events_per_s"]["high"] == 22 * high


@pytest.mark.parametrize("species", ["not stated", "", "unknown"])
def test_a_species_that_is_not_stated_ranges_over_all(species):
    found = denominator(species, ["OFF"])
    assert found.events_per_s == Interval(56, 55000)
    assert found.synapses == Interval(28, 2500)
    assert "not stated" in found.notes[0]


def test_cells_of_several_types_are_averaged_and_one_unknown_spoils_all():
    both = denominator("cat", ["alpha", "beta", "beta", "beta"])
    assert both.events_per_s == Interval((3700 + 3 * 5100) / 4, (37000 + 3 * 45000) / 4)
    assert len(both.notes) == 2
    mixed = denominator("macaque", ["midget", "parasol"])
    assert mixed.events_per_s is None and mixed.synapses is None


def test_marks_and_sources_reach_the_reader():
    (note,) = denominator("salamander", ["", ""]).notes
    assert "assumed" in note and "500-2,000" in note and "1,000-44,000/s" in note


def test_reference_lines():
    lines = {(line.per, line.low, line.high) for line in references()}
    assert lines == {
        ("synaptic event", 1, 1),
        ("synaptic event", 10, 100),
        ("synaptic event", 40, 40),
        ("synaptic event", 100, 100),
        ("synaptic event", 1000, 1000),
        ("synapse and second", 0.1, 100),
    }
    assert all(line.source for line in references())
