"""What the jobs of a sweep would cost, before any is fitted."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from retina import registry, store
from retina.errors import UncountedPrimitive
from retina.search import failing, places, work
from retina.search.job import Job, changes
from retina.search.splits import Splits
from retina.stage import Model, Tree
from retina.types import Split


@dataclasses.dataclass(frozen=True)
class Estimate:
    """What a job would cost, without fitting.

    flops_per_bin: of the model, as its point will say. None where that is an error, and
                   of a reduction whose parent is not finished, or which fits something
                   before it cuts.
    flops:         of all training steps that the fit may take, with those of its seeds
                   and of recipes side by side. Not in it are validation, and what a
                   line search evaluates more than once. None as above, where a step
                   has no count, and of a finished one.
    seconds:       for the fit and its score, from those of the same model and data set
                   that are finished in the folder, in proportion to their operations;
                   None where there is none to go by.
    """

    job: Job
    flops_per_bin: float | None
    finished: bool
    error: str = ""
    seconds: float | None = None
    flops: int | None = None


def estimates(jobs: Sequence[Job], folder: Path) -> tuple[Estimate, ...]:
    """An estimate of every job; nothing is fitted or written."""
    splits = Splits(folder)
    made = [_estimate(job, folder, splits) for job in jobs]
    return tuple(
        one if one.finished else dataclasses.replace(one, seconds=_seconds(one, made))
        for one in made
    )


def _seconds(one: Estimate, among: Sequence[Estimate]) -> float | None:
    """Median over kin of seconds per operation and seed, times those of this one."""
    if not one.flops_per_bin:
        return None
    prices = [
        kin.seconds / (kin.flops_per_bin * kin.job.seeds)
        for kin in among
        if kin.finished and kin.seconds and kin.flops_per_bin
        if _kind(kin.job) == _kind(one.job)
    ]
    if not prices:
        return None
    return statistics.median(prices) * one.flops_per_bin * one.job.seeds


def _kind(job: Job) -> tuple:
    return job.model, job.dataset, job.method


def _estimate(job: Job, folder: Path, splits: Splits) -> Estimate:
    was = work.finished(job, folder)
    if was is not None:
        took = store.read(places.place_of(job, folder)).get("seconds")
        return Estimate(job, was.cost.flops_per_bin, True, seconds=took)
    try:
        # What is sampled has the same frame, cells and clock.
        split, _ = splits.of(dataclasses.replace(job, spikes_of=""))
        counted = _cut(job, folder, split) if job.method else _whole(job, split)
        return Estimate(job, counted[0], False, flops=counted[1])
    except Exception as error:
        return Estimate(job, None, False, failing.line(error))


def _whole(job: Job, split: Split) -> tuple[float, int | None]:
    import jax

    from retina import build

    model = build.model(job.model, split.spec, **job.settings)
    params = jax.eval_shape(model.stage.init, jax.random.key(0))
    training = _training(model, split, changes(job, model))
    return _per_bin(model, params), training and training * job.seeds


def _cut(job: Job, folder: Path, split: Split) -> tuple[float | None, int | None]:
    """As `retina.reduce` cuts, one method after the other, but without the refits."""
    import jax

    from retina.reduction.fits import fits_itself
    from retina.reduction.steps import REFIT_STEPS, divided, kept_recipe

    functions = [registry.find("reductions", name) for name in job.method.split(",")]
    there = (places.parent_of(job, folder) / store.RECORD).is_file()
    if not there or any(map(fits_itself, functions)):
        return None, None
    fit = work.parent(job, folder)
    assert fit is not None
    methods = dict(zip(job.method.split(","), functions, strict=True))
    rest = {**job.settings, **job.fit}
    steps = rest.pop("refit_steps", REFIT_STEPS)
    own, recipe = divided(rest, methods)
    refits: list[int | None] = []
    for number, (name, function) in enumerate(methods.items()):
        key = jax.random.fold_in(jax.random.key(job.key), number)
        cutting, _ = jax.random.split(key)
        model, params = function(fit, split, cutting, **own[name])
        how = kept_recipe(fit, model) | recipe | {"max_steps": steps}
        refits.append(_training(model, split, how))
        fit = dataclasses.replace(fit, model=model, params=params)
    known = [one for one in refits if one is not None]
    whole = sum(known) if len(known) == len(refits) else None
    return _per_bin(fit.model, fit.params), whole


def _per_bin(model: Model, params: Tree) -> float:
    from retina.costs.clocks import one_bin
    from retina.costs.cost import runs_of

    return runs_of(model) * one_bin(model, params).work.step.flops


def _training(model: Model, split: Split, how: Mapping[str, Any]) -> int | None:
    from retina.fitting.tuning import candidates
    from retina.search.learning import learning

    recipes = candidates(model, how)
    steps = recipes[0].max_steps
    if steps == 0:
        return 0
    one = {name: getattr(recipes[0], name) for name in how}
    try:
        return learning(model, split, **one).step * steps * len(recipes)
    except UncountedPrimitive:
        return None
