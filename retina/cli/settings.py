"""`--set key=value`: words of a command line as keywords of a function."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import typer

from retina.errors import BadSetting, nearest
from retina.settings import checked, keywords

_WORDS = {"true": True, "false": False, "none": None}


def parse(words: Iterable[str]) -> dict[str, Any]:
    """Each "key=value" with its value as a number, tuple, truth value, None or word.

    >>> parse(["lags=40", "channels=8,16", "rank=none", "output=exp", "rate=1e-3"])
    {'lags': 40, 'channels': (8, 16), 'rank': None, 'output': 'exp', 'rate': 0.001}
    """
    settings: dict[str, Any] = {}
    for word in words:
        key, equals, value = word.partition("=")
        key = key.strip().replace("-", "_")
        if not equals or not all(map(str.isidentifier, key.split("."))):
            raise typer.BadParameter(f"--set {word}: write it as --set key=value")
        if key in settings:
            raise typer.BadParameter(f"--set {key} is given twice")
        settings[key] = _value(value.strip())
    return settings


def _value(text: str) -> Any:
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
    return tuple(value) if isinstance(value, list) else value


def divide(
    settings: Mapping[str, Any], function: Callable[..., Any], name: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Which settings are the model's and which the fit's.

    function: the model's own function; the rest must be fields of `Recipe`.
    returns:  (keywords of the model, fields of Recipe), their types checked.
    raises:   BadSetting with the nearest names.
    """
    from retina.recipe import TUNED, Recipe

    model, recipe = keywords(function), keywords(Recipe)
    for key in settings:
        if key not in model and key not in recipe:
            raise BadSetting(
                f"model {name!r} has no keyword {key!r}: "
                f"{nearest(key, {*model, *recipe})} (retina show {name})"
            )
    own = {key: value for key, value in settings.items() if key in model}
    rest = {key: value for key, value in settings.items() if key not in model}
    return checked(own, function, name), checked(rest, Recipe, "the fit", TUNED)
