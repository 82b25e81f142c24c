"""A core that several recordings share: compared, and copied where no fit moves it."""

from __future__ import annotations

import dataclasses
import math

import jax

from retina.arrays import plural
from retina.clocks import bins_held
from retina.errors import BadSetting, ShapeMismatch
from retina.stage import Model, Tree
from retina.trees import digest
from retina.types import Fit


def check(model: Model, core: Model) -> None:
    """Nothing, where two models' cores compute the same of the same frames.

    raises: ShapeMismatch for other frames; BadSetting for a model without a core,
            another clock, or parts of other shapes or settings. What the door
            subtracts and divides by is each recording's own.
    """
    for one in (model, core):
        if not one.core:
            raise BadSetting(
                f"{one.name}: none of its parts can be shared between recordings, as "
                "those of cnn, lnln or core_readout can"
            )
    here, there = model.spec, core.spec
    if here.frame != there.frame:
        raise ShapeMismatch(
            f"the core of {core.name} saw frames of shape {there.frame}, {model.name} "
            f"on {here.dataset or 'this recording'} sees {here.frame}: crop or bin one "
            "of the recordings"
        )
    if not math.isclose(here.bin_s, there.bin_s, rel_tol=1e-3):
        raise BadSetting(
            f"the core of {core.name} was fitted on bins of {there.bin_s:g} s, "
            f"{model.name} has bins of {here.bin_s:g} s: set bin_s={there.bin_s:g}"
        )
    ours, theirs = bins_held(model), bins_held(core)
    if ours != theirs:
        raise BadSetting(
            f"the core of {core.name} sees a frame for {plural(theirs, 'bin')}, that "
            f"of {model.name} here for {ours}: name recordings of the same frames per "
            "bin, or give both a history or none"
        )
    ours, theirs = _parts(model), _parts(core)
    if ours == theirs:
        return
    pairs = [(a, b) for a, b in zip(ours, theirs, strict=False) if a != b]
    # Where one core is the other's beginning, all that differs is its length.
    a, b = pairs[0] if pairs else (model.core, core.core)
    raise BadSetting(
        f"the core of {core.name} has {_words(b)}, {model.name} here has {_words(a)}: "
        "give both the same settings"
    )


def frozen(model: Model, core: Fit) -> Model:
    """The model with a fitted core in it that no fit moves.

    Batch norms then keep all their statistics: the training pass, which would move
    them, is dropped.

    raises: as `check` does.
    """
    check(model, core.model)
    kept = {name: core.params[name] for name in model.core}
    stage = model.stage

    def placed(params: Tree) -> Tree:
        return params | kept

    def warm_start(params, clips):
        # Before, as a start may build on the core; and after, as it may move it.
        return placed(model.warm_start(placed(params), clips))  # type: ignore[misc]

    return model._replace(
        stage=stage._replace(
            init=lambda key: placed(stage.init(key)),
            parameters=still(stage.parameters, model.core),
            about=(*stage.about, ("frozen", digest(kept))),
        ),
        warm_start=warm_start if model.warm_start else None,
        training=None,
    )


def still(parameters: Tree, names: tuple[str, ...]) -> Tree:
    """A tree of Parameter in which nothing below these names is trainable."""
    fixed = {
        name: jax.tree.map(
            lambda one: dataclasses.replace(one, trainable=False), parameters[name]
        )
        for name in names
    }
    return parameters | fixed


def _parts(model: Model) -> tuple:
    """What each part of the core is, but for the door, and what they are seen through.

    A model that wraps another names itself first and that one last.
    """
    parts = (part.about for name, part in model.stage.parts if name in model.core)
    about = model.stage.about
    wraps = () if about[0] in ("chain", "two_clocks") else (about[:-1],)
    return (*wraps, *(part for part in parts if part[0] != "door"))


def _words(part: tuple) -> str:
    return " ".join(map(str, part))
