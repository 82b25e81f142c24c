"""The model of a fit with other keywords, and parameters that must fit it."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from retina import build
from retina.errors import BadSetting
from retina.stage import Model, Stage, Tree

Path = tuple[str, ...]  # of a part, or a leaf, among the parameters


def rebuilt(model: Model, **changes: Any) -> Model:
    """The same model, on the same recording, with other values of some keywords.

    >>> from retina.types import Spec
    >>> rebuilt(build.model("ln", Spec((), 2, 0.01), lags=9), lags=4).stage.lags
    3
    """
    return build.model(model.name, model.spec, **{**dict(model.settings), **changes})


def keyword(model: Model, names: tuple[str, ...], method: str) -> str:
    """The one of some keywords that a model has.

    raises: BadSetting where it has none of them.
    """
    settings = dict(model.settings)
    for name in names:
        if name in settings:
            return name
    raise BadSetting(
        f"{method} is for models with {' or '.join(names)}, which {model.name} has not"
    )


def count_kept(keep: float, number: int, what: str) -> int:
    """How many of `number` a share is, rounded.

    raises: BadSetting where that is none of them, or the share is none.

    >>> count_kept(0.3, 8, "channels of conv2d")
    2
    """
    if not 0 < keep <= 1:
        raise BadSetting(f"keep {keep:g}: above 0, at most 1")
    kept = int(np.floor(keep * number + 0.5))
    if kept < 1:
        raise BadSetting(
            f"keep {keep:g} would leave none of {number} {what}: set keep to "
            f"{np.ceil(1000 / number) / 1000:g} or more"
        )
    return kept


def fitting(model: Model, params: Tree, method: str) -> tuple[Model, Tree]:
    """A model and the parameters that were cut for it.

    raises: BadSetting where they are not of its shapes: the method does not know one of
            its parts.
    """
    wanted = jax.eval_shape(model.stage.init, jax.random.key(0))
    there, here = (
        {
            jax.tree_util.keystr(path, simple=True, separator="."): leaf
            for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
        }
        for tree in (wanted, params)
    )
    wrong = [
        name
        for name in sorted({*there, *here})
        if name not in there
        or name not in here
        or there[name].shape != here[name].shape
        or there[name].dtype != here[name].dtype
    ]
    if wrong:
        raise BadSetting(
            f"{method} does not know how to cut {', '.join(wrong)} of {model.name}"
        )
    return model, params


def described(model: Model, method: str) -> None:
    """
    raises: BadSetting that names trained arrays which do not say what their axes are:
            whether they are weights cannot be known, so they would stay as they are.
    """
    shapes = jax.eval_shape(model.stage.init, jax.random.key(0))
    told = jax.tree_util.tree_leaves_with_path(model.stage.parameters)
    silent = [
        jax.tree_util.keystr(path, simple=True, separator=".")
        for (path, one), leaf in zip(told, jax.tree.leaves(shapes), strict=True)
        if one.trainable and leaf.ndim > 1 and not one.axes
    ]
    if silent:
        raise BadSetting(
            f"{method}: {', '.join(silent)} of {model.name} do not say what their axes "
            "are: give their Parameter axes, such as ('input', 'out')"
        )


def parts(stage: Stage, path: Path = ()) -> list[tuple[Path, dict[str, Any]]]:
    """Parts that hold parameters, those of a chain within a chain too, in order."""
    if not stage.parts:
        return [(path, stage.parameters)]
    return [found for name, part in stage.parts for found in parts(part, (*path, name))]


def at(tree: Tree, path: Path) -> Any:
    """
    >>> at({"conv2d": {"bias": 3}}, ("conv2d", "bias"))
    3
    """
    for name in path:
        tree = tree[name]
    return tree


def put(tree: Tree, path: Path, value: Any) -> Tree:
    """The tree with another value there.

    >>> put({"conv2d": {"bias": 3}}, ("conv2d", "bias"), 4)
    {'conv2d': {'bias': 4}}
    """
    if not path:
        return value
    return {**tree, path[0]: put(tree[path[0]], path[1:], value)}
