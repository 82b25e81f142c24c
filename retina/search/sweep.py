"""The verb `sweep`: every job of an experiment that is not finished yet."""

from __future__ import annotations

import collections
import dataclasses
import secrets
import traceback
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from retina import atomic, registry, store
from retina.errors import BadSetting, RetinaError, nearest
from retina.search import effect, grid, plan, work
from retina.search import experiment as experiments
from retina.search.estimate import Estimate, estimates
from retina.search.execute import execute
from retina.search.explore import explore, spaces
from retina.search.frontier import Frontier, cost_range, frontier
from retina.search.job import Job
from retina.search.searched import Searched, searched
from retina.search.work import Failure, Order, Progress, finished
from retina.types import Point


@dataclasses.dataclass(frozen=True)
class Swept:
    """What came out. `status` is the exit status: 0, or 1 where a job failed.

    points:    of the finished jobs, in the order of the experiment.
    controls:  likewise, of those that were fitted to sampled spikes.
    effects:   what the families that name another one do beside it.
    skipped:   how many jobs were finished before.
    estimates: of all jobs; only for a dry run.
    searched:  how exhaustive the search of a space was, on each data set.
    labels:    run -> what a person calls it.
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
    searched: tuple[Searched, ...] = ()
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)

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
    limit_s: float | None = None,
) -> Swept:
    """Run the jobs of an experiment; each finished one is a run in `out`.

    Those of sampled spikes come last, in `out`/controls: no table and no frontier sets
    them beside runs of what was recorded.

    experiment: its name or path, or one that was read already.
    out:        a folder of runs, made if need be. Jobs that are finished in it are
                skipped; each is stored whole as soon as it is done, so that a stop at
                any moment loses no finished job.
    executor:   "local" for this process, "local://2" for two, "dask://host:8786", or
                "name://address" of another executor.
    dry_run:    nothing is fitted or written; `estimates` says what there is to do.
    progress:   called with {"job", "index", "jobs", "state"}; state is "started",
                "fitting" (with the entries that `retina.fit` reports), "done",
                "skipped" or "failed" (with "error").
    limit_s:    how long a job may take; one that takes longer has failed. Its process
                is ended, so jobs do not run in this one then.
    raises:     BadCard, UnknownName for the experiment; BadSetting; UnwritableFolder;
                InUse, once the other jobs are done, where another sweep is at one;
                DeviceLost and Unreachable, after which the same sweep goes on. Any
                other error of one job is recorded in `out`/failed and the sweep goes
                on.

    >>> sweep("quickstrat", "runs")
    Traceback (most recent call last):
    retina.errors.UnknownName: no experiment 'quickstrat': did you mean ...
    """
    if not isinstance(experiment, experiments.Experiment):
        experiment = experiments.read(experiment)
    if limit_s is not None and not limit_s > 0:
        raise BadSetting(f"limit_s {limit_s:g}: more than 0, or None for no limit")
    jobs, folder = grid.jobs(experiment), Path(out)
    if dry_run:
        return Swept(experiment, folder, estimates=estimates(jobs, folder))
    registry.find("executors", executor.partition("://")[0])
    atomic.check_writable(folder / "run")
    order = Order(folder.absolute(), secrets.token_hex(4), limit_s)
    place = {job.name: index for index, job in enumerate(jobs)}
    told = progress or (lambda event: None)

    searching = bool(spaces(experiment))
    trials = experiment.search.trials * len(experiment.datasets) if searching else 0
    skipped = 0

    def tell(job: Job, state: str, **more: Any) -> None:
        nonlocal skipped
        skipped += state == "skipped"
        index = place.setdefault(job.name, len(place))
        where = {"job": job, "index": index, "jobs": len(jobs) + trials}
        told({**more, **where, "state": state})

    done: dict[str, Point] = {}
    failures: list[Failure] = []
    todo, explored = [], []
    for job in jobs:
        point = finished(job, folder)
        if point is None:
            todo.append(job)
        else:
            done[job.name] = point
            tell(job, "skipped")

    def heard(answers: Iterable[tuple[Job, Point | Failure]]) -> Iterator[Job]:
        for job, result in answers:
            if isinstance(result, Failure):
                failures.append(result)
            else:
                done[job.name] = result
            yield job

    def run_all(some: list[Job]) -> None:
        collections.deque(heard(execute(some, order, executor, tell)), maxlen=0)

    if todo or searching:
        with plan.kept(jobs, order, experiment.y, executor, trials):
            while ready := [job for job in todo if job.needs in ("", *done)]:
                todo = [job for job in todo if job.needs not in ("", *done)]
                run_all(ready)
            for dataset in experiment.datasets if searching else ():
                answers = explore(experiment, dataset, order, executor, tell)
                explored += heard(answers)
    for job in todo:
        whose = "its spikes come from" if job.spikes_of else "it begins with"
        error = f"not tried, as the fit that {whose} failed"
        failures.append(Failure(job, error, ""))
        tell(job, "failed", error=error)

    def refused(pair: grid.Pair, error: RetinaError) -> None:
        words = f"not compared with {pair.lacks.label}: {work.line(error)}"
        failures.append(Failure(pair.has, words, traceback.format_exc()))

    splits = work.splits(order.folder)
    measured = effect.effects(
        grid.pairs(experiment),
        lambda job: job.name in done,
        lambda job: (store.load(work.place_of(job, folder)), splits.of(job)[0]),
        refused,
    )
    work.splits.cache_clear()
    every = {job.name: job for job in (*jobs, *explored)}
    ordered = [job for job in every.values() if job.name in done]
    return Swept(
        experiment=experiment,
        folder=folder,
        points=tuple(done[job.name] for job in ordered if not job.spikes_of),
        failures=tuple(failures),
        skipped=skipped,
        surprises=tuple(_surprises(experiment, jobs, done)),
        controls=tuple(done[job.name] for job in ordered if job.spikes_of),
        effects=measured,
        searched=tuple(
            searched(experiment, name, [done.get(job.name) for job in tries])
            for name in experiment.datasets
            if (tries := _tries(experiment, name, explored))
        ),
        labels={job.name: job.label for job in every.values()},
    )


def _tries(experiment: experiments.Experiment, dataset: str, explored: list[Job]):
    """The jobs that a space led to, each once, in the order in which they were made."""
    found = grid.of_spaces(experiment) if not spaces(experiment) else explored
    named = {job.name: job for job in found if job.dataset == dataset}
    return list(named.values())


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
