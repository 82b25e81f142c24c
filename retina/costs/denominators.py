"""What a cost is divided by: synapses and synaptic events of the modelled cells.

The constants, each with its range and source, stand beside this in constants.toml.
"""

from __future__ import annotations

import dataclasses
import functools
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from retina import resources
from retina.errors import UnknownName
from retina.types import GRADED, Cost, Interval, Split

PER_SYNAPSE = ("flops_per_synaptic_event", "flops_per_s_per_synapse")
NO_CLAIM = "no per-synapse claim: a full-field stimulus collapses space"
_UNSTATED = ("", "not stated", "unknown", "none")


@dataclasses.dataclass(frozen=True)
class Constant:
    """A range for one constant. mark: "measured", "borrowed" or "assumed"."""

    low: float
    high: float
    mark: str
    source: str


@dataclasses.dataclass(frozen=True)
class Denominator:
    """What one ganglion cell of a recording stands for; None where not defensible.

    synapses:     onto one ganglion cell, mean over the recorded cells.
    events_per_s: quanta released onto one ganglion cell per second.
    notes:        where the constants come from, or why there are none.
    """

    synapses: Interval | None
    events_per_s: Interval | None
    notes: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Reference:
    """A published guess. per: "synaptic event" or "synapse and second"."""

    name: str
    per: str
    low: float
    high: float
    source: str


@functools.cache
def _table() -> dict[str, list[dict[str, Any]]]:
    constants = Path(__file__).with_name("constants.toml")
    return tomllib.loads(constants.read_text(encoding="utf-8"))


def references() -> tuple[Reference, ...]:
    """The lines that costs are read against.

    >>> [line.low for line in references() if line.per == "synaptic event"]
    [1, 10, 40, 100, 1000]
    """
    return tuple(Reference(**row) for row in _table()["reference"])


def enters_synapse_claims(cost: Cost) -> bool:
    """False where the per-synapse figures are for orientation alone."""
    return cost.synapse_claims and cost.flops_per_s_per_synapse is not None


def stands_for(
    dataset: str, species: str | None, split: Split | None, event: str
) -> Denominator:
    """What one cell of a recording stands for; species: in place of the split's.

    event: what one count of it is; of "spike" alone its cells are ganglion cells.

    >>> stands_for("", None, None, "graded").synapses is None
    True
    """
    if event != "spike":
        return Denominator(
            None,
            None,
            (
                f"counts are of {event} events, not of a ganglion cell's spikes: the "
                "synapses of a ganglion cell do not apply"
                if event != GRADED
                else "responses are graded: nothing can be said per spike or synapse",
            ),
        )
    if species is None and split is not None:
        species = split.species
    if species is None:
        species = _species(dataset)
    if species is None:
        known = f"the species of {dataset!r} is not known" if dataset else "no data set"
        return Denominator(None, None, (f"{known}: no per-synapse figures",))
    cells = () if split is None else split.cells
    return denominator(species, [cell.type for cell in cells])


def _species(dataset: str) -> str | None:
    try:
        card = resources.path("datasets", dataset)
    except UnknownName:
        return None
    return tomllib.loads(card.read_text(encoding="utf-8")).get("species")


def denominator(species: str, types: Sequence[str] = ()) -> Denominator:
    """The synapses and events that the cells of a recording stand for.

    species: as a card says it; "" or "not stated" gives the range over all species.
    types:   the type of each recorded cell, "" where unknown.

    >>> denominator("salamander").events_per_s
    Interval(low=1000, high=44000)
    >>> denominator("macaque", ["ON parasol"]).events_per_s is None
    True
    """
    if species.strip().lower() in _UNSTATED:
        rows = [row for row in _table()["ganglion"] if row["species"] != "simulated"]
        note = "species not stated: synapses and events range over all species known"
        return Denominator(
            _union(rows, "synapses"), _union(rows, "events_per_s"), (note,)
        )
    found = [_row(species, kind) for kind in types or [""]]
    notes = dict.fromkeys(note for _, note in found)
    rows = [row for row, _ in found]
    return Denominator(
        _mean(rows, "synapses"), _mean(rows, "events_per_s"), tuple(notes)
    )


def _row(species: str, kind: str) -> tuple[dict[str, Any] | None, str]:
    """The constants of one cell, and a note that says where they come from."""
    rows = [
        row
        for row in _table()["ganglion"]
        if any(_says(species, name) for name in row["names"])
    ]
    if not rows:
        return None, f"synapses of {species} ganglion cells are not known"
    for row in rows:
        if "types" not in row or any(_says(kind, name) for name in row["types"]):
            named = " ".join(word for word in (species, row.get("type", "")) if word)
            if "events_per_s" not in row:
                return None, f"no defensible synapse count for {named} cells"
            return row, "; ".join(
                f"{what} of {named} cells {_constant(row, key)}"
                for key, what in (("synapses", "synapses"), ("events_per_s", "events"))
            )
    known = ", ".join(row["type"] for row in rows)
    return None, (
        f"synapses of {species} cells of type {kind or 'unknown'!r} are not known "
        f"(known types: {known})"
    )


def _says(text: str, name: str) -> bool:
    """Whether a name stands in a text as words of their own: a catfish is no cat."""
    return bool(re.search(rf"(?<![a-z]){re.escape(name)}(?![a-z])", text.lower()))


def _constant(row: dict[str, Any], key: str) -> str:
    constant = Constant(**row[key])
    unit = "/s" if key == "events_per_s" else ""
    return (
        f"{constant.low:,.0f}-{constant.high:,.0f}{unit}, {constant.mark} "
        f"({constant.source})"
    )


def _mean(rows: list[dict[str, Any] | None], key: str) -> Interval | None:
    """Mean over cells; None as soon as one cell's constant is not known."""
    known = [row[key] for row in rows if row is not None and key in row]
    if len(known) < len(rows) or not known:
        return None
    if all(entry == known[0] for entry in known):
        return Interval(known[0]["low"], known[0]["high"])
    low = sum(entry["low"] for entry in known) / len(known)
    return Interval(low, sum(entry["high"] for entry in known) / len(known))


def _union(rows: list[dict[str, Any]], key: str) -> Interval:
    known = [row[key] for row in rows if key in row]
    return Interval(
        min(entry["low"] for entry in known), max(entry["high"] for entry in known)
    )
