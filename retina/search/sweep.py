"""The verb `sweep`: every job of an experiment that is not finished yet."""

from __future__ import annotations

import dataclasses
import glob
import shutil
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from retina import atomic, lock, registry, store
from retina.data import card as cards
from retina.errors import (
    BadSetting,
    BrokenRun,
    DeviceLost,
    InUse,
    RetinaError,
    UnwritableFolder,
    nearest,
)
from retina.failures import check_device
from retina.search import effect, grid, records
from retina.search import experiment as experiments
from retina.search.frontier import Frontier, cost_range, frontier
from retina.search.job import Job, run
from retina.search.splits import Splits
from retina.types import Point

Progress = Callable[[Mapping[str, Any]], None]
FAILED = "failed"
CONTROLS = "controls"  # runs of sampled spikes, apart from those that are compared


@dataclasses.dataclass(frozen=True)
class Failure:
    """A job that could not be finished or compared: its error in a line, and whole."""

    job: Job
    error: str
    traceback: str


@dataclasses.dataclass(frozen=True)
class Estimate:
    """What a job would cost, without fitting: FLOPs per bin, as its point will say."""

    job: Job
    flops_per_bin: int | None
    finished: bool
    error: str = ""


@dataclasses.dataclass(frozen=True)
class Swept:
    """What came out. `status` is the exit status: 0, or 1 where a job failed.

    points:    of the finished jobs, in the order of the experiment.
    controls:  likewise, of those that were fitted to sampled spikes.
    effects:   what the families that name another one do beside it.
    skipped:   how many jobs were finished before.
    estimates: of all jobs; only for a dry run.
    surprises: figures outside the range that the experiment expects, in words.
    """

    experiment: experiments.Experiment
    folder: Path
    points: tuple[Point, ...] = ()
    failures: tuple[Failure, ...] = ()
    skipped: int = 0
    estimates: tuple[Estimate, ...] = ()
    surprises: tuple[str, ...] = ()
    controls: tuple[Point, ...] = ()
    effects: tuple[effect.Effect, ...] = ()

    @property
    def status(self) -> int:
        return 1 if self.failures else 0

    def by_dataset(self) -> dict[str, tuple[Point, ...]]:
        """The points of each data set that has any."""
        names = dict.fromkeys(point.dataset for point in self.points)
        return {
            name: tuple(p for p in self.points if p.dataset == name) for name in names
        }

    def frontiers(self) -> dict[str, Frontier]:
        """The frontier of each data set that has points, on the experiment's axes.

        raises: BadSetting where an axis is not defined for one of them.
        """
        x, y = self.experiment.x, self.experiment.y
        return {
            name: frontier(points, x, y) for name, points in self.by_dataset().items()
        }


