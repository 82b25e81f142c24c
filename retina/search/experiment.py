"""Experiment: one question, as its experiment.toml states it."""

from __future__ import annotations

import dataclasses
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from retina import registry, resources
from retina.errors import BadCard, UnknownName, nearest
from retina.search.space import Range
from retina.types import Cost


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Family(_Strict):
    """One model with fixed keywords, and keywords of which every combination is run.

    Or, in place of a model, a reduction of a fitted one, with its keywords.

    model:  a name, as for `retina fit`.
    reduce: likewise a reduction, or several in a row, as for `retina reduce`.
    of:     what is reduced: the label of a run that a family before this one states, or
            the folder of a run that is there.
    set:  keyword -> value.
    grid: keyword -> list of values.
    space: keyword -> list of values, or a range, to be searched as [search] says.
    fit:  fields of `retina.stage.Recipe` to change; of a reduction, those of the refit
          but for `max_steps`, and `refit_steps`.
    from_bigger: a keyword of the grid, or of a space that is one: all but the largest
               start from the next larger one's fit, cut by the reduction for it.
    against:   the family that this one is compared with, by the label of its run: its
               model and the keywords it states, such as "circuit" or "ln rank=1".
    mechanism: "added": this family has one that the other lacks; "removed": it lacks
               one that the other has.
    control:   a positive control: both are also fitted to spikes sampled from the fit
               that has the mechanism, on the same stimulus with as many trials.
    spikes_of: likewise a label: fitted to spikes sampled from the fit of that family,
               in place of those that were recorded.

    TOML has no null; the word "None" stands for Python's.
    """

    model: str = ""
    reduce: str = ""
    of: str = ""
    set: dict[str, Any] = {}
    grid: dict[str, list[Any]] = {}
    space: dict[str, Range | list[Any]] = {}
    fit: dict[str, Any] = {}
    seeds: int | None = Field(default=None, ge=1)
    from_bigger: str = ""
    against: str = ""
    mechanism: Literal["added", "removed"] = "added"
    control: bool = False
    spikes_of: str = ""

    @model_validator(mode="after")
    def _fits_together(self) -> Family:
        if bool(self.model) == bool(self.reduce):
            raise ValueError("state a model, or what to reduce, and not both")
        if bool(self.reduce) != bool(self.of):
            raise ValueError(
                "reduce and of go together: what is done, and to which fit"
            )
        if self.reduce and (self.seeds or self.spikes_of or self.control):
            raise ValueError(
                "a reduction is of one fit: no seeds, spikes_of or control"
            )
        if self.from_bigger and (self.reduce or self.spikes_of or self.control):
            raise ValueError("from_bigger: no reduce, spikes_of or control beside it")
        if self.from_bigger and self.from_bigger not in {*self.grid, *self.space}:
            known = nearest(self.from_bigger, {*self.grid, *self.space})
            raise ValueError(
                f"from_bigger {self.from_bigger!r} is no keyword of the grid: {known}"
            )
        if not self.against and (self.control or "mechanism" in self.model_fields_set):
            word = "control" if self.control else "mechanism"
            raise ValueError(
                f'{word} needs the family to compare with: against = "..."'
            )
        twice = sorted(set(self.space) & (set(self.grid) | set(self.set)))
        if twice:
            raise ValueError(f"{twice[0]!r} is in space and in set or grid as well")
        if self.space and (self.against or self.spikes_of):
            raise ValueError("a family with a space stands for itself: no against")
        if self.against and self.spikes_of:
            raise ValueError(
                "against compares on what was recorded: leave it out, or spikes_of"
            )
        return self

    @property
    def what(self) -> str:
        """What a person calls it: its model, or its reductions."""
        return self.model or self.reduce


class Search(_Strict):
    """How the spaces of an experiment are searched.

    method:  "grid" tries every point. "nsga2", "nsga3", "tpe" and "random" try `trials`
             of them, on each data set, by optuna.
    trials:  the budget; of a grid the most points that it may have.
    up:      what should be high: "validation_bits". Test clips choose nothing.
    down:    figures of the cost that should be low.
    at_once: trials that are chosen before an answer is waited for.
    storage: URL of a database that several sweeps share; "" for a file in the folder.
    """

    method: Literal["grid", "nsga2", "nsga3", "tpe", "random"] = "grid"
    trials: int = Field(default=100, ge=1)
    up: tuple[Literal["validation_bits"], ...] = Field(
        default=("validation_bits",), min_length=1, max_length=1
    )
    down: tuple[str, ...] = Field(default=("flops_per_bin",), max_length=3)
    at_once: int = Field(default=2, ge=1)
    storage: str = ""


class Expected(_Strict):
    """A range in which a figure of one run is expected.

    run:   the label of a run, such as "ln rank=1".
    what:  a metric, or a figure of the cost.
    dataset: where there are several; "" means on each of them.
    """

    run: str
    what: str
    low: float
    high: float
    dataset: str = ""


