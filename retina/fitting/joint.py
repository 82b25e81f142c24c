"""The verb `fit_jointly`: several recordings, one core, a readout of each one's own."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from retina import build, compiled, failures, formulation, registry
from retina.data import leak
from retina.errors import BadSetting
from retina.exact import in_float32
from retina.fitting import checkpoints, descent, ends, penalties
from retina.fitting import core as cores
from retina.fitting.checks import check_clips, notes
from retina.fitting.clips import tabulate
from retina.fitting.compiling import counted
from retina.fitting.devices import Devices
from retina.fitting.fit import finished, number_of, started
from retina.fitting.loop import Loop, Progress
from retina.fitting.loss import validator
from retina.fitting.recipe import checked_recipe
from retina.fitting.resume import identity
from retina.fitting.start import mean_counts
from retina.fitting.walkers import Descent, of_seed, round_steps
from retina.parameter import to_free
from retina.recipe import Recipe
from retina.settings import keywords
from retina.stage import Model, Tree
from retina.types import Fit, Split


@in_float32
def fit_jointly(
    splits: Sequence[Split],
    model: str,
    *,
    key: jax.Array,
    progress: Progress | None = None,
    checkpoint: str | Path | None = None,
    **settings: Any,
) -> tuple[Fit, ...]:
    """Fit one model to several recordings that share its core and nothing else.

    Each step takes a batch of each recording. The loss is the mean over recordings of
    the loss per expected spike, penalty included, so that none weighs more for its
    cells, spikes or length; validation is the mean over recordings of their means over
    cells. The core starts as the first recording alone would have it.

    splits:   of the same frame and clock; their cells are their own.
    model:    a name whose model has a core: cnn, lnln, core_readout, ...
    progress, checkpoint: as in `fit`.
    settings: keywords of the model, and fields of Recipe.
    returns:  one Fit per split, in order; their cores are equal to the last bit.
    raises:   BadSetting, ShapeMismatch, MissingData, BadResponse, Diverged; Leak also
              where the test stimulus of one recording was shown in the training or
              validation of another; BrokenRun, InUse, UnwritableFolder for a
              checkpoint; OutOfMemory, DeviceLost.
    source:   Höfling et al. 2024, doi 10.7554/eLife.86860 (readouts per recording).

    >>> import retina
    >>> # retina.fit_jointly([one, two], "cnn", key=jax.random.key(0), channels=4)
    """
    compiled.keep()
    if not splits:
        raise BadSetting("fit_jointly: at least one split")
    own = keywords(registry.find("models", model))
    chosen = {name: value for name, value in settings.items() if name in own}
    rest = {name: value for name, value in settings.items() if name not in own}
    models = [build.model(model, split.spec, **chosen) for split in splits]
    for one in models:
        cores.check(one, models[0])
    recipe = checked_recipe(models[0], rest)
    if recipe.optimiser == "lbfgs":
        raise BadSetting(
            f"optimiser 'lbfgs': {models[0].name} is fitted jointly on batches of "
            "clips: try optimiser='adam'"
        )
    if recipe.stream:
        raise BadSetting("stream True: fit_jointly holds its movies: leave it out")
    for split in splits:
        check_clips(split)
    leak.refuse_across(splits)
    again = "fit again"
    if checkpoint is not None:
        again = "the same call goes on from the checkpoint"
    ways = checkpoints.ways(checkpoint)
    with (
        failures.told(ends.smaller(recipe, 1), again),
        formulation.taking(ways),
        counted() as compiling,
    ):
        fits = _fit(models, splits, recipe, key, progress, checkpoint)
    own = {"compile_s": compiling.seconds}
    return tuple(
        dataclasses.replace(one, training={**one.training, **own}) for one in fits
    )


def _fit(
    models: list[Model],
    splits: Sequence[Split],
    recipe: Recipe,
    key: jax.Array,
    progress: Progress | None,
    checkpoint: str | Path | None,
) -> tuple[Fit, ...]:
    begun = time.perf_counter()
    nulls = [mean_counts(split.train) for split in splits]
    pairs = list(zip(models, splits, strict=True))
    tables = [
        tabulate(m, split.train, recipe.clip_bins, recipe.warm_up_s)
        for m, split in pairs
    ]
    bits = [
        validator(m, split.validation, null)
        for (m, split), null in zip(pairs, nulls, strict=True)
    ]
    starts = [
        started(m, split, jax.random.fold_in(key, n) if n else key, 1, recipe.scatter)
        for n, (m, split) in enumerate(pairs)
    ]
    names = models[0].core
    params = _joined(names, starts)
    parameters = _joined(names, [m.stage.parameters for m in models])
    free = jax.vmap(lambda p: to_free(parameters, p))(params)
    walker = Together(models, tables, nulls, recipe, free, params, number_of(key))

    def score(params: Tree) -> tuple[np.ndarray, np.ndarray]:
        each = _apart(names, of_seed(params, 0))
        per_cell = [s(p) for s, p in zip(bits, each, strict=True)]
        means, medians = map(np.nanmean, per_cell), map(np.nanmedian, per_cell)
        return np.mean([*means], keepdims=True), np.mean([*medians], keepdims=True)

    asked = {}
    if checkpoint is not None:
        judged = [split.validation for split in splits]
        asked = identity(models, tables, judged, [recipe], key, 1)
    loop = Loop(walker, parameters, score, recipe, begun)
    loop.run(models[0], asked, progress, checkpoint)
    told = {
        "jointly": [split.spec.dataset for split in splits],
        "frozen": [],
        "key": [int(n) for n in jax.random.key_data(key)],
    }
    best = _apart(names, jax.tree.map(lambda a: jnp.asarray(a[0]), loop.plateau.best))
    return tuple(
        finished(
            model,
            # In the order that the model's own init has them.
            seeds=[{name: best[n][name] for name in model.stage.parameters}],
            best=0,
            null_rate=nulls[n],
            bits=bits[n],
            loop=loop,
            first=0,
            table=tables[n],
            told={**told, "notes": notes(models[n], splits[n])},
        )
        for n, model in enumerate(models)
    )


class Together(Descent):
    """Rounds of gradient steps, each on a batch of clips of every recording."""

    def __init__(self, models, tables, nulls, settings, free, fixed, number):
        self.tables, self.settings, self._fixed = tables, settings, fixed
        epoch = max(-(-len(table.first) // settings.batch) for table in tables)
        self.every = self._part = round_steps(epoch, settings.max_steps)
        self._feed = None
        self.numbers = [number]
        moving = None
        if models[0].training is not None:
            moving = _untrained(models, fixed), jnp.asarray([number], jnp.uint32)
        self.devices = here = Devices.dividing(settings.batch)
        self.walk = here.copies(descent.begin(free, moving, settings.optimiser))
        self._given = here.copies((fixed, {}))
        self._shown = here.copies([table.stimulus for table in tables])
        self._counts = here.copies([table.counts for table in tables])
        losses = [
            descent.objective(
                m._replace(penalty=penalties.penalty(m, settings)),
                table,
                null,
                settings.in_turn,
                settings.activity,
            )
            for m, table, null in zip(models, tables, nulls, strict=True)
        ]
        self._round = descent.rounds(
            _mean_loss(models, losses),
            settings.optimiser,
            settings.precision,
            here,
            models[0].training is None,
        )

    def _order(self, step: int, steps: int) -> np.ndarray:
        """(1, steps, batch, recording, 2): rows of each recording's table, shuffled."""
        drawn = [
            descent.shuffled(
                table, self.numbers[0] + n, step, steps, self.settings.batch
            )
            for n, table in enumerate(self.tables)
        ]
        return np.stack(drawn, axis=2)[None]