def sweep(
    experiment: str | Path | experiments.Experiment,
    out: str | Path,
    executor: str = "local",
    dry_run: bool = False,
    progress: Progress | None = None,
) -> Swept:
    """Run the jobs of an experiment; each finished one is a run in `out`.

    Those of sampled spikes come last, in `out`/controls: no table and no frontier sets
    them beside runs of what was recorded.

    experiment: its name or path, or one that was read already.
    out:        a folder of runs, made if need be. Jobs that are finished in it are
                skipped; each is stored whole before the next starts, so that a stop at
                any moment loses no finished job.
    executor:   "local", or "name://address" of another executor.
    dry_run:    nothing is fitted or written; `estimates` says what there is to do.
    progress:   called with {"job", "index", "jobs", "state"}; state is "started",
                "fitting" (with the entries that `retina.fit` reports), "done",
                "skipped" or "failed" (with "error").
    raises:     BadCard, UnknownName for the experiment; UnwritableFolder; InUse where
                another sweep fits the same job; DeviceLost, after which the same
                sweep goes on. Any other error of one job is
                recorded in `out`/failed and the sweep goes on.

    >>> sweep("quickstrat", "runs")
    Traceback (most recent call last):
    retina.errors.UnknownName: no experiment 'quickstrat': did you mean ...
    """
    if not isinstance(experiment, experiments.Experiment):
        experiment = experiments.read(experiment)
    jobs = grid.jobs(experiment)
    folder = Path(out)
    splits = Splits(folder)
    if dry_run:
        estimates = tuple(_estimate(job, folder, splits) for job in jobs)
        return Swept(experiment, folder, estimates=estimates)
    name, _, address = executor.partition("://")
    execute = registry.find("executors", name)
    atomic.check_writable(folder / "run")
    check_device()
    place = {job.name: index for index, job in enumerate(jobs)}
    told = progress or (lambda event: None)

    def tell(job: Job, state: str, **more: Any) -> None:
        where = {"job": job, "index": place[job.name], "jobs": len(jobs)}
        told({**more, **where, "state": state})

    done: dict[str, Point] = {}
    todo = []
    for job in jobs:
        point = finished(job, folder)
        if point is None:
            todo.append(job)
        else:
            done[job.name] = point
            tell(job, "skipped")
    skipped, failures = len(done), []

    def work(job: Job) -> Point | Failure:
        tell(job, "started")
        result = _work(job, folder, splits, lambda e: tell(job, "fitting", **e))
        if isinstance(result, Failure):
            tell(job, "failed", error=result.error)
        else:
            tell(job, "done", point=result)
        return result

    def run_all(some: list[Job]) -> None:
        for job, result in execute(work, some, address):
            if isinstance(result, Failure):
                failures.append(result)
            else:
                done[job.name] = result

    run_all([job for job in todo if not job.spikes_of])
    run_all([job for job in todo if job.spikes_of in done])
    for job in todo:
        if job.spikes_of and job.spikes_of not in done:
            error = "not tried, as the fit that its spikes come from failed"
            failures.append(Failure(job, error, ""))
            tell(job, "failed", error=error)

    def refused(pair: grid.Pair, error: RetinaError) -> None:
        words = f"not compared with {pair.lacks.label}: {_line(error)}"
        failures.append(Failure(pair.has, words, traceback.format_exc()))

    measured = effect.effects(
        grid.pairs(experiment),
        lambda job: job.name in done,
        lambda job: (store.load(_place(job, folder)), splits.of(job)[0]),
        refused,
    )
    ordered = [job for job in jobs if job.name in done]
    return Swept(
        experiment=experiment,
        folder=folder,
        points=tuple(done[job.name] for job in ordered if not job.spikes_of),
        failures=tuple(failures),
        skipped=skipped,
        surprises=tuple(_surprises(experiment, jobs, done)),
        controls=tuple(done[job.name] for job in ordered if job.spikes_of),
        effects=measured,
    )


def _place(job: Job, folder: Path) -> Path:
    """The run of a job."""
    return (folder / CONTROLS if job.spikes_of else folder) / job.name


def finished(job: Job, folder: Path) -> Point | None:
    """The point of a job whose run is complete in the folder; None where it is not.

    Complete is a run that was scored with every metric of the job.
    """
    place = _place(job, folder)
    if not place.is_dir():
        return None
    try:
        record = store.read(place)
        if record.get("job") != job.canonical():
            return None
        if record.get("recording") != cards.digest(cards.read(job.dataset)):
            return None
        point = records.point_of(record, job.name)
        return point if set(job.metrics) <= set(point.score.metrics) else None
    except BrokenRun:
        return None


def _work(
    job: Job, folder: Path, splits: Splits, progress: Progress
) -> Point | Failure:
    with lock.beside(_place(job, folder)):
        # Another sweep may have finished it since this one began.
        return finished(job, folder) or _done(job, folder, splits, progress)


