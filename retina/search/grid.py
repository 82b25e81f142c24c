"""From an experiment to its jobs: every combination of every grid, and the controls."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from retina import registry
from retina.errors import BadCard, BadSetting, nearest
from retina.recipe import TUNED, Recipe
from retina.search import parents
from retina.search.budget import apart
from retina.search.experiment import Experiment, Family
from retina.search.job import Job, complete
from retina.search.label import label
from retina.search.parents import Parent
from retina.search.space import corners, points, size
from retina.settings import checked


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two jobs of which one has a mechanism that the other lacks.

    control: the same two, of spikes sampled from the fit of `has`; () for none.
    """

    has: Job
    lacks: Job
    control: tuple[Job, ...] = ()


def jobs(experiment: Experiment) -> list[Job]:
    """The jobs of an experiment, in the order of its file, data set by data set.

    returns: what the families state; last the jobs of the positive controls.
    raises:  BadCard for a keyword that a model or its recipe does not have, for a value
             of the wrong type, for two families that state the same fit, and for a
             label that no family has, or two.

    >>> from retina.search.experiment import read
    >>> len(jobs(read("quickstart"))) >= 8
    True
    """
    stated = [job for _, job in _stated(experiment)]
    controls = [job for pair in pairs(experiment) for job in pair.control]
    return list({job.name: job for job in (*stated, *controls)}.values())


def of_spaces(experiment: Experiment) -> list[Job]:
    """Those of `jobs` that are points of a space."""
    return [job for family, job in _stated(experiment) if family.space]


def pairs(experiment: Experiment) -> list[Pair]:
    """What the experiment compares, in the order of its file, data set by data set.

    raises: BadCard, as `jobs`.
    """
    stated = _stated(experiment)
    found = []
    for family, job in stated:
        if not family.against:
            continue
        other = _called(family.against, job.recording, stated)
        has, lacks = (job, other) if family.mechanism == "added" else (other, job)
        if family.control and other.parent:
            raise BadCard(
                f"control: {other.label!r} begins with another fit, which no sampled "
                "spikes were heard by: compare with one that does not"
            )
        control = (_of_spikes(has, has), _of_spikes(lacks, has))
        found.append(Pair(has, lacks, control if family.control else ()))
    return found


def parent_of(
    experiment: Experiment,
    recording: str,
    family: Family,
    stated: list[tuple[Family, Job]],
) -> Parent | None:
    """What a family begins with on this recording; None where there is nothing on it.

    stated: what the families before it come to.
    raises: BadCard where that is neither a run nor one of those.
    """
    labels = [job.label for job in _heard(recording, stated)]
    word, asked = ("start", family.start) if family.start else ("of", family.of)
    if asked in labels:
        return parents.of_job(_called(asked, recording, stated))
    if not parents.is_run(asked):
        raise BadCard(
            f"{word} = {asked!r} is neither the folder of a run nor the label of one "
            f"that a family before states: {nearest(asked, labels)}"
        )
    parent = parents.of_run(asked)
    if not any(parents.is_of(parent, name) for name in experiment.recordings()):
        raise BadCard(
            f"{asked} is of {parent.dataset!r}, which is none of the datasets "
            f"{', '.join(experiment.datasets)}"
        )
    return parent if parents.is_of(parent, recording) else None


def searched_in(
    experiment: Experiment, recording: str
) -> list[tuple[Family, Parent | None]]:
    """Families with a space that say something of a recording, and what they reduce.

    raises: BadCard, as `jobs`.
    """
    stated = _stated(experiment)
    found = [
        (family, parent_of(experiment, recording, family, stated))
        if family.reduce
        else (family, None)
        for family in experiment.families
        if family.space
    ]
    return [(family, one) for family, one in found if one or not family.reduce]


def left_out(experiment: Experiment) -> Iterator[tuple[str, Family, str]]:
    """(recording, family, why) of what a budget leaves out."""
    for recording in experiment.recordings():
        for model, why in experiment.budget(recording).without.items():
            for family in experiment.families:
                if family.model == model and not family.spikes_of:
                    yield recording, family, why


def alone(experiment: Experiment, recording: str, family: Family) -> list[Job]:
    """The jobs of a family's grid, whatever it would start from."""
    return [
        job_of(experiment, recording, family, chosen) for chosen in combinations(family)
    ]


