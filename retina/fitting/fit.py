"""The verb `fit`: train on train, choose on validation, keep the best."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from retina import compiled, failures, formulation
from retina.errors import BadSetting
from retina.exact import in_float32
from retina.fitting import checkpoints, ends, lbfgs, penalties, tuning
from retina.fitting.blame import blame
from retina.fitting.checks import check_clips, notes
from retina.fitting.clips import Table, tabulate
from retina.fitting.compiling import counted
from retina.fitting.core import frozen
from retina.fitting.inherited import inherited
from retina.fitting.lbfgs_walkers import quasi_newton_walker
from retina.fitting.loop import Loop, Progress
from retina.fitting.loss import validator
from retina.fitting.plateau import EXPLODED
from retina.fitting.resume import identity
from retina.fitting.scatter import scattered
from retina.fitting.start import mean_counts
from retina.fitting.streaming import Movie
from retina.fitting.walkers import Descent, of_seed
from retina.metrics.medians import middle
from retina.parameter import to_bounded, to_free
from retina.recipe import Recipe
from retina.stage import Model, Tree
from retina.types import Fit, Split


@in_float32
def fit(
    model: Model,
    split: Split,
    *,
    key: jax.Array,
    seeds: int = 1,
    progress: Progress | None = None,
    checkpoint: str | Path | None = None,
    core: Fit | None = None,
    start: Fit | None = None,
    until: int | None = None,
    **recipe: Any,
) -> Fit:
    """Fit a model on split.train, stop on split.validation, keep the best parameters.

    key:        jax.random.key; all randomness follows from it.
    seeds:      fits from as many random starts, side by side under vmap. Starts of a
                mechanistic model lie near its stated values (rates of `kinetics` within
                10 %): such seeds tell the noise of a fit. To look for other optima
                give `scatter` (about 1) as well. `params` is then the best that was
                found; a score is of the median start, as of any other fit, and its
                `seeds` tell how often a start gets there.
    progress:   called after each evaluation, before that is kept, with
                {"step", "max_steps", "seconds", "train_loss", "validation_bits" (the
                best so far, mean over cells), "validation_median" (of the same, over
                cells: what the fit will say if it ends here), "validation" (now, mean
                over cells, one entry per seed; of several recipes the seeds of the
                first, then of the second, ... in the order of training["tuned"]),
                "rate", "steps_per_s", "seconds_left" (None where nobody can tell),
                ...}.
    checkpoint: a folder of its own, written every 15 s beside the fit and when it
                ends or is stopped; if it exists the fit goes on from it and ends at
                the same numbers; another fit's is refused.
    core:       a fit of another recording whose core is taken over as it is; only the
                rest is fitted. Frames, clock and the core's settings must be the same.
                What that recording was shown is not at hand here, so nobody looks
                whether this split's test stimulus was in it: see to that.
    start:      a fit of the same recording, cells and clock, of a smaller or related
                model, in place of what data tell: parameters of the same name and
                shape begin where that ended, for all seeds (`scatter` moves them
                apart), the rest as the model's own. See `retina.fitting.inherited`.
                training["started"] says which, and the "validation" bits (mean over
                cells) "before", of that fit, and at the "start" of this one, its best
                seed's.
    until:      stop for now, at the first evaluation at this step or later, as if
                interrupted: what comes back is the fit as it stands, and the same call
                with a later one, or None, goes on from its checkpoint.
    recipe:     fields of Recipe to change (learning_rate, batch, max_steps, ...). In a
                descent (not with L-BFGS) the learning rate and the regularisers may be
                lists: every combination is fitted, side by side like seeds, and the one
                with the best median over seeds on validation is kept;
                training["tuned"] tells of them all, the curve and the rest of
                `training` of the one that is kept.
    returns:    Fit; fit.params is the seed that was best on validation. A seed whose
                loss is no longer finite ends there, at its best parameters, and
                training["exploded"] names it; training["notes"] is what is noted of
                the split; training["diverged"] has the step,
                block, bin, part and parameter where the last of them was lost.
    raises:     Diverged when the loss is no longer finite before any parameters were
                better than the start (afterwards the fit ends with the best, and
                training["stopped"] says why); BadSetting; MissingData without
                validation clips; BadResponse where they hold no event; Leak where
                test stimulus was shown in training or validation; OutOfMemory,
                DeviceLost with what to type; BrokenRun, InUse, UnwritableFolder for
                a checkpoint.

    >>> import retina
    >>> # retina.fit(retina.model("ln", split.spec), split, key=jax.random.key(0))
    """
    compiled.keep()
    given = model
    if core is not None and start is not None:
        raise BadSetting(
            "core and start: a core comes from another recording, a start from the "
            "same one: leave out one of them"
        )
    told: dict[str, Any] = {
        "frozen": list(model.core) if core is not None else [],
        "notes": notes(model, split),
    }
    if core is not None:
        model = frozen(model, core)
    if start is not None:
        model, told["started"] = inherited(model, start, split)
    recipes = tuning.candidates(model, recipe)
    again = "fit again"
    if checkpoint is not None:
        again = "the same command goes on from the checkpoint"
    smaller = ends.smaller(recipes[0], seeds, len(recipes))
    ways = checkpoints.ways(checkpoint)
    with (
        failures.told(smaller, again),
        formulation.taking(ways),
        counted() as compiling,
    ):
        fitted = _fit(
            model,
            split,
            recipes,
            key=key,
            seeds=seeds,
            progress=progress,
            checkpoint=checkpoint,
            until=until,
        )
    if start is not None:
        told["started"]["validation"] = {
            "before": start.validation["mean"],
            "start": fitted.curve[0]["validation_bits"],
        }
    told["compile_s"] = compiling.seconds
    return dataclasses.replace(
        fitted, model=given, training={**fitted.training, **told}
    )


def _fit(
    model: Model,
    split: Split,
    recipes: list[Recipe],
    *,
    key: jax.Array,
    seeds: int,
    progress: Progress | None,
    checkpoint: str | Path | None,
    until: int | None,
) -> Fit:
    settings = tuning.widest(recipes)
    fitted = model._replace(penalty=penalties.penalty(model, settings))
    check_clips(split)
    if seeds < 1:
        raise BadSetting(f"seeds {seeds}: 1 or more")
    begun = time.perf_counter()
    null_rate = mean_counts(split.train)
    # First of all: blocks too short for the model are told before work is done on them.
    by_clips = settings.optimiser != "lbfgs"
    bins = settings.clip_bins if by_clips else lbfgs.PIECE
    stream = settings.stream if by_clips else False
    table = tabulate(model, split.train, bins, settings.warm_up_s, stream)
    bits = validator(model, split.validation, null_rate)
    # A lane is a recipe and a seed. Recipes start alike and see the same clips.
    lanes = len(recipes) * seeds
    once = started(model, split, key, seeds, settings.scatter)
    params = jax.tree.map(lambda a: jnp.concatenate([a] * len(recipes)), once)
    free = jax.vmap(lambda p: to_free(model.stage.parameters, p))(params)
    if by_clips:
        numbers = [number_of(key) + s for s in range(seeds)] * len(recipes)
        weights = tuning.weights(recipes, seeds)
        walker = Descent(
            fitted, table, null_rate, settings, free, params, numbers, weights
        )
    else:
        walker = quasi_newton_walker(fitted, table, null_rate, settings, free, params)

    def score(params: Tree) -> tuple[np.ndarray, np.ndarray]:
        per_cell = np.stack([bits(of_seed(params, s)) for s in range(lanes)])
        return np.nanmean(per_cell, axis=1), middle(per_cell)

    asked = {}  # of no use without a checkpoint, and all data must be read for it
    if checkpoint is not None:
        asked = identity([model], [table], [split.validation], recipes, key, seeds)
    rates = np.repeat([r.learning_rate for r in recipes], seeds)

    def blamed(before, step, rate, lane):
        failed = walker.retrace(before, step, rate, lane)
        if failed is None:
            return None
        last = to_bounded(model.stage.parameters, failed.free, failed.fixed)
        return blame(
            fitted, table, split.train, null_rate, last, failed.first, failed.step
        )

    loop = Loop(
        walker,
        model.stage.parameters,
        score,
        settings,
        begun,
        rates=rates,
        recipes=len(recipes),
        blame=blamed,
    )
    loop.run(model, asked, progress, checkpoint, until)
    chosen, tuned = tuning.best(recipes, loop.plateau.bits)
    kept = jax.tree.map(jnp.asarray, loop.plateau.best)
    first = loop.lanes.start
    return finished(
        model,
        seeds=[of_seed(kept, first + s) for s in range(seeds)],
        best=int(np.argmax(loop.plateau.bits[first : first + seeds])),
        null_rate=null_rate,
        bits=bits,
        loop=loop,
        first=first,
        table=table,
        told={
            **dataclasses.asdict(recipes[chosen]),
            "tuned": tuned,
            "key": [int(n) for n in jax.random.key_data(key)],
        },
    )


def finished(
    model: Model,
    *,
    seeds: list[Tree],
    best: int,
    null_rate: np.ndarray,
    bits: Callable[[Tree], np.ndarray],
    loop: Loop,
    first: int,
    table: Table,
    told: dict[str, Any],
) -> Fit:
    """The Fit of a model whose loop has run.

    seeds, best: the parameters of each seed, and which of them is kept.
    bits:        params -> (cell,) bits per spike on validation.
    first:       the loop's number of the first of these seeds.
    told:        further entries of `training`.
    """
    per_seed = [bits(params) for params in seeds]
    return Fit(
        model=model,
        params=seeds[best],
        seeds=tuple(seeds),
        null_rate=null_rate,
        validation={
            "median": float(np.nanmedian(per_seed[best])),
            "mean": float(np.nanmean(per_seed[best])),
            "per_cell": [float(b) for b in per_seed[best]],
            "seeds": [float(np.nanmedian(one)) for one in per_seed],
            "chosen_seed": best,
        },
        curve=loop.curve,
        training={
            **loop.training(first + best),
            "exploded": (loop.plateau.cuts == EXPLODED)[first : first + len(seeds)]
            .nonzero()[0]
            .tolist(),
            "lead": table.lead,
            "burn_in_s": model.stage.burn_in_s,
            "clip_bins": table.bins,
            "clips": len(table.first),
            "streamed": isinstance(table.stimulus, Movie),
            **told,
        },
    )


def started(
    model: Model, split: Split, key: jax.Array, seeds: int, scatter: float = 0.0
) -> Tree:
    """Params of each seed at the start of its fit: leaves with a leading seed axis."""
    keys = jax.random.split(key, seeds)
    params = jax.vmap(model.stage.init)(keys)
    if model.warm_start is None and not scatter:
        return params
    warm = [of_seed(params, s) for s in range(seeds)]
    if model.warm_start is not None:
        warm = [model.warm_start(one, split.train) for one in warm]
    if scatter:
        # Of other draws than those of `init`.
        own = [jax.random.fold_in(k, 1) for k in keys]
        parameters = model.stage.parameters
        warm = [
            scattered(parameters, one, k, scatter)
            for one, k in zip(warm, own, strict=True)
        ]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *warm)


def number_of(key: jax.Array) -> int:
    """An integer from a key, for numpy's generators."""
    return int(np.asarray(jax.random.key_data(key), np.uint64).sum() % (2**31))
