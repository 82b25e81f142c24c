"""Our side of the benchmarks of whole fits: `retina.fit`, as anyone calls it."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import math
import tempfile
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

import retina
from benchmarks import inputs
from benchmarks.ours import our_versions
from benchmarks.worker import Work
from retina.fitting import checkpoints
from retina.fitting.checkpoints import Checkpoints
from retina.fitting.compiling import counted
from retina.types import Cell, Clip, Fit, Spec, Split


def regression(settings: dict[str, Any]) -> Work:
    """A Poisson regression as the fit of an `ln` that sees one frame."""
    drawn = inputs.regression(settings)
    x, y = drawn["x"], drawn["y"]
    high = max(n for n in range(1, 11) if x.shape[1] % n == 0)
    frames = x.reshape(len(x), high, -1)
    clip = Clip("all", frames, y[None])
    spec = Spec(frames.shape[1:], y.shape[1], 0.01)
    split = Split(spec, (clip,), (clip,), ())
    model = retina.model(
        "ln",
        spec,
        lags=1,
        rank=None,
        window=max(frames.shape[1:]),
        output_kind="exp",
        smooth=0.0,
    )
    best = float(np.mean(settings["optimum"]))

    def step() -> dict[str, Any]:
        begun = time.perf_counter()
        fit = retina.fit(model, split, key=jax.random.key(0), settle=1e-9, patience=100)
        spent = time.perf_counter() - begun
        end = (exact_loss(fit, x, y) - best) / abs(best)
        # The curve is of float32 sums, off by a constant: its end is set to the exact.
        mean = float(fit.null_rate.mean())
        losses = np.array([entry["train_loss"] for entry in fit.curve]) * mean
        losses[np.isnan(losses)] = np.inf  # before the first step
        gaps = (losses - losses.min()) / abs(best) + end
        seconds = [entry["seconds"] for entry in fit.curve]
        there = [
            s for s, gap in zip(seconds, gaps, strict=True) if gap <= settings["gap"]
        ]
        return {
            "seconds": there[0] if there else None,
            "spent_s": spent,
            "gap": end,
            "compile_s": fit.training["compile_s"],
            "curve": [
                [s, float(gap)]
                for s, gap in zip(seconds, gaps, strict=True)
                if np.isfinite(gap)
            ],
        }

    return Work(step, our_versions())


def exact_loss(fit: Fit, x: np.ndarray, y: np.ndarray) -> float:
    """Mean of rate - count log rate, summed in float64."""
    filters = np.asarray(fit.params["space_time"]["filters"])
    weights = filters.reshape(len(filters), -1).T
    bias = np.asarray(fit.params["output"]["bias"])
    total = 0.0
    for first in range(0, len(x), 50_000):
        here = slice(first, first + 50_000)
        drive = (x[here] @ weights + bias).astype(np.float64)
        total += float((np.exp(drive) - y[here] * drive).sum())
    return total / y.size


def cells_alone(settings: dict[str, Any]) -> Work:
    """An LN model of every cell at once, or of one cell after another."""
    split = loaded(settings)
    chosen = settings["model"]
    together = settings["together"]
    parts = [split] if together else [only(split, n) for n in range(split.spec.cells)]

    def step() -> dict[str, Any]:
        begun = time.perf_counter()
        fits = [
            retina.fit(
                retina.model("ln", part.spec, **chosen), part, key=jax.random.key(0)
            )
            for part in parts
        ]
        return {
            "spent_s": time.perf_counter() - begun,
            "fits": [
                {
                    "curve": [[e["seconds"], e["validation_bits"]] for e in fit.curve],
                    "per_cell": list(fit.validation["per_cell"]),
                }
                for fit in fits
            ],
        }

    about = {
        "dataset": split.spec.dataset,
        "cells": split.spec.cells,
        "device": jax.devices()[0].device_kind,
    }
    return Work(step, our_versions(), about=about)


def loaded(settings: dict[str, Any]) -> Split:
    """The recording; its first training clips and cells where settings say so."""
    split = retina.split(retina.load(settings["dataset"]))
    train = split.train[: settings.get("clips")]
    kept = Split(split.spec, train, split.validation, split.test, split.cells)
    return only(kept, slice(settings.get("cells"))) if "cells" in settings else kept


def only(split: Split, cells: int | slice) -> Split:
    """A split of some of its cells."""
    chosen = slice(cells, cells + 1) if isinstance(cells, int) else cells

    def cut(clips: tuple[Clip, ...]) -> tuple[Clip, ...]:
        return tuple(
            Clip(c.name, c.stimulus, c.response[..., chosen], c.skip, c.group)
            for c in clips
        )

    kept: tuple[Cell, ...] = split.cells[chosen]
    spec = dataclasses.replace(split.spec, cells=len(kept))
    return Split(spec, cut(split.train), cut(split.validation), cut(split.test), kept)


def tuples(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings that came as JSON, which has none."""
    return {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in settings.items()
    }


