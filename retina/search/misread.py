"""What is wrong with an experiment.toml, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from retina.errors import nearest
from retina.search.space import Range


def first(
    error: ValidationError,
    whole: type[BaseModel],
    tables: Mapping[str, type[BaseModel]],
) -> str:
    """The first problem in a line: an unknown key, with the nearest, before any other.

    whole:  what the file is read as; tables: of its keys that are tables themselves.
    """
    # A misspelt key is unknown, and the right one missing: the first says more.
    problems = error.errors()
    unknown = [one for one in problems if one["type"] == "extra_forbidden"]
    problem = (unknown or problems)[0]
    place = problem["loc"]
    where = ".".join(str(step) for step in place)
    if not place:  # of the whole file
        return problem["msg"].removeprefix("Value error, ")
    known = whole if len(place) == 1 else tables.get(str(place[0]), whole)
    if "space" in place:
        return _first_of_range(problems, where)
    if problem["type"] == "extra_forbidden":
        return f"unknown key {where!r}: {nearest(str(place[-1]), known.model_fields)}"
    if problem["type"] == "missing":
        beside = [
            one
            for one in problems
            if one["type"] == "missing" and one["loc"][:-1] == place[:-1]
        ]
        keys = [".".join(map(str, one["loc"])) for one in beside]
        if len(keys) > 1:
            return f"keys {', '.join(map(repr, keys))} are missing"
        return f"key {where!r} is missing"
    return f"{where}: {problem['msg'].removeprefix('Value error, ')}"


def _first_of_range(problems: list[Any], where: str) -> str:
    """Of a range that is none: pydantic tells what is wrong with it as a list, too."""
    of_range = [one for one in problems if "Range" in one["loc"]] or problems
    unknown = [one for one in of_range if one["type"] == "extra_forbidden"]
    one = (unknown or of_range)[0]
    place = ".".join(
        str(s) for s in one["loc"] if not str(s).startswith(("Ran", "lis"))
    )
    if one["type"] == "extra_forbidden":
        key = str(one["loc"][-1])
        return f"unknown key {place!r}: {nearest(key, Range.model_fields)}"
    if one["type"] == "model_type":
        return f"{place}: a list of values, or a range {{ low = ..., high = ... }}"
    if one["type"] == "missing":
        return f"key {place!r} is missing"
    return f"{place}: {one['msg'].removeprefix('Value error, ')}"
