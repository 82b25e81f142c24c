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

from retina import build, failures, registry
from retina.errors import BadSetting
from retina.fitting import core as cores
from retina.fitting import descent, ends, penalties
from retina.fitting.clips import Table, tabulate
from retina.fitting.devices import Devices
from retina.fitting.fit import (
    EVALUATIONS,
    Progress,
    check_clips,
    number_of,
    started,
)
from retina.fitting.loss import validator
from retina.fitting.optimiser import FALLING, rates
from retina.fitting.plateau import CUTS, Plateau
from retina.fitting.recipe import checked_recipe
from retina.fitting.resume import identity, resumed
from retina.fitting.start import mean_counts
from retina.parameter import to_bounded, to_free
from retina.settings import keywords
from retina.stage import Model, Recipe, Tree
from retina.trees import save_tree
from retina.types import Fit, Split


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
    progress, checkpoint: as in `fit`, but for "validation_median".
    settings: keywords of the model, and fields of Recipe.
    returns:  one Fit per split, in order; their cores are equal to the last bit.
    raises:   BadSetting, ShapeMismatch, MissingData, BadResponse, Diverged.
    source:   Höfling et al. 2024, doi 10.7554/eLife.86860 (readouts per recording).

    >>> import retina
    >>> # retina.fit_jointly([one, two], "cnn", key=jax.random.key(0), channels=4)
    """
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
    for split in splits:
        check_clips(split)
    again = "fit again"
    if checkpoint is not None:
        again = "the same call goes on from the checkpoint"
    with failures.told(ends.smaller(recipe, 1), again):
        return _fit(models, splits, recipe, key, progress, checkpoint)


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
    tables = [tabulate(m, split.train, recipe.clip_bins) for m, split in pairs]
    scores = [
        validator(m, split.validation, null)
        for (m, split), null in zip(pairs, nulls, strict=True)
    ]
    starts = [
        started(m, split, jax.random.fold_in(key, n) if n else key, 1)
        for n, (m, split) in enumerate(pairs)
    ]
    names = models[0].core
    fixed = _joined(names, starts)
    described = _joined(names, [m.stage.parameters for m in models])
    free = jax.vmap(lambda p: to_free(described, p))(fixed)
    bound = jax.jit(jax.vmap(lambda u: to_bounded(described, u[0], u[1])))
    plateau = Plateau.begin(1, recipe.learning_rate, bound((free, fixed)))

    number = number_of(key)
    moving = None
    if models[0].training is not None:
        moving = _untrained(models, fixed), jnp.asarray([number], jnp.uint32)
    devices = Devices.dividing(recipe.batch)
    walk = devices.copies(descent.begin(free, moving, recipe.optimiser))
    given = devices.copies(fixed)
    epoch = max(-(-len(table.first) // recipe.batch) for table in tables)
    every = max(min(int(np.clip(epoch // 2, 40, 400)), recipe.max_steps), 1)
    at_rest = [table.stimulus for table in tables], [table.counts for table in tables]
    at_rest = devices.copies(at_rest)
    compiling = time.perf_counter()
    losses = [
        descent.objective(
            m._replace(penalty=penalties.penalty(m, recipe)),
            table,
            null,
            recipe.in_turn,
            recipe.activity,
        )
        for m, table, null in zip(models, tables, nulls, strict=True)
    ]
    run = descent.rounds(
        _mean_loss(models, losses),
        recipe.optimiser,
        recipe.precision,
        devices,
        models[0].training is None,
    )
    order = devices.shares(_order(tables, number, 0, every, recipe.batch))
    rate = devices.copies(jnp.zeros((1, every), jnp.float32))
    compiled = run.lower(walk, given, order, rate, *at_rest).compile()
    compile_s = time.perf_counter() - compiling

    asked = identity(models, tables, recipe, key, 1)
    curve = np.full((EVALUATIONS, 4), np.nan)
    step = row = 0
    if checkpoint is not None and Path(checkpoint).exists():
        like = walk, curve, plateau.tree(), np.array([step, row])
        walk, curve, kept, at = resumed(checkpoint, like, asked)
        curve = np.array(curve)
        plateau = Plateau(**jax.tree.map(np.array, kept))
        step, row = (int(n) for n in at)
    earlier = curve[row - 1, 1] if row else 0.0
    patience = recipe.patience if recipe.schedule == "plateau" else EVALUATIONS

    def evaluate(loss: float) -> None:
        nonlocal row, lap
        still = given if walk.moving is None else walk.moving[0]
        now = bound(devices.here((walk.average, still)))
        each = _apart(names, jax.tree.map(lambda a: a[0], now))
        bits = np.mean(
            [np.nanmean(s(p)) for s, p in zip(scores, each, strict=True)], keepdims=True
        )
        plateau.judge(step, bits, now, patience)
        seconds = earlier + time.perf_counter() - begun
        curve[row] = [step, seconds, loss, bits[0]]
        row += 1
        pace = every / max(time.perf_counter() - lap, 1e-9) if step else None
        lap = time.perf_counter()
        if progress is not None:
            progress(
                {
                    "step": step,
                    "max_steps": recipe.max_steps,
                    "train_loss": loss,
                    "validation_bits": float(plateau.bits[0]),
                    "validation": bits.tolist(),
                    "rate": float(plateau.rate[0]),
                    "cuts": int(plateau.cuts[0]),
                    "all_cuts": CUTS + 1,
                    "seconds": seconds,
                    "steps_per_s": pace,
                    "seconds_left": ends.left(recipe, plateau, step, every, pace),
                }
            )
        if checkpoint is not None and jax.process_index() == 0:
            state = walk, curve, plateau.tree(), np.array([step, row])
            save_tree(checkpoint, (asked, state))

    stopped = ""
    lap = time.perf_counter()
    if row == 0:
        evaluate(float("nan"))
    while step < recipe.max_steps and row < EVALUATIONS and not plateau.done[0]:
        steps = min(every, recipe.max_steps - step)
        factors = rates(recipe.schedule, step, steps, recipe.max_steps)
        # The last round may be shorter: another program.
        walk, lost = (compiled if steps == every else run)(
            devices.copies(walk),  # a checkpoint's is on one device
            given,
            devices.shares(_order(tables, number, step, steps, recipe.batch)),
            devices.copies(jnp.asarray(plateau.rate[:, None] * factors[None])),
            *at_rest,
        )
        loss = float(devices.here(lost)[0])
        if not np.isfinite(loss):
            stopped = ends.exploded(models[0], loss, step, steps, plateau, True)
            break
        step += steps
        evaluate(loss)

    best = jax.tree.map(lambda a: jnp.asarray(a[0]), plateau.best)
    told = tuple(
        {
            "step": int(line[0]),
            "seconds": float(line[1]),
            "train_loss": float(line[2]),
            "validation_bits": float(line[3]),
        }
        for line in curve[:row]
    )
    falls = recipe.schedule in FALLING and step >= recipe.max_steps
    training = {
        **dataclasses.asdict(recipe),
        "steps": step,
        "best_step": int(plateau.step[0]),
        "converged": not stopped and bool(plateau.done[0] or not step or falls),
        "stopped": stopped,
        "compile_s": compile_s,
        "fit_s": float(curve[row - 1, 1]),
        "jointly": [split.spec.dataset for split in splits],
        "frozen": [],
        "key": [int(n) for n in jax.random.key_data(key)],
        "backend": jax.default_backend(),
    }
    fits = []
    for n, params in enumerate(_apart(names, best)):
        # In the order that the model's own init has them.
        params = {name: params[name] for name in models[n].stage.parameters}
        bits = scores[n](params)
        table = tables[n]
        fits.append(
            Fit(
                model=models[n],
                params=params,
                seeds=(params,),
                null_rate=nulls[n],
                validation={
                    "median": float(np.nanmedian(bits)),
                    "mean": float(np.nanmean(bits)),
                    "per_cell": [float(b) for b in bits],
                    "seeds": [float(np.nanmedian(bits))],
                    "chosen_seed": 0,
                },
                curve=told,
                training=training
                | {
                    "lead": table.lead,
                    "clip_bins": table.bins,
                    "clips": len(table.first),
                },
            )
        )
    return tuple(fits)


def _mean_loss(models: list[Model], losses: list[descent.Objective]):
    """The objectives of all recordings as one, of the tree that `_joined` makes."""
    names = models[0].core

    def loss(free, rest, first, stimulus, counts, step):
        still, number = rest if models[0].training is not None else (rest, None)
        values, after = [], []
        for n, (theirs, params) in enumerate(
            zip(_apart(names, free), _apart(names, still), strict=True)
        ):
            given = params if number is None else (params, number)
            value, moved = losses[n](
                theirs, given, first[:, n], stimulus[n], counts[n], step
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


def _order(
    tables: list[Table], number: int, step: int, steps: int, batch: int
) -> jax.Array:
    """(1, steps, batch, recording, 2): rows of each recording's table, shuffled."""
    drawn = [
        descent.shuffled(table, number + n, step, steps, batch)
        for n, table in enumerate(tables)
    ]
    return jnp.asarray(np.stack(drawn, axis=2)[None])
