"""Points on disk: what a run's record.json says of its score and its cost."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from retina.costs.counts import Counts
from retina.data import card as cards
from retina.errors import BrokenRun, UnknownName
from retina.types import Cost, Interval, Metric, Point, Score, Split


def describe(point: Point) -> dict[str, Any]:
    """The entries of record.json that hold a point; `point_of` is the inverse.

    >>> sorted(f.name for f in dataclasses.fields(Point))[:3]
    ['cost', 'dataset', 'model']
    """
    return {
        "score": dataclasses.asdict(point.score),
        "cost": dataclasses.asdict(point.cost),
        "validation_bits": point.validation_bits,
        "validation_seeds": list(point.validation_seeds),
    }


def point_of(record: Mapping[str, Any], run: str) -> Point:
    """The point in a record that holds one.

    raises: BrokenRun where it has no score or cost, or one of another version.
    """
    if "score" not in record or "cost" not in record:
        raise BrokenRun(f"{run} was never measured: retina score {run}")
    try:
        return Point(
            run=run,
            model=record["model"],
            dataset=record["dataset"],
            score=_score(record["score"]),
            cost=cost_of(record["cost"]),
            settings=record["settings"],
            validation_bits=record.get("validation_bits"),
            validation_seeds=tuple(record.get("validation_seeds", ())),
        )
    except (TypeError, KeyError, AttributeError) as error:
        raise BrokenRun(
            f"the score or the cost in {run} is of another version: fit it again"
        ) from error


def merged(point: Point, record: Mapping[str, Any]) -> Point:
    """A point as measured now, with those metrics of the record that were not asked.

    A run that a sweep scored with metrics of its own keeps them.
    """
    try:
        earlier = point_of(record, point.run)
    except BrokenRun:  # never measured, or by another version
        return point
    before = {_which(one): one for one in (earlier.score, *earlier.score.others)}

    def joined(score: Score) -> Score:
        known = before[_which(score)].metrics if _which(score) in before else {}
        return dataclasses.replace(score, metrics={**known, **score.metrics})

    others = tuple(joined(other) for other in point.score.others)
    score = dataclasses.replace(joined(point.score), others=others)
    return dataclasses.replace(point, score=score)


def per_bit(cost: Cost, record: Mapping[str, Any]) -> Cost:
    """A cost with its figure per bit, where the record of its run was scored.

    cost: of the run as it is counted now; what was told of its spikes a second stays.
    """
    kept = record.get("cost", {})
    bit, second = kept.get("flops_per_bit"), kept.get("flops_per_s")
    if bit is None or not second:
        return cost
    return dataclasses.replace(cost, flops_per_bit=cost.flops_per_s / second * bit)


def _which(score: Score) -> tuple:
    """What a score stands on: only figures of the same bins go together."""
    return score.group, score.history, score.bins, score.trials, score.cell_names


def points(folder: str | Path) -> list[Point]:
    """The measured point of a run, or of every run in a folder, by name.

    A run that was fitted but never measured is measured now, on its own recording;
    that needs the recording on this machine.

    raises: BrokenRun where the path holds no run, or the card of one has changed since
            it was fitted.
    """
    from retina import store

    found = store.runs(folder)
    if not found:
        raise BrokenRun(f"{folder} holds no run: make one with retina fit or sweep")
    return [_read(run) for run in found]


def split_of(record: Mapping[str, Any]) -> Split:
    """The recording of a run, on the run's clock and with the run's cells.

    raises: BrokenRun as `check_card` does.
    """
    from retina.data.load import load
    from retina.data.split import split

    check_card(record)
    recording = load(_card_name(record), cells=record.get("cells"))
    return split(recording, record["spec"]["bin_s"])


def check_card(record: Mapping[str, Any], run: str = "this run") -> None:
    """Nothing, where a run's card still says what it said when the run was fitted.

    raises: BrokenRun where it says other numbers: what was trained on then may be
            tested on now. UnknownName where there is no such card on this machine.
    """
    then = record.get("recording")
    if then and then != cards.digest(card_of(record)):
        raise BrokenRun(
            f"the card of {record['dataset']!r} has changed since {run} was fitted: "
            "fit it again"
        )


def card_of(record: Mapping[str, Any]) -> cards.Card:
    """The card of a run's recording, as it is now."""
    return cards.read(_card_name(record))


def _card_name(record: Mapping[str, Any]) -> str:
    """The path of a card that was given by its path: a bare name may be another's.

    raises: BrokenRun for a run of sampled spikes: no card holds those.
    """
    if record.get("spikes_of"):
        raise BrokenRun(
            f"this run was fitted to spikes of {record['spikes_of']}, not to those of "
            f"{record['dataset']}: what came of it is in result.json of its sweep"
        )
    return record.get("card") or record["dataset"]


def _read(run: Path) -> Point:
    from retina import store

    record = store.read(run)
    if "score" in record and "cost" in record:
        # A score that was kept is read where neither recording nor card is at hand.
        with contextlib.suppress(UnknownName):
            check_card(record, str(run))
        return point_of(record, run.name)
    from retina.search.measure import measure

    return measure(store.load(run), split_of(record), run.name)


def _score(table: Mapping[str, Any]) -> Score:
    metrics = {name: Metric(**row) for name, row in table["metrics"].items()}
    others = tuple(_score(other) for other in table["others"])
    lists = {name: tuple(table.get(name, ())) for name in ("notes", "cell_names")}
    return Score(**{**table, **lists, "metrics": metrics, "others": others})


def cost_of(table: Mapping[str, Any]) -> Cost:
    """The inverse of `dataclasses.asdict`, as a record has it."""
    ranged = {
        name: Interval(**value)
        for name, value in table.items()
        if isinstance(value, Mapping) and set(value) == {"low", "high"}
    }
    counts = {clock: _counts(row) for clock, row in table["counts"].items()}
    fans = {  # the keys of a JSON object are words
        name: {int(value): sums for value, sums in table.get(name, {}).items()}
        for name in ("fan_ins", "fan_outs")
    }
    return Cost(**{**table, **ranged, **fans, "counts": counts})


def _counts(row: Mapping[str, Any]) -> Counts:
    nested = {
        name: {key: _counts(inner) for key, inner in row.get(name, {}).items()}
        for name in ("by_primitive", "by_part")
    }
    return Counts(**{**row, **nested})