def _mean_loss(models: list[Model], losses: list[descent.Objective]):
    """The objectives of all recordings as one, of the tree that `_joined` makes."""
    names = models[0].core

    def loss(free, rest, first, stimulus, counts, step):
        rest, weights = rest
        still, number = rest if models[0].training is not None else (rest, None)
        values, after = [], []
        for n, (theirs, params) in enumerate(
            zip(_apart(names, free), _apart(names, still), strict=True)
        ):
            given = params if number is None else (params, number)
            value, moved = losses[n](
                theirs, (given, weights), first[:, n], stimulus[n], counts[n], step
            )
            values.append(value)
            after.append(moved)
        value = sum(values[1:], values[0]) / len(values)
        if number is None:
            return value, None
        # Each recording moved the core's statistics from where they were: the mean.
        moved = _joined(names, [params for params, _ in after])
        cores_ = [{name: params[name] for name in names} for params, _ in after]
        moved["core"] = jax.tree.map(lambda *a: sum(a[1:], a[0]) / len(a), *cores_)
        return value, (moved, number)

    return loss


def _joined(names: tuple[str, ...], trees: list[Tree]) -> Tree:
    """Trees of several recordings' params as one, with the core of the first."""
    rest = {
        f"{n:03d}": {name: tree[name] for name in tree if name not in names}
        for n, tree in enumerate(trees)
    }
    return {"core": {name: trees[0][name] for name in names}, "own": rest}


def _apart(names: tuple[str, ...], joined: Tree) -> list[Tree]:
    """The inverse of `_joined`."""
    return [joined["core"] | joined["own"][n] for n in sorted(joined["own"])]


def _untrained(models: list[Model], joined: Tree) -> Tree:
    names = models[0].core
    each = zip(models, _apart(names, joined), strict=True)
    return _joined(names, [descent.untrained(m, params) for m, params in each])
