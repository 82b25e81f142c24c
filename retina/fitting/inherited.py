"""Where a fit may start: at the fit of a smaller or related model of the same cells."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from retina.arrays import plural, shape
from retina.errors import BadSetting
from retina.fitting.start import mean_counts
from retina.stage import Model, Tree
from retina.trees import digest
from retina.types import Fit, Split

Path = tuple[str, ...]


def inherited(model: Model, start: Fit, split: Split) -> tuple[Model, dict[str, Any]]:
    """The model, starting with those parameters of a fit that it has as well.

    Those are the ones of the same path, shape and dtype; a model's last part counts as
    its output, whatever it is called. What they mean is not looked at: the same
    weights of longer cosines, or in front of another nonlinearity, are taken over.
    The rest starts as the model's own does, as far as that has any place beside them.
    A model that says how it `contains` the other one takes everything from it.

    start:   of the same recording, clock, cells and training blocks; of several seeds,
             the best on validation. Of others, parameters that belong to a cell would
             go to another one, and it may have been trained on what is tested here.
    returns: the model, and the names, as short as they tell: "taken", "own" (the
             model's own start) and "left" (of the fit, with no place here).
    raises:  BadSetting for a fit of anything else, or where no trained parameter
             agrees.
    """
    _check(model, start, split)
    drawn = jax.eval_shape(model.stage.init, jax.random.key(0))
    ours, theirs = _leaves(model, drawn), _leaves(start.model, start.params)
    taken = {
        path: leaf
        for path, leaf in theirs.items()
        if path in ours and _kind(leaf) == _kind(ours[path])
    }
    whole = model.contains(start.model, start.params) if model.contains else None
    if whole is not None:
        taken = _leaves(model, whole)
    described = jax.tree.structure(drawn).flatten_up_to(model.stage.parameters)
    trained = {path for path, one in zip(ours, described, strict=True) if one.trainable}
    if not trained & set(taken):
        raise BadSetting(
            f"start: no parameter of {start.model.name} "
            f"({', '.join(_names(start.model, theirs))}) has the name and shape of one "
            f"of {model.name} ({', '.join(_names(model, ours))}): start from a model "
            "of the same parts, with the same keywords"
        )
    stage, warm = model.stage, model.warm_start

    def placed(params: Tree) -> Tree:
        leaves, structure = jax.tree_util.tree_flatten_with_path(params)
        whole = [taken.get(_name(model, path), value) for path, value in leaves]
        return structure.unflatten(map(jnp.asarray, whole))

    def warm_start(params, clips):
        # Before, as a start may build on them; and after, as it may move them.
        params = placed(params)
        return placed(warm(params, clips)) if warm else params

    own = [path for path in ours if path not in taken]
    left = [path for path in theirs if path not in taken]
    told = {
        "taken": _names(model, taken, own),
        "own": _names(model, own, taken),
        "left": _names(start.model, left, taken),
    }
    about = (*stage.about, ("start", digest(taken)))
    started = model._replace(stage=stage._replace(about=about), warm_start=warm_start)
    return started, told


def sentence(told: Mapping[str, Collection[str]]) -> str:
    """What `inherited` tells, in a line.

    >>> sentence({"taken": ["output", "fir"], "own": ["history"], "left": []})
    'takes all parameters but history'
    >>> sentence({"taken": ["output"], "own": ["fir", "bias"], "left": ["spatial"]})
    'takes output; its own start of fir, bias; leaves spatial'
    """
    taken, own, left = (", ".join(told[name]) for name in ("taken", "own", "left"))
    if len(told["own"]) <= len(told["taken"]):
        said = f"takes all parameters{f' but {own}' if own else ''}"
    else:
        said = f"takes {taken}; its own start of {own}"
    return said + (f"; leaves {left}" if left else "")


def _check(model: Model, start: Fit, split: Split) -> None:
    """Nothing, where the fit is of the cells and the training blocks of the split."""
    here, there = model.spec, start.model.spec
    if _place(here) != _place(there) or not math.isclose(
        here.bin_s, there.bin_s, rel_tol=1e-3
    ):
        raise BadSetting(
            f"start: {start.model.name} was fitted to {_recording(there)}, "
            f"{model.name} is to be fitted to {_recording(here)}: start from a fit of "
            "the same recording, cells and bins (a core of another recording: core)"
        )
    counts = mean_counts(split.train)
    if not np.allclose(start.null_rate, counts, rtol=1e-6, atol=0):
        cell = int(np.argmax(np.abs(start.null_rate - counts)))
        raise BadSetting(
            f"start: {start.model.name} was fitted to other cells or training blocks "
            f"of {here.dataset or 'the recording'} (cell {cell} had "
            f"{start.null_rate[cell]:.4g} {here.event}s per bin, here it has "
            f"{counts[cell]:.4g}): start from a fit of the same ones"
        )


def _place(spec: Any) -> tuple:
    return spec.dataset, spec.frame, spec.cells, spec.bins_per_frame, spec.event


def _recording(spec: Any) -> str:
    return (
        f"{plural(spec.cells, 'cell')} of {spec.dataset or 'a recording'}, frames of "
        f"{shape(spec.frame)}, bins of {spec.bin_s:.4g} s"
    )


def _leaves(model: Model, tree: Tree) -> dict[Path, Any]:
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {_name(model, path): leaf for path, leaf in leaves}


def _name(model: Model, path: Any) -> Path:
    """A leaf's path, under which the last of a model's parts has no name."""
    words = tuple(jax.tree_util.keystr((one,), simple=True) for one in path)
    return ("", *words[1:]) if words[0] == _last(model) else words


def _last(model: Model) -> str:
    parts = model.stage.parts
    return parts[-1][0] if parts else ""


def _kind(leaf: Any) -> tuple:
    return tuple(leaf.shape), leaf.dtype


def _names(
    model: Model, paths: Iterable[Path], others: Collection[Path] = ()
) -> tuple[str, ...]:
    """Of leaves, cut where none of the others begins alike: a part for all of it."""
    found = {}
    for path in paths:
        alike = [
            n for n in range(1, len(path)) if any(o[:n] == path[:n] for o in others)
        ]
        words = path[: len(alike) + 1]
        found[".".join((words[0] or _last(model), *words[1:]))] = None
    return tuple(found)
