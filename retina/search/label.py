"""What a person calls a run: its model, and what tells it from the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from retina.types import Point


def short(model: str) -> str:
    """The last word of a model's name, which may be a path or a dotted name.

    >>> short("ln"), short("lab/mine.py"), short("lab.models:mine")
    ('ln', 'mine', 'mine')
    """
    word = model.rpartition(":")[2]
    return Path(word).stem if word.endswith(".py") else word


def label(model: str, told: Mapping[str, Any]) -> str:
    """What a person calls a run.

    >>> label("cnn", {"channels": (8, 8), "norm": True, "rank": None})
    'cnn channels=8,8 norm=true rank=none'
    """
    return " ".join([short(model), *(f"{k}={_word(v)}" for k, v in told.items())])


def labels(points: Sequence[Point]) -> list[str]:
    """A name for each point: the model, with the keywords that differ within it.

    Around one point from which each other is a single keyword away, as in ablations,
    that keyword alone. Where two points still have one name, the name of the run is
    added. The keywords of a model within a model are too many to tell them apart by.
    """
    names = []
    for point in points:
        kin = [other.settings for other in points if other.model == point.model]
        differ = _differ(point.settings, kin)
        middle = _middle(kin) if len(differ) > 1 else None
        if middle is not None:
            differ = _differ(point.settings, [middle])
        names.append(label(point.model, {key: point.settings[key] for key in differ}))
    return [
        f"{name} ({point.run})" if names.count(name) > 1 and point.run else name
        for name, point in zip(names, points, strict=True)
    ]


def _differ(
    settings: Mapping[str, Any], others: Sequence[Mapping[str, Any]]
) -> list[str]:
    """The keywords whose value another one has otherwise."""
    return [
        key
        for key, value in settings.items()
        if key != "settings" and any(other.get(key, value) != value for other in others)
    ]


def _middle(kin: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The settings from which all others differ in one keyword at most."""
    for settings in kin:
        if all(len(_differ(settings, [other])) <= 1 for other in kin):
            return settings
    return None


def _word(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(map(_word, value))
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return str(value)
