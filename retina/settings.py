"""Keywords of a model or a recipe: which there are, and values of the right type."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

from retina.errors import BadSetting


def keywords(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The keywords that configure a function: all of them are keyword-only in a model.

    >>> list(keywords(lambda spec, *, lags=3: None))
    ['lags']
    """
    positional = inspect.Parameter.POSITIONAL_OR_KEYWORD
    wanted = {inspect.Parameter.KEYWORD_ONLY}
    if inspect.isclass(function):
        wanted.add(positional)
    found = inspect.signature(function).parameters
    return {key: value for key, value in found.items() if value.kind in wanted}


def meanings(function: Callable[..., Any]) -> dict[str, str]:
    """The first sentence on each keyword, from a docstring's lines ``name: text``.

    >>> def model(spec, *, lags=3, rank=1):
    ...     '''lags: bins that are seen. The present one is.
    ...     rank: how many
    ...           are added up.'''
    >>> meanings(model)
    {'lags': 'bins that are seen', 'rank': 'how many are added up'}
    """
    entries = re.findall(
        r"^(\w+(?:, \w+)*):((?: .*)?(?:\n +.*)*)",
        inspect.getdoc(function) or "",
        re.MULTILINE,
    )
    found = {}
    for names, text in entries:
        sentence = re.split(r"(?<!\.)\.(?: |$)", " ".join(text.split()))[0]
        found |= dict.fromkeys(names.split(", "), sentence)
    return {name: found[name] for name in keywords(function) if name in found}


def checked(
    settings: Mapping[str, Any],
    function: Callable[..., Any],
    name: str,
    lists: Collection[str] = (),
) -> dict[str, Any]:
    """The settings with each value of the type that the function's signature states.

    A default is right by definition. Numbers of numpy become Python's.

    lists:  names whose value may also be a list of such values.

    raises: BadSetting with the value seen and the type wanted.

    >>> def model(spec, *, lags: int = 3): ...
    >>> checked({"lags": "many"}, model, "m")
    Traceback (most recent call last):
    retina.errors.BadSetting: lags='many' of m: input should be a valid integer, ...
    """
    from pydantic import PydanticUserError, TypeAdapter, ValidationError

    known, hints = keywords(function), _hints(function)
    found = {}
    for key, value in settings.items():
        if key in lists and isinstance(value, list | tuple):
            each = [checked({key: one}, function, name)[key] for one in value]
            found[key] = each
            continue
        found[key] = value = _plain(value)
        default = known[key].default
        if value is default or (type(value) is type(default) and value == default):
            continue
        try:
            adapter = TypeAdapter(hints.get(key, Any))
        except PydanticUserError:
            continue  # a type of the function's own, which only it can judge
        try:
            found[key] = adapter.validate_python(value, strict=True)
        except ValidationError as error:
            what = error.errors()[0]["msg"]
            raise BadSetting(
                f"{key}={value!r} of {name}: {what[0].lower()}{what[1:]}, such as "
                f"{key}={default!r}"
            ) from None
    return found


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function)
    except (NameError, TypeError):
        return {}  # names that only a type checker sees, or no plain function


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    return value.item() if isinstance(value, np.generic) else value
