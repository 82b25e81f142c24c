"""Spaces that are too large for a grid: optuna asks, the sweep answers."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any

from retina import lock
from retina.search import grid
from retina.search.database import Asking, optuna, state, study_of
from retina.search.execute import Tell, execute
from retina.search.experiment import Experiment, Family, Search
from retina.search.job import Job
from retina.search.parents import Parent
from retina.search.places import Order
from retina.search.searched import objectives
from retina.search.space import Range
from retina.search.work import Outcome, finished
from retina.types import Point

OF = "folder"  # of a trial: the sweep that asked for it
Families = list[tuple[Family, Parent | None]]


def spaces(experiment: Experiment) -> list[Family]:
    """The families that are explored rather than run point by point."""
    if experiment.search.method == "grid":
        return []
    return [family for family in experiment.families if family.space]


def explore(
    experiment: Experiment, dataset: str, order: Order, executor: str, tell: Tell
) -> Iterator[tuple[Job, Outcome]]:
    """Yields what came of each trial on one data set; each is a run like any other.

    What was tried before counts: the same command goes on with the trials that are
    left, and first with those that were under way when a sweep was killed.

    raises: MissingExtra without optuna; InUse where another process searches in this
            folder; Unreachable where the database does not answer, or no longer.
    """
    families, search = grid.searched_in(experiment, dataset), experiment.search
    if not families:
        return
    optuna()
    for _, parent in families:
        # A run may lie there yet be of an earlier card, whose training clips are
        # tested on now.
        if parent and parent.job and finished(parent.job, order.folder) is None:
            return  # the fit that is reduced has failed, and says so
    place = order.folder / "search"  # optuna has a lock of its own on the journal
    with lock.beside(place), contextlib.ExitStack() as opened:
        asking = Asking(search.storage, order.folder)
        with asking:
            study = opened.enter_context(study_of(experiment, dataset, order.folder))
            asked: dict[str, list[Any]] = {}  # trials that wait for a job's answer
            before = _before(study, experiment, dataset, families, order, asked)
        gone: list[Job] = []

        def answer(job: Job, outcome: Outcome) -> None:
            found = isinstance(outcome, Point) and _values(outcome, search)
            with asking:
                for trial in asked.pop(job.name, ()):
                    if found:
                        study.tell(trial, found)
                    else:
                        study.tell(trial, state=state("FAIL"))

        for job in {job.name: job for job in before}.values():
            point = finished(job, order.folder)
            if point is None:
                gone.append(job)
            else:
                answer(job, point)  # it has come to its end this moment
                tell(job, "skipped", point=point)
                yield job, point

        def jobs() -> Iterator[Job]:
            for job in gone:  # under way, or the values are known without the run
                asked.setdefault(job.name, [])
                yield job
            for _ in range(search.trials - len(before)):
                with asking:
                    trial = study.ask()
                    trial.set_user_attr(OF, str(order.folder))
                    job = _job(experiment, dataset, families, trial)
                if job.name in asked:  # its answer is on the way
                    asked[job.name].append(trial)
                else:
                    asked[job.name] = [trial]
                    yield job

        answers = execute(jobs(), order, executor, tell, at_once=search.at_once)
        opened.enter_context(contextlib.closing(answers))
        for job, outcome in answers:
            answer(job, outcome)
            yield job, outcome


def _before(
    study: Any,
    experiment: Experiment,
    dataset: str,
    families: Families,
    order: Order,
    asked: dict[str, list[Any]],
) -> list[Job]:
    """What this sweep has tried, also where the database was not told any more.

    asked: takes the trials that it was at when it ended, by the name of the job: that
           goes on from its checkpoint.

    Of a database that is shared, the trials of other folders are left to them, and one
    that has not said yet whose it is.
    """
    found = []
    folder = str(order.folder)
    unsaid = "" if experiment.search.storage else folder
    for trial in study.get_trials(deepcopy=False):
        mine = trial.user_attrs.get(OF, unsaid) == folder
        running = trial.state == state("RUNNING")
        if not (running and mine) and trial.state != state("COMPLETE"):
            continue
        try:
            job = _job(experiment, dataset, families, trial)
        except ValueError:  # it ended in the middle of being asked
            if running:
                study.tell(trial.number, state=state("FAIL"))
            continue
        point = finished(job, order.folder)
        if running and point is None:
            asked.setdefault(job.name, []).append(trial.number)
        elif running and point is not None:
            values = _values(point, experiment.search)
            if values is None:
                study.tell(trial.number, state=state("FAIL"))
                continue
            study.tell(trial.number, values)
        if mine or point is not None:
            found.append(job)
    return found


def _values(point: Point, search: Search) -> list[float] | None:
    values = objectives(point, search)
    return values if all(map(math.isfinite, values)) else None


def _job(experiment: Experiment, dataset: str, families: Families, trial: Any) -> Job:
    which = 0
    if len(families) > 1:
        which = trial.suggest_categorical("family", list(range(len(families))))
    family, parent = families[which]
    chosen = {}
    for key, values in (family.space | family.grid).items():
        name = f"{which}.{key}"
        if isinstance(values, Range) and values.count is None:
            chosen[key] = _number(trial, name, values)
        else:
            each = values.values() if isinstance(values, Range) else values
            index = trial.suggest_categorical(name, list(range(len(each or ()))))
            chosen[key] = each[index] if each else None
    return grid.job_of(experiment, dataset, family, chosen, parent)


def _number(trial: Any, name: str, values: Range) -> int | float:
    if values.whole:
        step = int(values.step or 1)
        return trial.suggest_int(
            name, values.low, values.high, step=step, log=values.log
        )
    return trial.suggest_float(
        name, values.low, values.high, step=values.step, log=values.log
    )