def _done(
    job: Job, folder: Path, splits: Splits, progress: Progress
) -> Point | Failure:
    begun, place = time.perf_counter(), _place(job, folder)
    failed = folder / FAILED / f"{job.name}.json"
    try:
        split, recording = splits.of(job)
        # Of this card: what an edited one tests on, the earlier may have trained on.
        checkpoint = place.parent / f".{job.name}.{recording[:8]}.checkpoint"
        try:
            fit, point = run(job, split, progress=progress, checkpoint=checkpoint)
        except BrokenRun:
            if not checkpoint.exists():
                raise
            # A checkpoint of another version of the model: the fit starts afresh.
            _remove(checkpoint)
            fit, point = run(job, split, progress=progress, checkpoint=checkpoint)
    except (UnwritableFolder, DeviceLost, InUse):
        raise  # not the job's fault, and the next one's trouble as well
    except Exception as error:
        failure = Failure(job, _line(error), traceback.format_exc())
        record = dataclasses.asdict(failure) | {"versions": store.versions()}
        atomic.write_file(failed, store.dumps(record).encode())
        return failure
    extra = {
        "job": job.canonical(),
        "label": job.label,
        "spikes_of": job.spikes_of,
        "cells": job.cells,
        "cell_names": point.score.cell_names,
        "card": job.dataset if job.dataset.endswith(".toml") else "",
        "recording": recording,
        "seconds": time.perf_counter() - begun,
        **records.describe(point),
    }
    store.save(fit, place, extra=extra)
    for begun_fit in place.parent.glob(f".{glob.escape(job.name)}.*checkpoint"):
        _remove(begun_fit)
    failed.unlink(missing_ok=True)
    return point


def _remove(checkpoint: Path) -> None:
    """Whatever stands in its place: earlier versions kept a file there."""
    if checkpoint.is_dir():
        shutil.rmtree(checkpoint, ignore_errors=True)
    else:
        checkpoint.unlink(missing_ok=True)


def _line(error: Exception) -> str:
    first = (str(error).strip().splitlines() or [""])[0]
    if isinstance(error, RetinaError):
        return first
    return f"{type(error).__name__}: {first}"


def _estimate(job: Job, folder: Path, splits: Splits) -> Estimate:
    from retina import build

    was = finished(job, folder)
    if was is not None:
        return Estimate(job, was.cost.flops_per_bin, True)
    try:
        import jax

        from retina.costs.cost import runs_of
        from retina.costs.flops import count_step

        # What is sampled has the same frame, cells and clock.
        recorded, _ = splits.of(dataclasses.replace(job, spikes_of=""))
        model = build.model(job.model, recorded.spec, **job.settings)
        params = jax.eval_shape(model.stage.init, jax.random.key(0))
        flops = runs_of(model) * count_step(model, params)[1].flops
        return Estimate(job, flops, False)
    except Exception as error:
        return Estimate(job, None, False, _line(error))


def _surprises(
    experiment: experiments.Experiment, jobs: list[Job], done: Mapping[str, Point]
) -> Iterator[str]:
    """Figures outside their range; a name that no job has is a surprise as well."""
    for expected in experiment.expected:
        where = expected.dataset
        named = [job for job in jobs if where in ("", job.dataset)]
        found = [job for job in named if job.label == expected.run]
        if not found:
            known = {job.label for job in named}
            yield f"{expected.run}: no such run: {nearest(expected.run, known)}"
        for job in found:
            point = done.get(job.name)
            on = f" on {job.dataset}" if len(found) > 1 else ""
            try:
                value = None if point is None else _outside(point, expected)
            except BadSetting as error:
                yield f"{job.label}{on}: {error}"
                continue
            if value is not None:
                yield (
                    f"{job.label}{on}: {expected.what} is {value:.4g}, expected "
                    f"{expected.low:g} to {expected.high:g}"
                )


def _outside(point: Point, expected: experiments.Expected) -> float | None:
    """The figure, where it lies outside its range (a cost's range: wholly outside)."""
    if expected.what in point.score.metrics:
        low = middle = high = point.score.metrics[expected.what].median
    else:
        low, middle, high = cost_range(point, expected.what)
    return None if expected.low <= high and low <= expected.high else middle