def _stated(experiment: Experiment) -> list[tuple[Family, Job]]:
    """Every job that a family states itself."""
    plain: list[tuple[Family, Job]] = []
    for recording in experiment.recordings():
        left_out = experiment.budget(recording).without
        for family in experiment.families:
            if family.model in left_out:
                alone(experiment, recording, family)  # what is wrong is told now
                continue
            parent = None
            if family.reduce or family.start:
                parent = parent_of(experiment, recording, family, plain)
                if parent is None:
                    continue
            if family.space and experiment.search.method != "grid":
                # What it comes to is found out later, what is wrong with it now.
                for chosen in corners(family.space | family.grid):
                    job_of(experiment, recording, family, chosen, parent)
                continue
            made = _row(experiment, recording, family, parent)
            plain += [(family, job) for job in made]
    found: dict[str, tuple[Family, Job]] = {}
    for family, job in plain:
        if family.spikes_of:
            heard = _called(family.spikes_of, job.recording, plain)
            job = _of_spikes(job, heard)
        if job.name in found:
            raise BadCard(f"the experiment states {job.label!r} twice")
        found[job.name] = family, job
    return list(found.values())


def _row(
    experiment: Experiment, recording: str, family: Family, parent: Parent | None
) -> list[Job]:
    """The jobs of one family on one recording."""

    def make(chosen: dict[str, Any]) -> Job:
        return job_of(experiment, recording, family, chosen, parent)

    every = list(_chosen(family, experiment.search.trials))
    if family.from_bigger:
        return parents.downward(every, family.from_bigger, make)
    return [make(chosen) for chosen in every]


def _called(label: str, recording: str, stated: list[tuple[Family, Job]]) -> Job:
    """The job of recorded spikes that has this label."""
    known = _heard(recording, stated)
    found = [job for job in known if job.label == label]
    if not found:
        raise BadCard(
            f"no family is called {label!r}: {nearest(label, [j.label for j in known])}"
        )
    if len(found) > 1:
        raise BadCard(
            f"{len(found)} families are called {label!r}: state a keyword that tells "
            "them apart"
        )
    return found[0]


def _heard(recording: str, stated: list[tuple[Family, Job]]) -> list[Job]:
    """The jobs of recorded spikes."""
    return [
        job
        for family, job in stated
        if job.recording == recording and not family.spikes_of
    ]


def _of_spikes(job: Job, heard: Job) -> Job:
    label = f"{job.label} of spikes of {heard.label}"
    return dataclasses.replace(job, label=label, spikes_of=heard.name)


def _chosen(family: Family, most: int) -> Iterator[dict[str, Any]]:
    """The grid of a family, and every point of its space."""
    count = size(family.space)
    if family.space and count is not None and count > most:
        raise BadCard(
            f"the space of {family.what!r} has {count:,} points, [search] trials is "
            f'{most:,}: raise that, coarsen the ranges, or set method = "nsga2"'
        )
    for chosen in combinations(family):
        for point in points(family.space):
            yield chosen | point


def combinations(family: Family) -> list[dict[str, Any]]:
    """The grid of one family, the last keyword running fastest.

    >>> combinations(Family(model="ln", grid={"rank": [1, 2], "lags": [9]}))
    [{'rank': 1, 'lags': 9}, {'rank': 2, 'lags': 9}]
    """
    values = itertools.product(*family.grid.values())
    return [dict(zip(family.grid, row, strict=True)) for row in values]


def job_of(
    experiment: Experiment,
    recording: str,
    family: Family,
    chosen: dict[str, Any],
    parent: Parent | None = None,
) -> Job:
    """One point of a family's grid or space as a job, on one of the recordings.

    parent: what it is a reduction of, or starts from.
    raises: BadCard for a keyword that the model or the reduction does not have, or a
            value not its own.
    """
    told = {key: _value(value) for key, value in (family.set | chosen).items()}
    try:
        if parent is not None and family.reduce:
            return parents.reduced(experiment, recording, family, told, parent)
        function = registry.find("models", family.model)
        settings = complete(function, family.model, told)
        _check_recipe(family.fit)
    except BadSetting as error:
        raise BadCard(str(error)) from None
    name, cells = apart(recording)
    budget = experiment.budget(recording)
    job = Job(
        label=label(family.model, {key: settings[key] for key in told}),
        dataset=name,
        model=family.model,
        settings=settings,
        fit=dict(family.fit),
        metrics=experiment.metrics,
        cells=cells,
        bin_s=experiment.bin_s,
        seeds=family.seeds or budget.seeds or 1,
        key=experiment.key,
        max_steps=budget.max_steps or 0,
        where_possible=family.where_possible,
    )
    return job if parent is None else parents.started(job, parent)


def _check_recipe(changes: Mapping[str, Any]) -> None:
    known = [field.name for field in dataclasses.fields(Recipe)]
    for key in changes:
        if key not in known:
            raise BadSetting(f"fit has no setting {key!r}: {nearest(key, known)}")
    checked(changes, Recipe, "the fit", TUNED)


def _value(value: Any) -> Any:
    """TOML's lists become tuples, as settings are hashable; "None" becomes None."""
    if isinstance(value, list):
        return tuple(_value(item) for item in value)
    if isinstance(value, dict):  # the keywords of a student
        return {key: _value(item) for key, item in value.items()}
    return None if value == "None" else value
