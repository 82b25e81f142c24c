"""The verb `model`: from a name and keywords to a Model."""

from __future__ import annotations

from typing import Any

from retina import registry
from retina.errors import BadSetting, nearest
from retina.settings import checked, keywords
from retina.stage import Model
from retina.types import Spec


def model(name: str, spec: Spec, /, **settings: Any) -> Model:
    """A model by its name, for one data set.

    name:     a file in retina/models/, an entry point, or "package.module:function".
    spec:     frame shape, cells and clock, from `retina.split(...).spec`.
    settings: keywords of the model's own function.
    raises:   UnknownName; BadSetting for a keyword that the model does not have, or a
              value that is not of the type its signature states.

    >>> model("mean", Spec(frame=(8, 8), cells=3, bin_s=0.01)).name
    'mean'
    """
    function = registry.find("models", name)
    known = keywords(function)
    for key in settings:
        if key not in known:
            raise BadSetting(
                f"model {name!r} has no keyword {key!r}: {nearest(key, known)} "
                f"(retina show {name})"
            )
    settings = checked(settings, function, name)
    made = function(spec, **settings)
    full = {key: parameter.default for key, parameter in known.items()} | settings
    return made._replace(name=name, spec=spec, settings=tuple(full.items()))


def source(made: Model) -> str:
    """sha256 of the file that a model came from, or the model within it; "" for none.

    >>> source(model("pruned", Spec((), 2, 0.01), of="ln"))
    ''
    """
    name, settings = made.name, dict(made.settings)
    while name:
        own = registry.source("models", name)
        if own:
            return own
        name, settings = settings.get("of", ""), dict(settings.get("settings", ()))
    return ""
