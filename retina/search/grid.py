"""From an experiment to its jobs: every combination of every grid."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping
from typing import Any

from retina import registry
from retina.errors import BadCard, BadSetting, nearest
from retina.search.experiment import Experiment, Family
from retina.search.job import Job, complete
from retina.search.label import label
from retina.settings import checked
from retina.stage import TUNED, Recipe


def jobs(experiment: Experiment) -> list[Job]:
    """The jobs of an experiment, in the order of its file, data set by data set.

    raises: BadCard for a keyword that a model or its recipe does not have, for a value
            of the wrong type, and for two families that state the same fit.

    >>> from retina.search.experiment import read
    >>> len(jobs(read("quickstart"))) >= 8
    True
    """
    found: dict[str, Job] = {}
    for dataset in experiment.datasets:
        for family in experiment.families:
            for chosen in combinations(family):
                job = _job(experiment, dataset, family, chosen)
                if job.name in found:
                    raise BadCard(f"the experiment states {job.label!r} twice")
                found[job.name] = job
    return list(found.values())


def combinations(family: Family) -> list[dict[str, Any]]:
    """The grid of one family, the last keyword running fastest.

    >>> combinations(Family(model="ln", grid={"rank": [1, 2], "lags": [9]}))
    [{'rank': 1, 'lags': 9}, {'rank': 2, 'lags': 9}]
    """
    values = itertools.product(*family.grid.values())
    return [dict(zip(family.grid, row, strict=True)) for row in values]


def _job(
    experiment: Experiment, dataset: str, family: Family, chosen: dict[str, Any]
) -> Job:
    told = family.set | chosen
    settings = {key: _value(value) for key, value in told.items()}
    function = registry.find("models", family.model)
    try:
        settings = complete(function, family.model, settings)
        _check_recipe(family.fit)
    except BadSetting as error:
        raise BadCard(str(error)) from None
    return Job(
        label=label(family.model, {key: settings[key] for key in told}),
        dataset=dataset,
        model=family.model,
        settings=settings,
        fit=dict(family.fit),
        metrics=experiment.metrics,
        cells=experiment.cells,
        bin_s=experiment.bin_s,
        seeds=family.seeds or experiment.seeds,
        key=experiment.key,
    )


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
    return None if value == "None" else value
