"""Spaces that are too large for a grid: optuna asks, the sweep answers."""

from __future__ import annotations

import importlib
import math
import warnings
from collections.abc import Iterator
from typing import Any

from retina.errors import BadCard, MissingExtra, Unreachable
from retina.search import grid
from retina.search.execute import Tell, execute
from retina.search.experiment import Experiment, Family
from retina.search.job import Job
from retina.search.parents import Parent, is_there
from retina.search.searched import objectives
from retina.search.space import Range
from retina.search.work import Failure, Order, finished
from retina.types import Point

JOURNAL = ".search.journal"
Families = list[tuple[Family, Parent | None]]


def spaces(experiment: Experiment) -> list[Family]:
    """The families that are explored rather than run point by point."""
    if experiment.search.method == "grid":
        return []
    return [family for family in experiment.families if family.space]


def explore(
    experiment: Experiment, dataset: str, order: Order, executor: str, tell: Tell
) -> Iterator[tuple[Job, Point | Failure]]:
    """Yields what came of each trial on one data set; each is a run like any other.

    What was tried before counts: the same command goes on with the trials that are
    left. Trials that were begun when a sweep was killed are begun anew.

    raises: MissingExtra without optuna; BadCard for a keyword that a model does not
            have; Unreachable where the database does not answer.
    """
    families, search = grid.searched_in(experiment, dataset), experiment.search
    if not families:
        return
    for family, parent in families:
        for chosen in _corners(family):
            grid.job_of(experiment, dataset, family, chosen, parent)
    optuna = _optuna()
    if not all(is_there(parent, order.folder) for _, parent in families):
        return  # the fit that is reduced has failed, and says so
    with _told(search.storage):
        study = _study(optuna, experiment, dataset, order)
        for trial in study.get_trials(deepcopy=False, states=[_state("RUNNING")]):
            study.tell(trial.number, state=_state("FAIL"))
        over = study.get_trials(deepcopy=False, states=[_state("COMPLETE")])
        before = [_job(experiment, dataset, families, trial) for trial in over]
    asked: dict[str, list[Any]] = {}
    gone: list[Job] = []
    for job in {job.name: job for job in before}.values():
        point = finished(job, order.folder)
        if point is None:
            gone.append(job)
        else:
            tell(job, "skipped")
            yield job, point

    def jobs() -> Iterator[Job]:
        yield from gone  # their values are known, the runs are not there
        for _ in range(search.trials - len(over)):
            with _told(search.storage):
                trial = study.ask()
                job = _job(experiment, dataset, families, trial)
            asked.setdefault(job.name, []).append(trial)
            if len(asked[job.name]) == 1:  # else its answer is on the way
                yield job

    answers = execute(jobs(), order, executor, tell, at_once=search.at_once)
    for job, outcome in answers:
        with _told(search.storage):
            for trial in asked.pop(job.name, ()):
                values = None
                if isinstance(outcome, Point):
                    values = objectives(outcome, search)
                if values is None or not all(map(math.isfinite, values)):
                    study.tell(trial, state=_state("FAIL"))
                else:
                    study.tell(trial, values)
        yield job, outcome


def _study(optuna: Any, experiment: Experiment, dataset: str, order: Order) -> Any:
    search = experiment.search
    if search.storage:
        storage = optuna.storages.get_storage(search.storage)
    else:
        journal = optuna.storages.journal
        file = str(order.folder / JOURNAL)
        storage = optuna.storages.JournalStorage(journal.JournalFileBackend(file))
    directions = ["maximize"] * len(search.up) + ["minimize"] * len(search.down)
    study = optuna.create_study(
        study_name=f"{experiment.question} {dataset} {search.up} {search.down}",
        storage=storage,
        directions=directions,
        load_if_exists=True,
    )
    samplers = {
        "nsga2": optuna.samplers.NSGAIISampler,
        "nsga3": optuna.samplers.NSGAIIISampler,
        "tpe": optuna.samplers.TPESampler,
        "random": optuna.samplers.RandomSampler,
    }
    # Of a search that goes on: the same seed would ask for the same points again.
    seed = experiment.key + len(study.trials)
    with warnings.catch_warnings():
        # That nsga3 may change is no concern of who searches today.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.sampler = samplers[search.method](seed=seed)
    return study


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


def _corners(family: Family) -> list[dict[str, Any]]:
    """First and last of each range and list: what is wrong with a type shows there."""
    every = family.space | family.grid
    if any(isinstance(one, list) and not one for one in every.values()):
        raise BadCard(f"an empty list in the space of {family.what!r}")
    ends = {
        key: (one.low, one.high) if isinstance(one, Range) else (one[0], one[-1])
        for key, one in every.items()
    }
    return [{key: end[i] for key, end in ends.items()} for i in (0, 1)]


def _state(name: str) -> Any:
    return importlib.import_module("optuna.trial").TrialState[name]


def _optuna() -> Any:
    try:
        optuna = importlib.import_module("optuna")
        importlib.import_module("optuna.storages.journal")
    except ImportError:
        raise MissingExtra(
            "a search needs optuna, which is not installed: pip install "
            "'retina-frontier[search]' (or set method = \"grid\")"
        ) from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


class _told:
    """Turns what a database raises into one line."""

    def __init__(self, storage: str) -> None:
        self._storage = storage

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        # By module: sqlalchemy is there only where optuna is.
        module = getattr(kind, "__module__", "") or ""
        lost = module.startswith("sqlalchemy") or "Storage" in getattr(
            kind, "__name__", ""
        )
        if error is not None and (lost or isinstance(error, OSError)):
            why = (str(error).splitlines() or [kind.__name__])[0]
            raise Unreachable(
                f"the search's database {self._storage or JOURNAL} does not answer "
                f"({why}): mend it; what was finished is kept, the same command goes on"
            ) from error
