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
from retina.stage import Model, Recipe


def identity(
    models: Sequence[Model],
    tables: Sequence[Table],
    recipes: Sequence[Recipe],
    key: jax.Array,
    seeds: int,
) -> dict[str, Any]:
    """What JSON can hold, and differs where two fits do."""
    built = repr([(_source(m), m.settings, m.stage.about, m.spec) for m in models])
    counts = hashlib.sha256()
    for table in tables:
        counts.update(np.asarray(table.counts).tobytes())
        counts.update(np.asarray(table.first).tobytes())
    each = [dataclasses.asdict(recipe) for recipe in recipes]
    decides = {
        name: value
        if all(one[name] == value for one in each)
        else [one[name] for one in each]
        for name, value in each[0].items()
    }
    if recipes[0].schedule not in FALLING:
        del decides["max_steps"]  # only where it ends: a fit may be given more of them
    said = {
        "key": [int(n) for n in jax.random.key_data(key)],
        "seeds": seeds,
        **decides,
        "model": hashlib.sha256(built.encode()).hexdigest()[:12],
        "training counts": counts.hexdigest()[:12],
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


def _source(model: Model) -> str:
    return registry.source("models", model.name)
