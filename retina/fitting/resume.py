"""What a checkpoint is of, so that no other fit goes on from it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from retina import registry
from retina.errors import BrokenRun
from retina.fitting.clips import Table
from retina.fitting.optimiser import FALLING
from retina.stage import Model, Recipe, Tree
from retina.trees import load_tree

ROOM = 4096  # bytes: an array of a checkpoint has one shape whatever it says


def identity(
    models: Sequence[Model],
    tables: Sequence[Table],
    recipe: Recipe,
    key: jax.Array,
    seeds: int,
) -> np.ndarray:
    """(ROOM,) uint8: a text that differs where two fits do."""
    built = repr([(_source(m), m.settings, m.stage.about, m.spec) for m in models])
    counts = hashlib.sha256()
    for table in tables:
        counts.update(np.asarray(table.counts).tobytes())
        counts.update(np.asarray(table.first).tobytes())
    decides = dataclasses.asdict(recipe)
    if recipe.schedule not in FALLING:
        del decides["max_steps"]  # only where it ends: a fit may be given more of them
    said = {
        "key": [int(n) for n in jax.random.key_data(key)],
        "seeds": seeds,
        **decides,
        "model": hashlib.sha256(built.encode()).hexdigest()[:12],
        "training counts": counts.hexdigest()[:12],
    }
    text = json.dumps(said).encode()
    return np.frombuffer(text.ljust(ROOM), np.uint8)


def resumed(path: str | Path, like: Tree, asked: np.ndarray) -> Tree:
    """What a checkpoint holds, where it is of the fit that is asked for.

    like, returns: (identity, state).
    raises:        BrokenRun with the difference.
    """
    saved, state = load_tree(path, (asked, like))
    there, here = _said(saved), _said(asked)
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
    return state


def _source(model: Model) -> str:
    return registry.source("models", model.name)


def _said(identity: np.ndarray) -> dict[str, Any]:
    return json.loads(np.asarray(identity, np.uint8).tobytes())
