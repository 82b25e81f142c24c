"""What the jobs of a sweep would cost, before any is fitted."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Sequence
from pathlib import Path

from retina import store
from retina.search import work
from retina.search.job import Job
from retina.search.splits import Splits


@dataclasses.dataclass(frozen=True)
class Estimate:
    """What a job would cost, without fitting.

    flops_per_bin: of the model, as its point will say; None where that is an error, and
                   for a reduction.
    seconds:       for the fit and its score, from those of the same model and data set
                   that are finished in the folder, in proportion to their operations;
                   None where there is none to go by.
    """

    job: Job
    flops_per_bin: float | None
    finished: bool
    error: str = ""
    seconds: float | None = None


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
    from retina import build

    was = work.finished(job, folder)
    if was is not None:
        took = store.read(work.place_of(job, folder)).get("seconds")
        return Estimate(job, was.cost.flops_per_bin, True, seconds=took)
    if job.method:  # what is cut is known when there is a fit to cut
        return Estimate(job, None, False)
    try:
        import jax

        from retina.costs.clocks import one_bin
        from retina.costs.cost import runs_of

        # What is sampled has the same frame, cells and clock.
        recorded, _ = splits.of(dataclasses.replace(job, spikes_of=""))
        model = build.model(job.model, recorded.spec, **job.settings)
        params = jax.eval_shape(model.stage.init, jax.random.key(0))
        flops = runs_of(model) * one_bin(model, params).work.step.flops
        return Estimate(job, flops, False)
    except Exception as error:
        return Estimate(job, None, False, work.line(error))
