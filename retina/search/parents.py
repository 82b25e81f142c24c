"""Jobs that begin with another's fit: a reduction of it, or what goes on from it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from retina import registry, store
from retina.data import card as cards
from retina.errors import BadCard, BadSetting, nearest
from retina.recipe import TUNED, Recipe
from retina.search import records
from retina.search.budget import apart
from retina.search.experiment import Experiment, Family
from retina.search.job import Job
from retina.search.label import label
from retina.settings import checked


@dataclasses.dataclass(frozen=True)
class Parent:
    """What is begun with: a job of the same sweep, or a run that is there already.

    name:        of the job; of a run, what its parameters are.
    run:         the folder of the run; "" for a job.
    cells, bin_s: of the recording that it was fitted on.
    job:         None for a run.
    """

    name: str
    label: str
    dataset: str
    model: str
    cells: str | None
    bin_s: float | None
    run: str = ""
    job: Job | None = None


def of_job(job: Job) -> Parent:
    return Parent(
        *(job.name, job.label, job.dataset, job.model, job.cells, job.bin_s), job=job
    )


def of_run(folder: str) -> Parent:
    """A run by its folder.

    raises: BrokenRun where it is none, was fitted to sampled spikes, or its card has
            changed since.
    """
    record = store.read(folder)
    records.check_card(record, folder)
    return Parent(
        name=record["params_sha256"],
        label=Path(folder).name,
        dataset=record["dataset"],
        model=record["model"],
        cells=record.get("cells"),
        bin_s=record["spec"]["bin_s"],
        run=str(Path(folder).resolve()),
    )


def is_run(folder: str) -> bool:
    return (Path(folder) / store.RECORD).is_file()


def is_of(parent: Parent, recording: str) -> bool:
    """Whether a parent was fitted on the recording that an experiment names.

    Where the experiment names no cells, those of the parent are the ones.
    """
    name, cells = apart(recording)
    same = parent.dataset in (name, cards.read(name).name)
    return same and cells in (None, parent.cells)


def reduced(
    experiment: Experiment,
    recording: str,
    family: Family,
    told: Mapping[str, Any],
    parent: Parent,
) -> Job:
    """A reduction with these keywords, of a parent.

    raises: BadSetting for a keyword that no method has, or a value not its own.
    """
    from retina.reduction.steps import REFIT_STEPS, divided, joined

    names = family.reduce.split(",")
    methods = {name: registry.find("reductions", name) for name in names}
    own, recipe = divided(told, methods)
    if recipe:
        raise BadSetting(f"{next(iter(recipe))} is of the refit: put it under fit")
    refit = {"refit_steps": REFIT_STEPS, **family.fit}
    _check_refit(refit)
    return Job(
        label=f"{label(family.reduce, told)} of {parent.label}",
        dataset=apart(recording)[0],
        model=parent.model,
        settings=joined(own, methods),
        fit=refit,
        metrics=experiment.metrics,
        cells=parent.cells,
        bin_s=parent.bin_s,
        key=experiment.key,
        parent=parent.name,
        method=family.reduce,
        parent_run=parent.run,
    )


def started(job: Job, parent: Parent) -> Job:
    """The job, on the cells and the clock of a parent whose fit it starts from."""
    return dataclasses.replace(
        job,
        label=f"{job.label} from {parent.label}",
        cells=parent.cells,
        bin_s=parent.bin_s,
        parent=parent.name,
        parent_run=parent.run,
        start=True,
    )


def _check_refit(refit: Mapping[str, Any]) -> None:
    fields = {field.name for field in dataclasses.fields(Recipe)} - {"max_steps"}
    known = {*fields, "refit_steps"}
    for key in refit:
        if key not in known:
            raise BadSetting(f"the refit has no setting {key!r}: {nearest(key, known)}")
    steps = refit["refit_steps"]
    if type(steps) is not int or steps < 0:
        raise BadSetting(f"refit_steps {steps!r}: a whole number, 0 or more")
    rest = {key: value for key, value in refit.items() if key in fields}
    checked(rest, Recipe, "the refit", TUNED)


def downward(
    every: Sequence[Mapping[str, Any]], size: str, make: Callable[[Any], Job]
) -> list[Job]:
    """Jobs of which all but the largest begin with the next larger one's fit.

    every:  what was chosen for each job; those that differ in `size` alone are a row.
    make:   the job of one of them, without a parent.
    raises: BadCard where a size is no number.
    """
    made: dict[int, Job] = {}
    larger: dict[str, tuple[Job, Any]] = {}
    sizes = [_size(chosen[size], size) for chosen in every]
    for i in sorted(range(len(every)), key=lambda i: -sizes[i]):
        chosen = every[i]
        row = repr([item for item in chosen.items() if item[0] != size])
        job = make(chosen)
        if row in larger:
            parent, value = larger[row]
            word = label("from", {size: value})
            job = dataclasses.replace(
                job, label=f"{job.label} {word}", parent=parent.name
            )
        made[i] = job
        larger[row] = job, _value(chosen[size])
    return [made[i] for i in range(len(every))]


def _value(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _size(value: Any, name: str) -> int:
    numbers = value if isinstance(value, list) else [value]
    if not numbers or any(type(one) is not int for one in numbers):
        raise BadCard(
            f"from_bigger = {name!r}: sizes are whole numbers, or lists of them, not "
            f"{value!r}"
        )
    return sum(numbers)
