"""The verb `sweep`: every job of an experiment that is not finished yet."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import functools
import secrets
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from retina import atomic, registry, store
from retina.errors import BadSetting, InUse, RetinaError
from retina.search import draws, effect, failing, grid, places, plan, work
from retina.search import experiment as experiments
from retina.search.estimate import Estimate, estimates
from retina.search.execute import execute
from retina.search.explore import explore, spaces
from retina.search.failing import Failure
from retina.search.frontier import Frontier, frontier
from retina.search.halving import Rung, begun, halve, ladder
from retina.search.headline import Headline, headline
from retina.search.job import Job
from retina.search.places import Order
from retina.search.priced import priced
from retina.search.searched import Searched, searched
from retina.search.surprises import surprises
from retina.search.work import Outcome, Progress, finished
from retina.types import Fit, Point, Split


@dataclasses.dataclass(frozen=True)
class Swept:
    """What came out. `status` is the exit status: 0, or 1 where a job failed.

    points:    of the finished jobs, in the order of the experiment.
    headlines: per recording, where the experiment asks `within`.
    priced:    models that a budget leaves out, from `retina.search.priced`.
    refused:   jobs whose model is not for their recording, as the experiment expects.
    recordings: run -> the recording's own name, and ":" with the cells asked for.
    own:       that of a recording as the experiment names it, which may be a path; of
               those that any run is of.
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
    recordings: Mapping[str, str] = dataclasses.field(default_factory=dict)
    own: Mapping[str, str] = dataclasses.field(default_factory=dict)
    refused: tuple[Failure, ...] = ()
    headlines: Mapping[str, Headline] = dataclasses.field(default_factory=dict)
    priced: tuple[Mapping[str, Any], ...] = ()

    @property
    def status(self) -> int:
        return 1 if self.failures else 0

    @property
    def untried(self) -> list[Mapping[str, Any]]:
        """Models that a recording was not tried with, each with the reason.

        "cost" is the price of those that could have been.
        """
        refused = [
            {
                "model": one.job.label,
                "recording": self.own.get(one.job.recording, one.job.recording),
                "why": one.error,
            }
            for one in self.refused
        ]
        return [*refused, *self.priced]

    def by_recording(self) -> dict[str, tuple[Point, ...]]:
        """The points of each recording that has any."""
        found: dict[str, list[Point]] = {}
        for point in self.points:
            found.setdefault(self.recordings[point.run], []).append(point)
        return {name: tuple(points) for name, points in found.items()}

    def frontiers(self) -> dict[str, Frontier]:
        """The frontier of each recording that has points, on the experiment's axes.

        raises: BadSetting where an axis is not defined for one of them.
        """
        x, y = self.experiment.x, self.experiment.y
        return {
            name: frontier(points, x, y) for name, points in self.by_recording().items()
        }


