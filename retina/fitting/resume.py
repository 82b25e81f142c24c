"""What a checkpoint is of, so that no other fit goes on from it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from retina import build
from retina.errors import BrokenRun
from retina.fitting.clips import Table
from retina.fitting.optimiser import FALLING
from retina.fitting.streaming import Movie
from retina.movie import pieces
from retina.recipe import Recipe
from retina.stage import Model
from retina.types import Clip

LOOKED_AT = 2**30  # bytes of an array; of more, each n-th row


def identity(
    models: Sequence[Model],
    tables: Sequence[Table],
    validation: Sequence[Sequence[Clip]],
    recipes: Sequence[Recipe],
    key: jax.Array,
    seeds: int,
) -> dict[str, Any]:
    """What JSON can hold, and differs where two fits do.

    tables, validation: what each model is trained on, and what it is chosen on.
    """
    built = repr(
        [
            (build.source(m), m.settings, m.stage.about, m.spec, _bounds(m))
            for m in models
        ]
    )
    judged = [
        part
        for clips in validation
        for clip in clips
        for part in (clip.stimulus, clip.response, clip.skip)
    ]
    each = [dataclasses.asdict(recipe) for recipe in recipes]
    decides = {
        name: value
        if all(one[name] == value for one in each)
        else [one[name] for one in each]
        for name, value in each[0].items()
    }
    if recipes[0].schedule not in FALLING:
        del decides["max_steps"]  # only where it ends: a fit may be given more of them
    del decides["stream"]  # the same numbers from elsewhere
    said = {
        "key": [int(n) for n in jax.random.key_data(key)],
        "seeds": seeds,
        **decides,
        "model": hashlib.sha256(built.encode()).hexdigest()[:12],
        "training counts": _digest([a for t in tables for a in (t.counts, t.first)]),
        "training stimulus": _digest([table.stimulus for table in tables]),
        "validation": _digest(judged),
    }
    return json.loads(json.dumps(said))


def compare(path: Path, there: dict[str, Any], here: dict[str, Any]) -> None:
    """Nothing, where a checkpoint is of the fit that is asked for.

    there, here: the `identity` of each.
    raises:      BrokenRun with the difference.
    """
    differ = [
        f"{name} {there.get(name)} there, {here[name]} here"
        for name in here
        if there.get(name) != here[name]
    ]
    if differ:
        raise BrokenRun(
            f"{path} is of another fit ({'; '.join(differ)}): name another checkpoint, "
            "or delete it"
        )


def _digest(arrays: Iterable[Any]) -> str:
    """Of the numbers, or of a part of very many, and of how they are laid out."""
    digest = hashlib.sha256()
    for array in arrays:
        if not isinstance(array, Movie):
            array = np.asarray(array)
        digest.update(f"{array.dtype.str} {array.shape} ".encode())
        every = 1 + array.nbytes // LOOKED_AT
        if isinstance(array, Movie):
            some = array.pieces(every)
        else:
            some = pieces(np.atleast_1d(array)[::every])
        for piece in some:
            digest.update(np.ascontiguousarray(piece).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()[:12]


def _bounds(model: Model) -> list[tuple[float, float]]:
    """A checkpoint's numbers are free: within other bounds they mean other values."""
    return [(p.low, p.high) for p in jax.tree.leaves(model.stage.parameters)]
