"""Several recipes fitted side by side: which there are, and which of them was best."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from retina.errors import BadSetting
from retina.fitting import penalties
from retina.fitting.recipe import checked_recipe
from retina.recipe import TUNED, Recipe
from retina.stage import Model

WEIGHTS = (*penalties.KINDS, "activity")


def candidates(model: Model, changes: Mapping[str, Any]) -> list[Recipe]:
    """One recipe for each combination of what is given as a list, the last fastest.

    changes: of `model.recipe`; those of TUNED may be lists.
    raises:  BadSetting as `checked_recipe` does, for an empty list, and for a list
             under L-BFGS, whose cells stop on their own.
    """
    lists = {
        name: list(value)
        for name, value in changes.items()
        if name in TUNED and isinstance(value, list | tuple)
    }
    for name, values in lists.items():
        if not values:
            raise BadSetting(f"{name} []: a number, or a list of at least one")
    made = [
        checked_recipe(model, {**changes, **dict(zip(lists, values, strict=True))})
        for values in itertools.product(*lists.values())
    ]
    for recipe in made:
        penalties.penalty(model, recipe)  # raises what there is to say of its weights
    if len(made) > 1 and made[0].optimiser == "lbfgs":
        name = next(iter(lists))
        raise BadSetting(
            f"{name} {lists[name]}: L-BFGS takes one: fit once for each, or add --set "
            "optimiser=adam"
        )
    return made


def weights(recipes: Sequence[Recipe], seeds: int) -> dict[str, np.ndarray]:
    """Regularisers on which recipes differ: (lane,), the seeds of a recipe together."""
    each = {name: [getattr(r, name) for r in recipes] for name in WEIGHTS}
    return {
        name: np.repeat(np.array(values, np.float32), seeds)
        for name, values in each.items()
        if len(set(values)) > 1
    }


def widest(recipes: Sequence[Recipe]) -> Recipe:
    """The first, with each regulariser that any of them has."""
    most = {n: max(getattr(r, n) for r in recipes) for n in WEIGHTS}
    return dataclasses.replace(recipes[0], **most)


def leading(bits: np.ndarray, recipes: int) -> slice:
    """The lanes of the recipe with the best median over its seeds.

    bits: (lane,) best validation bits per spike, the seeds of a recipe together.

    >>> leading(np.array([1.0, 3.0, 4.0, 1.5]), 2)
    slice(2, 4, None)
    """
    of_recipe = bits.reshape(recipes, -1)
    seeds = of_recipe.shape[1]
    first = int(np.argmax(np.median(of_recipe, axis=1))) * seeds
    return slice(first, first + seeds)


def best(recipes: Sequence[Recipe], bits: np.ndarray) -> tuple[int, list[dict]]:
    """Which recipe has the best median over its seeds, and how each did.

    bits:    (lane,) best validation bits per spike.
    returns: its number, and per recipe what differs with its "validation_bits"; no
             entries where there is one recipe.

    >>> two = [Recipe(learning_rate=0.1), Recipe(learning_rate=0.2)]
    >>> best(two, np.array([1.0, 3.0, 4.0, 1.5]))[0]
    1
    """
    medians = np.median(bits.reshape(len(recipes), -1), axis=1)
    differ = [n for n in TUNED if len({getattr(r, n) for r in recipes}) > 1]
    told = [
        {name: getattr(recipe, name) for name in differ} | {"validation_bits": float(m)}
        for recipe, m in zip(recipes, medians, strict=True)
    ]
    return int(np.argmax(medians)), told if len(recipes) > 1 else []