class _Enough(Exception):
    """The time is up: raised out of a fit by its own `progress`."""


def whole(settings: dict[str, Any]) -> Work:
    """`retina.fit` of `cnn`, until the last aim, its own end, or a limit."""
    split = loaded(settings)
    model = retina.model("cnn", split.spec, **tuples(settings["model"]))

    def step() -> dict[str, Any]:
        curve: list[list[float]] = []

        def progress(now: Mapping[str, Any]) -> None:
            curve.append([now["seconds"], now["validation"][0]])
            if now["validation"][0] >= settings["aims"][-1]:
                raise _Enough
            if now["seconds"] > (settings["limit_s"] or math.inf):
                raise _Enough

        begun = time.perf_counter()
        with counted() as compiling, contextlib.suppress(_Enough):
            retina.fit(model, split, key=jax.random.key(0), progress=progress)
        return {
            "curve": curve,
            "spent_s": time.perf_counter() - begun,
            "compile_s": compiling.seconds,
        }

    about = {
        "dataset": split.spec.dataset,
        "cells": split.spec.cells,
        "device": jax.devices()[0].device_kind,
    }
    return Work(step, our_versions(), about=about)


def ended(settings: dict[str, Any]) -> Work:
    """`retina.fit` of `cnn` to its own end, and how it does on the test."""
    split = loaded(settings)
    model = retina.model("cnn", split.spec, **tuples(settings["model"]))

    def step() -> dict[str, Any]:
        begun = time.perf_counter()
        fit = retina.fit(model, split, key=jax.random.key(0))
        spent = time.perf_counter() - begun
        metrics = ["pearson", "bits_per_spike"]
        score = retina.score(fit, split.test, metrics, draws=2)
        (running,) = score.others
        return {
            "curve": [[e["seconds"], e["validation_bits"]] for e in fit.curve],
            "spent_s": spent,
            "per_cell": list(fit.validation["per_cell"]),
            "settled": True,
            "running": list(running.metrics["bits_per_spike"].per_cell),
            "frozen_r": list(score.metrics["pearson"].per_cell),
        }

    about = {
        "dataset": split.spec.dataset,
        "cells": split.spec.cells,
        "device": jax.devices()[0].device_kind,
    }
    return Work(step, our_versions(), about=about)


def kept(settings: dict[str, Any]) -> Work:
    """A whole fit, with or without checkpoints, and how long it waited for them."""
    split = loaded(settings)
    model = retina.model(settings["name"], split.spec, **tuples(settings["model"]))
    checkpoints.EVERY_S = settings["every_s"]
    begun = time.perf_counter()
    if settings["kept"]:
        importlib.import_module("orbax.checkpoint")
    import_s = time.perf_counter() - begun
    spent = Spent()
    for name in ("__enter__", "load", "keep", "__exit__"):
        setattr(Checkpoints, name, spent.timed(getattr(Checkpoints, name)))
    write = Checkpoints._write

    def counted(self: Checkpoints) -> None:
        spent.written += 1
        write(self)

    Checkpoints._write = counted

    def step() -> dict[str, Any]:
        spent.seconds, spent.written = 0.0, 0
        with tempfile.TemporaryDirectory() as folder:
            place = f"{folder}/checkpoint" if settings["kept"] else None
            begun = time.perf_counter()
            fit = retina.fit(
                model,
                split,
                key=jax.random.key(0),
                checkpoint=place,
                **settings["recipe"],
            )
            took = time.perf_counter() - begun
        return {
            "seconds": took,
            "spent_s": took,
            "waited_s": spent.seconds,
            "written": spent.written,
            "steps": fit.training["steps"],
        }

    return Work(step, our_versions(), about={"import_s": import_s})


class Spent:
    """Seconds inside the functions that it times, and how many were written."""

    def __init__(self) -> None:
        self.seconds, self.written = 0.0, 0

    def timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*given: Any) -> Any:
            begun = time.perf_counter()
            try:
                return function(*given)
            finally:
                self.seconds += time.perf_counter() - begun

        return run
