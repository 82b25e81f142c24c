"""What a sweep found, whole, as one file that a README can be checked against."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from retina import atomic, store
from retina.costs.denominators import PER_SYNAPSE, enters_synapse_claims
from retina.types import Cost, Interval, Metric, Point, Score

NAME = "result.json"
_COSTS = (
    "flops_per_bin flops_per_s flops_per_s_per_cell flops_per_spike flops_per_bit "
    "flops_per_synaptic_event flops_per_s_per_synapse total_ops_per_bin params "
    "state_bytes bytes_per_bin depth"
).split()


def result(
    points: Sequence[Point],
    labels: Mapping[str, str],
    *,
    controls: Sequence[Point] = (),
    effects: Sequence[Mapping[str, Any]] = (),
    searched: Sequence[Mapping[str, Any]] = (),
    recordings: Mapping[str, str] | None = None,
    headlines: Sequence[Mapping[str, Any]] = (),
    untried: Sequence[Mapping[str, Any]] = (),
    x: str = "",
) -> dict[str, Any]:
    """Every point with all its scores and figures of cost, and what computed them.

    labels:   run -> what sets it apart from the others of its model.
    controls: points of what was fitted to sampled spikes.
    effects:  from `retina.search.effect.as_rows`.
    searched: how exhaustive a search was, see `retina.search.searched`.
    recordings: run -> its recording, where that says more than the data set's name.
    headlines: from `retina.search.headline.as_rows`.
    untried:  {"model", "recording", "why"} of what no run is there for, with its "cost"
              where that is known.
    x:        the cost that is an axis: it is among the figures whichever it is.
    returns:  {"versions", "points": [{"run", "label", "model", "dataset", "recording",
              "settings", "validation_bits", "scores": [...], "cost": {...}}]}, and
              "controls" (as points), "effects", "searched", "headlines" and "untried"
              where there are any; recordings whose licence forbids publication are left
              out and named under "withheld".

    >>> result([], {})["points"]
    []
    """
    shown = [point for point in points if point.score.publish]
    of = {p.run: p.dataset for p in points} | dict(recordings or {})
    withheld = sorted({of[p.run] for p in points} - {of[p.run] for p in shown})
    told = tuple(dict.fromkeys(filter(None, (*_COSTS, x))))
    made = {
        "versions": store.versions(),
        "withheld": withheld,
        "points": _points(shown, labels, of, told),
    }
    if controls:
        open_ = [point for point in controls if point.score.publish]
        theirs = {point.run: point.dataset for point in open_} | of
        made["controls"] = _points(open_, labels, theirs, told)
    for name, rows, key in (
        ("effects", effects, "dataset"),
        ("searched", searched, "dataset"),
        ("headlines", headlines, "recording"),
        ("untried", [_unfitted(row, told) for row in untried], "recording"),
    ):
        if rows:
            made[name] = [row for row in rows if row[key] not in withheld]
    return made


def _points(
    points: Sequence[Point],
    labels: Mapping[str, str],
    of: Mapping[str, str],
    costs: Sequence[str],
) -> list[dict[str, Any]]:
    return [
        {
            "run": point.run,
            "label": labels.get(point.run, point.model),
            "model": point.model,
            "dataset": point.dataset,
            "recording": of[point.run],
            "settings": dict(point.settings),
            "validation_bits": _number(point.validation_bits),
            "validation_seeds": [_number(bits) for bits in point.validation_seeds],
            "scores": [_score(one) for one in (point.score, *point.score.others)],
            "cost": _cost(point.cost, costs),
        }
        for point in points
    ]


def _unfitted(row: Mapping[str, Any], costs: Sequence[str]) -> dict[str, Any]:
    price = row.get("cost")
    rest = {key: value for key, value in row.items() if key != "cost"}
    return rest if price is None else rest | {"cost": _cost(price, costs)}


def write(made: Mapping[str, Any], folder: Path) -> Path:
    """A `result` as a file in the folder; it is the old one or the new one."""
    atomic.write_file(folder / NAME, _text(made).encode())
    return folder / NAME


def _text(table: Mapping[str, Any]) -> str:
    """Strict JSON with a line for each row: a point of many is found, and compared."""

    def text(value: Any) -> str:
        if not isinstance(value, list) or not value:
            return json.dumps(value, allow_nan=False)
        rows = ",\n  ".join(json.dumps(row, allow_nan=False) for row in value)
        return f"[\n  {rows}\n ]"

    entries = ",\n ".join(f"{json.dumps(key)}: {text(v)}" for key, v in table.items())
    return f"{{\n {entries}\n}}\n"


def _cost(cost: Cost, names: Sequence[str]) -> dict[str, Any]:
    """Without the figures per synapse where the recording enters no such claim."""
    hidden = () if enters_synapse_claims(cost) else PER_SYNAPSE
    return {n: None if n in hidden else _number(getattr(cost, n)) for n in names}


def _score(score: Score) -> dict[str, Any]:
    return {
        "group": score.group,
        "history": score.history,
        "bins": score.bins,
        "cells": score.cells,
        "trials": score.trials,
        "metrics": {name: _metric(one) for name, one in score.metrics.items()},
    } | ({"notes": list(score.notes)} if score.notes else {})


def _metric(metric: Metric) -> dict[str, Any]:
    return {
        "median": _number(metric.median),
        "ci95": [_number(bound) for bound in metric.ci95],
        "seeds": [_number(value) for value in metric.seeds],
        "undefined": metric.undefined,
    }


def _number(value: Any) -> Any:
    """JSON has no NaN; a range is {"low", "high"}."""
    if isinstance(value, Interval):
        return dataclasses.asdict(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