def sweep(
    experiment: str | Path | experiments.Experiment,
    out: str | Path,
    executor: str = "local",
    *,
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
                "fitting" (with the entries that `retina.fit` reports), "reached" (a
                rung of halving, with "step" and "bits"), "done", "skipped", "failed" or
                "refused" (both with "error").
    limit_s:    how long a job may take; one that takes longer has failed. Its process
                is ended, so jobs do not run in this one then.
    raises:     BadCard, UnknownName for the experiment; BadSetting; UnwritableFolder;
                InUse, once the other jobs are done, where another process has one and
                was not heard for a minute: until then it is waited for; DeviceLost and
                Unreachable, after which the same sweep goes on. Any other error of one
                job is recorded in `out`/failed and the sweep goes on.

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
    choosing = experiment.within is not None
    mark = secrets.token_hex(4)
    order = Order(folder.absolute(), mark, limit_s, draws=choosing)
    place = {job.name: index for index, job in enumerate(jobs)}
    told = progress or (lambda event: None)

    searching, search = bool(spaces(experiment)), experiment.search
    halving = search.method == "halving"
    heats = {
        recording: begun(experiment, recording) if halving else []
        for recording in experiment.recordings()
        if searching
    }
    finals = {name: min(len(heat), search.finalists) for name, heat in heats.items()}
    trials = sum(finals.values()) if halving else search.trials * len(heats)
    tries = [n for heat in heats.values() for _, n in ladder(len(heat), search)]
    skipped = 0

    def tell(job: Job, state: str, **more: Any) -> None:
        nonlocal skipped
        skipped += state == "skipped"
        index = place.setdefault(job.name, len(place))
        where = {"job": job, "index": index, "jobs": len(jobs) + trials + sum(tries)}
        told({**more, **where, "state": state})

    done: dict[str, Point] = {}
    failures: list[Failure] = []
    explored: list[Job] = []
    climbed: dict[str, list[Rung]] = {}

    def unfinished(some: Iterable[Job]) -> list[Job]:
        left = []
        for job in some:
            point, said = finished(job, folder), None
            if point is None:
                said = failing.refused(job, folder)
            if point is not None:
                done[job.name] = point
                tell(job, "skipped", point=point)
            elif said is not None:
                failures.append(said)
                tell(job, "refused", error=said.error)
            else:
                left.append(job)
        return left

    def heard(answers: Iterable[tuple[Job, Outcome]]) -> Iterator[Job]:
        for job, result in answers:
            if isinstance(result, Failure):
                failures.append(result)
            elif isinstance(result, Point):
                done[job.name] = result
            yield job

    in_use: list[InUse] = []

    def run_all(some: list[Job]) -> None:
        try:
            collections.deque(heard(execute(some, order, executor, tell)), maxlen=0)
        except InUse as error:  # all else of these is done, and may be begun with
            in_use.append(error)

    todo = unfinished(jobs)
    if todo or searching:
        asks = experiment.y, executor, trials, experiment.question
        with plan.kept(jobs, order, *asks):
            while ready := [job for job in todo if job.needs in ("", *done)]:
                todo = [job for job in todo if job.needs not in ("", *done)]
                run_all(ready)
            for recording, heat in heats.items():
                if halving:
                    rungs, last, lost = halve(heat, search, order, executor, tell)
                    climbed[recording] = rungs
                    failures += lost
                    explored += last
                    run_all(unfinished(last))
                else:
                    answers = explore(experiment, recording, order, executor, tell)
                    explored += heard(answers)
            if in_use:
                raise in_use[0]
    for job in todo:
        whose = "its spikes come from" if job.spikes_of else "it begins with"
        error = f"not tried, as the fit that {whose} failed"
        failures.append(Failure(job, error, ""))
        tell(job, "failed", error=error)

    def refused(pair: grid.Pair, error: RetinaError) -> None:
        words = f"not compared with {pair.lacks.label}: {failing.line(error)}"
        failures.append(Failure(pair.has, words, traceback.format_exc()))

    splits = work.splits(order.folder)

    def of(job: Job) -> tuple[Fit, Split]:
        return store.load(places.place_of(job, folder)), splits.of(job)[0]

    measured = effect.effects(
        grid.pairs(experiment), lambda job: job.name in done, of, refused
    )
    every = {job.name: job for job in (*jobs, *explored)}
    ordered = [job for job in every.values() if job.name in done]
    recordings = {
        job.name: ":".join(filter(None, [done[job.name].dataset, job.cells]))
        for job in ordered
    }
    own = _own(ordered, recordings)
    swept = Swept(
        experiment=experiment,
        folder=folder,
        points=tuple(done[job.name] for job in ordered if not job.spikes_of),
        failures=tuple(one for one in failures if not one.refused),
        refused=tuple(one for one in failures if one.refused),
        skipped=skipped,
        surprises=tuple(surprises(experiment, jobs, done)),
        controls=tuple(done[job.name] for job in ordered if job.spikes_of),
        effects=tuple(
            dataclasses.replace(one, dataset=own[one.dataset]) for one in measured
        ),
        searched=tuple(
            dataclasses.replace(
                searched(
                    *(experiment, name, [done.get(job.name) for job in made]),
                    climbed.get(name, ()),
                ),
                dataset=own.get(name, name),
            )
            for name in experiment.recordings()
            if (made := _tries(experiment, name, explored)) or climbed.get(name)
        ),
        labels={job.name: job.label for job in every.values()},
        recordings=recordings,
        own=own,
        priced=tuple(priced(experiment, order.folder)),
    )
    if choosing:
        swept = dataclasses.replace(swept, headlines=_headlines(swept, every, of))
    work.splits.cache_clear()
    return swept


def _headlines(
    swept: Swept,
    jobs: Mapping[str, Job],
    of: Callable[[Job], tuple[Fit, Split]],
) -> dict[str, Headline]:
    """Per recording; where the cost is not known its frontier says so."""
    asked, found = swept.experiment, {}
    for name, points in swept.by_recording().items():
        each = []
        for point in points:
            job = jobs[point.run]
            place = places.place_of(job, swept.folder)
            each.append(draws.kept(place, functools.partial(of, job)))
        with contextlib.suppress(BadSetting):
            found[name] = headline(points, each, asked.within or 0.0, asked.x)
    return found


def _tries(experiment: experiments.Experiment, recording: str, explored: list[Job]):
    """The jobs that a space led to, each once, in the order in which they were made."""
    found = grid.of_spaces(experiment) if not spaces(experiment) else explored
    named = {job.name: job for job in found if recording in _called(job)}
    return list(named.values())


def _own(jobs: Iterable[Job], recordings: Mapping[str, str]) -> dict[str, str]:
    """What an experiment calls a recording -> as its points are called.

    Where it names no cells, those that it chooses itself go before a parent's.
    """
    reductions_first = sorted(jobs, key=lambda job: not job.method)
    return {
        name: recordings[job.name] for job in reductions_first for name in _called(job)
    }


def _called(job: Job) -> tuple[str, ...]:
    """How an experiment may have named the recording of a job.

    A reduction takes the cells of its parent, where the experiment names none.
    """
    return (job.dataset, job.recording) if job.method else (job.recording,)
