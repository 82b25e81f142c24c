"""A model's recipe with the changes that are asked for, checked."""

from __future__ import annotations

import dataclasses
import inspect
import math
from collections.abc import Collection, Mapping
from typing import Any

from retina.errors import BadSetting, nearest
from retina.fitting import optimiser, penalties
from retina.recipe import Recipe
from retina.settings import checked, meanings
from retina.stage import Model

# Of clips drawn at random, and of the length of a step: L-BFGS takes all data at once,
# and searches for each step's length.
_BY_CLIPS = ("learning_rate", "clip_bins", "batch", "in_turn")


def checked_recipe(model: Model, changes: Mapping[str, Any]) -> Recipe:
    """`model.recipe` with changes.

    raises: BadSetting where it cannot be followed, or where a change does nothing
            beside the others.
    """
    known = {field.name for field in dataclasses.fields(Recipe)}
    for name in changes:
        if name not in known:
            raise BadSetting(f"fit has no setting {name!r}: {nearest(name, known)}")
    changes = checked(changes, Recipe, "the fit")
    settings = dataclasses.replace(model.recipe, **changes)
    optimiser.check(settings.optimiser, [*optimiser.NAMES, "lbfgs"], "optimiser")
    optimiser.check(settings.schedule, optimiser.SCHEDULES, "schedule")
    if model.training is not None and settings.optimiser == "lbfgs":
        raise BadSetting(
            f"optimiser 'lbfgs': {model.name} is fitted on batches of clips (by their "
            "statistics, with noise): try --set optimiser=adam"
        )
    optimiser.check(settings.precision, ["float32", "bfloat16"], "precision")
    if settings.precision != "float32" and settings.optimiser == "lbfgs":
        raise BadSetting(
            f"precision {settings.precision!r}: L-BFGS compares losses that differ by "
            "less than such rounding: try --set optimiser=adam"
        )
    if settings.stream and settings.optimiser == "lbfgs":
        raise BadSetting(
            "stream True: L-BFGS takes all data at once: add --set optimiser=adam"
        )
    for name in ("clip_bins", "batch", "patience"):
        if getattr(settings, name) < 1:
            raise BadSetting(f"{name} {getattr(settings, name)}: 1 or more")
    if settings.max_steps < 0:
        raise BadSetting(f"max_steps {settings.max_steps}: 0 or more")
    if settings.warm_up_s is not None and not 0 <= settings.warm_up_s < math.inf:
        raise BadSetting(f"warm_up_s {settings.warm_up_s:g}: 0 or more")
    if not 0 <= settings.scatter < math.inf:
        raise BadSetting(f"scatter {settings.scatter:g}: 0 or more")
    if not settings.settle > 0:
        raise BadSetting(f"settle {settings.settle:g}: above 0")
    if not settings.learning_rate > 0:
        raise BadSetting(f"learning_rate {settings.learning_rate:g}: above 0")
    for name in changes:
        where, instead = idle(name, settings, model)
        if where:
            also = f", or add --set {instead}" if instead else ""
            raise BadSetting(f"{name} does nothing {where}: leave it out{also}")
    return settings


def described() -> dict[str, str]:
    """A line on each field of Recipe, from its docstring and the regularisers' own.

    >>> described()["batch"], described()["l2"]
    ('clips per step', 'price on the square of each weight')
    """
    first = {name: inspect.getdoc(one) or "" for name, one in penalties.KINDS.items()}
    terms = {name: doc.splitlines()[0].rstrip(".") for name, doc in first.items()}
    terms["activity"] = "The mean rate"
    return meanings(Recipe) | {
        name: f"price on {term[0].lower()}{term[1:]}" for name, term in terms.items()
    }


def idle(name: str, settings: Recipe, model: Model) -> tuple[str, str]:
    """Where a setting does nothing, and with which other one it would; or ("", "")."""
    if settings.optimiser == "lbfgs":
        falls = name == "schedule" and settings.schedule in optimiser.FALLING
        if falls or name in _BY_CLIPS:
            return "under lbfgs", "optimiser=adam"
    elif name == "settle":
        other = "optimiser=lbfgs" if model.training is None else ""
        return f"under {settings.optimiser}", other
    remembered = model.stage.burn_in_s
    if name == "warm_up_s" and (settings.warm_up_s or -1.0) >= remembered:
        return f"for {model.name}, whose burn-in is {remembered:g} s", ""
    if name == "patience" and settings.schedule != "plateau":
        return f"under schedule {settings.schedule}", "schedule=plateau"
    if name == "in_turn" and model.training is not None:
        return f"for {model.name}, which takes its clips together", ""
    return "", ""


def otherwise(
    default: Recipe,
    training: Mapping[str, Any],
    model: Model,
    without: Collection[str] = ("max_steps",),
) -> dict[str, Any]:
    """What a fit was asked otherwise than a recipe, where a model heeds it.

    default:  the recipe that it would have had.
    training: of the fit.
    without:  fields to leave out.
    """
    changed = {
        name: training[name]
        for name in (field.name for field in dataclasses.fields(Recipe))
        if name not in without
        and name in training
        and training[name] != getattr(default, name)
    }
    settings = dataclasses.replace(model.recipe, **changed)
    return {n: v for n, v in changed.items() if not idle(n, settings, model)[0]}
