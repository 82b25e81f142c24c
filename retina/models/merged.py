"""Another model whose cells are mixtures of fewer drives than there are cells."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from retina import build
from retina.clocks import again
from retina.errors import BadSetting, at_least_one
from retina.layers.changes import CHANGES
from retina.layers.readout import mixture
from retina.layers.wrapped import parts_of
from retina.stage import Model, Stage
from retina.types import Spec

READOUTS = ("factorised", "dense")


def merged(
    spec: Spec,
    /,
    *,
    of: str = "cnn",
    settings: tuple[tuple[str, Any], ...] = (),
    rank: int = 1,
) -> Model:
    """A model that reads out `rank` drives for all cells; `retina reduce merge` does.

    of, settings: the model's name and keywords.
    rank:    drives read out of the last map; each cell is a sum of them and an offset.
    raises:  BadSetting for a model without a readout of its own for each cell, and for
             weights of few bits: they would be counted as they were.

    The penalty on the old readout's weights goes with them. Statistics that a batch
    had while the model was fitted stay as they are.

    >>> merged(Spec((), 9, 0.01), settings=(("lags", 4),), rank=2).stage.lags
    3
    """
    at_least_one(rank=rank)
    inner = build.model(of, spec, **dict(settings))
    if inner.columns is not None:
        raise BadSetting(f"merge: {of} has costs of its own; merge first, then {of}")
    place, name, readout = readout_of(inner)
    parts = [part for _, part in parts_of(inner)]
    parts[place] = mixture(readout.about[1], spec.cells, rank)
    own, start, penalty = parts[place].name, inner.warm_start, inner.penalty
    shapes = jax.eval_shape(readout.init, jax.random.key(0))
    none = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)

    def whole(params):
        """What the inner model's functions expect, its readout without weights."""
        return {key: v for key, v in params.items() if key != own} | {name: none}

    def warm_start(params, clips):
        assert start is not None
        started = start(whole(params), clips)
        return {key: started.get(key, params[key]) for key in params}

    return inner._replace(
        name="merged",
        stage=again(inner, tuple(parts), ("merged", rank, inner.stage.about)),
        warm_start=warm_start if start else None,
        penalty=(lambda params: penalty(whole(params))) if penalty else None,
        training=None,
        independent=False,
    )


def readout_of(model: Model) -> tuple[int, str, Stage]:
    """Place, name and stage of the part that gives each cell its own drive.

    raises: BadSetting where there is none.
    """
    for place, (name, part) in enumerate(parts_of(model)):
        if part.name in READOUTS and part.about[1] != CHANGES:
            return place, name, part
    raise BadSetting(
        f"merge is for models in which each cell reads a map, as in cnn and lnln, and "
        f"{model.name} has no such readout"
    )
