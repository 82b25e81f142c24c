"""The verb `fit`: train on train, choose on validation, keep the best."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from retina import failures
from retina.data import leak
from retina.errors import BadResponse, BadSetting, MissingData
from retina.fitting import ends, lbfgs, penalties
from retina.fitting.clips import tabulate
from retina.fitting.core import frozen
from retina.fitting.loss import validator
from retina.fitting.optimiser import FALLING
from retina.fitting.plateau import CUTS, Plateau
from retina.fitting.recipe import checked_recipe
from retina.fitting.resume import identity, resumed
from retina.fitting.start import mean_counts
from retina.fitting.walkers import Descent, Lbfgs, of_seed
from retina.metrics.medians import middle
from retina.parameter import to_bounded, to_free
from retina.stage import Model, Recipe, Tree
from retina.trees import save_tree
from retina.types import Fit, Split

Progress = Callable[[Mapping[str, Any]], None]
EVALUATIONS = 2000  # at most; the curve has a fixed shape so that it can be resumed


def fit(
    model: Model,
    split: Split,
    *,
    key: jax.Array,
    seeds: int = 1,
    progress: Progress | None = None,
    checkpoint: str | Path | None = None,
    core: Fit | None = None,
    **recipe: Any,
) -> Fit:
    """Fit a model on split.train, stop on split.validation, keep the best parameters.

    key:        jax.random.key; all randomness follows from it.
    seeds:      fits from as many random starts, side by side under vmap.
    progress:   called after each evaluation, before its checkpoint is written, with
                {"step", "max_steps", "seconds", "train_loss", "validation_bits" (the
                best so far, mean over cells), "validation_median" (of the same, over
                cells: what the fit will say if it ends here), "validation" (now, mean
                over cells, one entry per seed), "rate", "steps_per_s", "seconds_left"
                (None where nobody can tell), ...}.
    checkpoint: a file written after each evaluation; if it exists the fit goes on from
                it and ends at the same numbers; another fit's is refused.
    core:       a fit of another recording whose core is taken over as it is; only the
                rest is fitted. Frames, clock and the core's settings must be the same.
    recipe:     fields of Recipe to change (learning_rate, batch, max_steps, ...).
    returns:    Fit; fit.params is the seed that was best on validation.
    raises:     Diverged when the loss is no longer finite before any parameters were
                better than the start (afterwards the fit ends with the best, and
                training["stopped"] says why); BadSetting; MissingData without
                validation clips; BadResponse where they hold no event; Leak where
                test stimulus was shown in training or validation; OutOfMemory,
                DeviceLost with what to type.

    >>> import retina
    >>> # retina.fit(retina.model("ln", split.spec), split, key=jax.random.key(0))
    """
    given = model
    if core is not None:
        model = frozen(model, core)
    settings = checked_recipe(model, recipe)
    again = "fit again"
    if checkpoint is not None:
        again = "the same command goes on from the checkpoint"
    with failures.told(ends.smaller(settings, seeds), again):
        fitted = _fit(model, split, key, seeds, progress, checkpoint, settings)
    frozen_parts = list(model.core) if core is not None else []
    told = {**fitted.training, "frozen": frozen_parts}
    return dataclasses.replace(fitted, model=given, training=told)


def _fit(
    model: Model,
    split: Split,
    key: jax.Array,
    seeds: int,
    progress: Progress | None,
    checkpoint: str | Path | None,
    settings: Recipe,
) -> Fit:
    fitted = model._replace(penalty=penalties.penalty(model, settings))
    check_clips(split)
    if seeds < 1:
        raise BadSetting(f"seeds {seeds}: 1 or more")
    begun = time.perf_counter()
    null_rate = mean_counts(split.train)
    # First of all: blocks too short for the model are told before work is done on them.
    by_clips = settings.optimiser != "lbfgs"
    bins = settings.clip_bins if by_clips else lbfgs.PIECE
    table = tabulate(model, split.train, bins)
    score = validator(model, split.validation, null_rate)
    params = started(model, split, key, seeds)
    fixed = params
    free = jax.vmap(lambda p: to_free(model.stage.parameters, p))(params)
    bound = jax.jit(jax.vmap(lambda u: to_bounded(model.stage.parameters, u[0], u[1])))
    plateau = Plateau.begin(seeds, settings.learning_rate, bound((free, fixed)))
    if by_clips:
        number = number_of(key)
        walker = Descent(fitted, table, null_rate, settings, free, fixed, number)
    else:
        walker = Lbfgs(fitted, table, null_rate, settings, free, fixed)

    asked = identity([model], [table], settings, key, seeds)
    curve = np.full((EVALUATIONS, 3 + seeds), np.nan)
    step = row = 0

    def state() -> dict[str, Any]:
        """All that a resumed fit needs to end at the same numbers."""
        return {
            "walk": walker.walk,
            "last": walker.last,
            "curve": curve,
            "plateau": plateau.tree(),
            "at": np.array([step, row, walker.settled]),
        }

    if checkpoint is not None and Path(checkpoint).exists():
        saved = resumed(checkpoint, state(), asked)
        walker.walk, walker.last = saved["walk"], saved["last"]
        curve = np.array(saved["curve"])
        plateau = Plateau(**{k: _host(v) for k, v in saved["plateau"].items()})
        step, row, settled = (int(n) for n in saved["at"])
        walker.settled = bool(settled)
    earlier = curve[row - 1, 1] if row else 0.0
    medians = np.full(seeds, np.nan)  # of the best so far
    if row:
        medians = np.array(
            [middle(score(of_seed(plateau.best, s))) for s in range(seeds)]
        )

    # On any other schedule validation chooses the parameters, not the rate or the end.
    patience = settings.patience if settings.schedule == "plateau" else EVALUATIONS

    def evaluate(loss: float) -> None:
        nonlocal row, lap
        now = bound((walker.judged, walker.fixed))
        per_cell = np.stack([score(of_seed(now, s)) for s in range(seeds)])
        bits = np.where(walker.sound, np.nanmean(per_cell, axis=1), -np.inf)
        plateau.judge(step, bits, now, patience)
        for s in np.flatnonzero(plateau.step == step):
            medians[s] = middle(per_cell[s])
        seconds = earlier + time.perf_counter() - begun
        curve[row] = [step, seconds, loss, *bits]
        row += 1
        pace = None
        if step:
            pace = walker.every / max(time.perf_counter() - lap, 1e-9)
        lap = time.perf_counter()
        if progress is not None:
            progress(
                {
                    "step": step,
                    "max_steps": settings.max_steps,
                    "train_loss": loss,
                    "validation_bits": float(plateau.bits.max()),
                    "validation_median": float(medians[np.argmax(plateau.bits)]),
                    "validation": bits.tolist(),
                    "rate": walker.rate(step, plateau.rate),
                    "cuts": int(plateau.cuts.min()),
                    "all_cuts": CUTS + 1,
                    "seconds": seconds,
                    "steps_per_s": pace,
                    "seconds_left": ends.left(
                        settings, plateau, step, walker.every, pace
                    ),
                }
            )
        if checkpoint is not None and jax.process_index() == 0:
            save_tree(checkpoint, (asked, state()))

    stopped = ""
    lap = time.perf_counter()
    if row == 0:
        evaluate(float("nan"))
    while (
        step < settings.max_steps
        and row < EVALUATIONS
        and not plateau.done.all()
        and not walker.settled
    ):
        losses, taken = walker.advance(step, plateau.rate)
        loss = float(np.max(losses))
        if not np.isfinite(loss):
            stopped = ends.exploded(model, loss, step, taken, plateau, by_clips)
            break
        step += taken
        evaluate(loss)

    best = int(np.argmax(plateau.bits))
    kept = [jax.tree.map(jnp.asarray, of_seed(plateau.best, s)) for s in range(seeds)]
    per_seed = [score(p) for p in kept]
    return Fit(
        model=model,
        params=kept[best],
        seeds=tuple(kept),
        null_rate=null_rate,
        validation={
            "median": float(np.nanmedian(per_seed[best])),
            "mean": float(np.nanmean(per_seed[best])),
            "per_cell": [float(b) for b in per_seed[best]],
            "seeds": [float(np.nanmedian(bits)) for bits in per_seed],
            "chosen_seed": best,
        },
        curve=tuple(
            {
                "step": int(line[0]),
                "seconds": float(line[1]),
                "train_loss": float(line[2]),
                "validation_bits": float(line[3:].max()),
            }
            for line in curve[:row]
        ),
        training={
            **dataclasses.asdict(settings),
            "steps": step,
            "best_step": int(plateau.step[best]),
            "converged": not stopped
            and bool(
                plateau.done.all()
                or walker.settled
                or not step
                or (step >= settings.max_steps and settings.schedule in FALLING)
            ),
            "stopped": stopped,
            "compile_s": walker.compile_s,
            "fit_s": float(curve[row - 1, 1]),
            "lead": table.lead,
            "clip_bins": table.bins,
            "clips": len(table.first),
            "key": [int(n) for n in jax.random.key_data(key)],
            "backend": jax.default_backend(),
        },
    )


def check_clips(split: Split) -> None:
    """Raises where nothing can be fitted, says when to stop, or may be tested on."""
    leak.refuse(split)
    silent = np.flatnonzero(mean_counts(split.train) == 0)
    if silent.size:
        names = [split.cells[n].name if split.cells else str(n) for n in silent]
        raise BadResponse(
            f"{split.spec.dataset or 'the recording'}: cell {', '.join(names)} has no "
            f"{split.spec.event} in the training blocks: leave it out"
        )
    if not split.validation:
        raise MissingData(
            f"{split.spec.dataset or 'the recording'} has no validation block, which "
            'says when to stop: add a split with role = "validation" to its card'
        )
    if not any(clip.response[:, clip.skip :].any() for clip in split.validation):
        raise BadResponse(
            f"{split.spec.dataset or 'the recording'}: no cell has a "
            f"{split.spec.event} in the validation blocks, so nothing can say when to "
            'stop: choose other frames for the split with role = "validation" on its '
            "card"
        )


def started(model: Model, split: Split, key: jax.Array, seeds: int) -> Tree:
    """Params of each seed at the start of its fit: leaves with a leading seed axis."""
    params = jax.vmap(model.stage.init)(jax.random.split(key, seeds))
    if model.warm_start is None:
        return params
    warm = [model.warm_start(of_seed(params, s), split.train) for s in range(seeds)]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *warm)


def _host(tree: Tree) -> Tree:
    return jax.tree.map(lambda a: np.array(a), tree)


def number_of(key: jax.Array) -> int:
    """An integer from a key, for numpy's generators."""
    return int(np.asarray(jax.random.key_data(key), np.uint64).sum() % (2**31))