class Experiment(_Strict):
    """What is asked, how to run it, how long it takes, and what should come out.

    datasets: names of cards; every family is fitted to each.
    cells:    as in `retina.load`; None for the card's own choice.
    bin_s:    the clock; None for the recording's own.
    seeds:    random starts per fit; accuracy is the median over them.
    key:      the number all randomness follows from.
    metrics:  what is scored; x and y: the axes of the frontier.
    """

    question: str
    command: str
    time: str
    datasets: tuple[str, ...] = Field(min_length=1)
    families: tuple[Family, ...] = Field(min_length=1)
    expected: tuple[Expected, ...] = ()
    search: Search = Search()
    cells: str | None = None
    bin_s: float | None = Field(default=None, gt=0)
    seeds: int = Field(default=1, ge=1)
    key: int = Field(default=0, ge=0, lt=2**32)
    metrics: tuple[str, ...] = ("cc_norm", "feve", "bits_per_spike", "pearson")
    x: str = "flops_per_synaptic_event"
    y: str = "cc_norm"

    @model_validator(mode="after")
    def _searched(self) -> Experiment:
        for family in self.families:
            if family.space and family.from_bigger and self.search.method != "grid":
                raise ValueError(
                    "from_bigger needs every point of a row: a grid, or a space with "
                    'search.method = "grid"'
                )
        return self


def read(name: str | Path) -> Experiment:
    """An experiment by its name, or by the path of its folder or TOML file.

    raises: UnknownName with the nearest names; BadCard with the key at fault and the
            nearest valid one, or with a name in it that does not exist.

    >>> read("quickstart").datasets
    ('simulated',)
    """
    file = resources.path("experiments", str(name)) / "experiment.toml"
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadCard(f"{file} is not TOML: {error}") from None
    try:
        experiment = Experiment.model_validate(table)
    except ValidationError as error:
        raise BadCard(f"{file}: {_first(error)}") from None
    _check_names(experiment, file)
    return experiment


def _check_names(experiment: Experiment, file: Path) -> None:
    """Every name must be found now, rather than after an hour of fits."""
    try:
        for dataset in experiment.datasets:
            registry.find("datasets", dataset)
        for family in experiment.families:
            if family.model:
                registry.find("models", family.model)
            for name in filter(None, family.reduce.split(",")):
                registry.find("reductions", name)
        for metric in experiment.metrics:
            registry.find("metrics", metric)
    except UnknownName as error:
        raise BadCard(f"{file}: {error}") from None
    costs = [field.name for field in dataclasses.fields(Cost)]
    if experiment.x not in costs:
        raise BadCard(
            f"{file}: no cost x = {experiment.x!r}: {nearest(experiment.x, costs)}"
        )
    for down in experiment.search.down:
        if down not in costs:
            raise BadCard(
                f"{file}: search.down: no cost {down!r}: {nearest(down, costs)}"
            )
    for expected in experiment.expected:
        figures = (*experiment.metrics, *costs)
        if expected.what not in figures:
            raise BadCard(
                f"{file}: no figure {expected.what!r} to expect: "
                f"{nearest(expected.what, figures)}"
            )
    if experiment.y not in experiment.metrics:
        raise BadCard(
            f"{file}: y = {experiment.y!r} is not among its metrics: "
            f"{nearest(experiment.y, experiment.metrics)}"
        )


def _first(error: ValidationError) -> str:
    # A misspelt key is unknown, and the right one missing: the first says more.
    problems = error.errors()
    unknown = [one for one in problems if one["type"] == "extra_forbidden"]
    problem = (unknown or problems)[0]
    place = problem["loc"]
    where = ".".join(str(step) for step in place)
    tables = {"families": Family, "expected": Expected, "search": Search}
    if not place:  # of the whole file
        return problem["msg"].removeprefix("Value error, ")
    known = Experiment if len(place) == 1 else tables.get(str(place[0]), Experiment)
    if "space" in place:
        return _first_of_range(problems, where)
    if problem["type"] == "extra_forbidden":
        return f"unknown key {where!r}: {nearest(str(place[-1]), known.model_fields)}"
    if problem["type"] == "missing":
        return f"key {where!r} is missing"
    return f"{where}: {problem['msg'].removeprefix('Value error, ')}"


def _first_of_range(problems: list[Any], where: str) -> str:
    """Of a range that is none: pydantic tells what is wrong with it as a list, too."""
    of_range = [one for one in problems if "Range" in one["loc"]] or problems
    unknown = [one for one in of_range if one["type"] == "extra_forbidden"]
    one = (unknown or of_range)[0]
    place = ".".join(
        str(s) for s in one["loc"] if not str(s).startswith(("Ran", "lis"))
    )
    if one["type"] == "extra_forbidden":
        key = str(one["loc"][-1])
        return f"unknown key {place!r}: {nearest(key, Range.model_fields)}"
    if one["type"] == "model_type":
        return f"{place}: a list of values, or a range {{ low = ..., high = ... }}"
    if one["type"] == "missing":
        return f"key {place!r} is missing"
    return f"{place}: {one['msg'].removeprefix('Value error, ')}"
