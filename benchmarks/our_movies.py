"""Our side of the benchmark of streamed movies: rounds of gradient steps."""

from __future__ import annotations

import tempfile
from typing import Any

import jax
import numpy as np

import retina
from benchmarks.our_fits import tuples
from benchmarks.ours import our_versions
from benchmarks.worker import Work
from retina.fitting import penalties
from retina.fitting.clips import tabulate
from retina.fitting.fit import number_of, started
from retina.fitting.recipe import checked_recipe
from retina.fitting.start import mean_counts
from retina.fitting.walkers import Descent
from retina.movie import PIECE, rows_of
from retina.parameter import to_free
from retina.types import Clip, Spec, Split


def rounds(settings: dict[str, Any]) -> Work:
    """Rounds of gradient steps on a movie of bytes, in memory or from its file."""
    shown = movie(settings["frames"], settings["side"])
    spec = Spec(shown.shape[1:], settings["cells"], 1 / 60, 127.5, 74.0)
    draw = np.random.default_rng(1)
    counts = draw.poisson(0.2, (1, len(shown), spec.cells)).astype(np.float32)
    clip = Clip("movie", shown, counts, skip=40)
    split = Split(spec, (clip,), (clip,), ())
    model = retina.model(settings["name"], spec, **tuples(settings["model"]))
    recipe = checked_recipe(
        model,
        settings["recipe"] | {"stream": settings["stream"], "max_steps": 10**6},
    )
    key = jax.random.key(0)
    fitted = model._replace(penalty=penalties.penalty(model, recipe))
    null_rate = mean_counts(split.train)
    table = tabulate(model, split.train, recipe.clip_bins, stream=recipe.stream)
    params = started(model, split, key, 1)
    free = jax.vmap(lambda p: to_free(model.stage.parameters, p))(params)
    numbers = [number_of(key)]
    walker = Descent(fitted, table, null_rate, recipe, free, params, numbers, {})
    at, rate = 0, np.full(1, recipe.learning_rate)

    def step() -> dict[str, Any]:
        nonlocal at
        losses, taken = walker.advance(at, rate)
        at += taken
        # Of two models in one race, so not compared by the race itself.
        return {"train_loss": float(losses[0])}

    about = {"movie_bytes": shown.nbytes}
    return Work(step, our_versions(), walker.every, about)


def movie(frames: int, side: int) -> np.ndarray:
    """Random bytes in a file without a name, which ends with the process."""
    file = tempfile.TemporaryFile()
    shape = (frames, side, side)
    shown = np.memmap(file, np.uint8, "w+", shape=shape)
    draw = np.random.default_rng(0)
    each = rows_of(shown, PIECE)
    for begin in range(0, frames, each):
        some = shown[begin : begin + each]
        some[:] = draw.integers(0, 256, some.shape, np.uint8)
    shown.flush()
    return shown
