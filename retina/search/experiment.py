"""Experiment: one question, as its experiment.toml states it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, model_validator

from retina import registry, resources
from retina.errors import BadCard, UnknownName, nearest
from retina.search import misread
from retina.search.budget import Budget, Profile, Strict, apart
from retina.search.family import Family
from retina.search.frontier import FIGURES


class Search(Strict):
    """How the spaces of an experiment are searched.

    method:  "grid" tries every point. "nsga2", "nsga3", "tpe" and "random" try `trials`
             of them, on each data set, by optuna. "halving" begins `trials` of them.
    trials:  the budget; of a grid the most points that it may have.
    steps, factor, finalists: of halving. Fits are begun for `steps` optimiser steps,
             one of `factor` goes on to `factor` times as many, and so on, until as few
             as `finalists` are fitted to their end.
    up:      what should be high: "validation_bits". Test clips choose nothing.
    down:    figures of the cost that should be low; of halving none.
    at_once: trials that are chosen before an answer is waited for.
    storage: URL of a database that several sweeps share; "" for a file in the folder.
    """

    method: Literal["grid", "nsga2", "nsga3", "tpe", "random", "halving"] = "grid"
    trials: int = Field(default=100, ge=1)
    steps: int = Field(default=200, ge=1)
    factor: int = Field(default=3, ge=2)
    finalists: int = Field(default=1, ge=1)
    up: tuple[Literal["validation_bits"], ...] = Field(
        default=("validation_bits",), min_length=1, max_length=1
    )
    down: tuple[str, ...] = Field(default=("flops_per_bin",), max_length=3)
    at_once: int = Field(default=2, ge=1)
    storage: str = ""

    @model_validator(mode="after")
    def _of_its_method(self) -> Search:
        own = sorted({"steps", "factor", "finalists"} & self.model_fields_set)
        if self.method == "halving":
            if self.down and "down" in self.model_fields_set:
                raise ValueError("halving has one objective: leave out down")
        elif own:
            raise ValueError(f'{own[0]} is of method = "halving"')
        return self

    @property
    def low(self) -> tuple[str, ...]:
        """What is sought to be low."""
        return () if self.method == "halving" else self.down


class Expected(Strict):
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


class Experiment(Strict):
    """What is asked, how to run it, how long it takes, and what should come out.

    question, command, time: for who reads it; a private one needs none, and is then
              known by the name of its folder.
    datasets: names or paths of cards, paths as seen from where the command is typed;
              every family is fitted to each. "NAME:CELLS" takes these cells, or this
              variant, of it.
    cells:    as in `retina.load`, where a name has none; None for the card's choice.
    bin_s:    the clock; None for the recording's own.
    seeds:    random starts per fit; accuracy is the median over them.
    max_steps: optimiser steps that any fit may take, whatever its recipe allows; None
              for the recipe's own.
    budgets:  other seeds and max_steps on single recordings, by their word in datasets,
              or without cells: of all that datasets have of it.
    within:   the headline asks for the cheapest model within this share of the best;
              None where nothing is asked: see `retina.search.headline`.
    profiles: other sizes, by name.
    key:      the number all randomness follows from.
    metrics:  what is scored; x and y: the axes of the frontier.
    """

    question: str = ""
    command: str = ""
    time: str = "not stated"
    datasets: tuple[str, ...] = Field(min_length=1)
    families: tuple[Family, ...] = Field(min_length=1)
    expected: tuple[Expected, ...] = ()
    search: Search = Search()
    cells: str | None = None
    bin_s: float | None = Field(default=None, gt=0)
    seeds: int = Field(default=1, ge=1)
    max_steps: int | None = Field(default=None, ge=1)
    budgets: dict[str, Budget] = {}
    within: float | None = Field(default=None, gt=0, lt=1)
    profiles: dict[str, Profile] = {}
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
            if family.space and family.reduce and self.search.method == "halving":
                raise ValueError(
                    "halving is of models: a refit is as long as refit_steps says; "
                    'choose another search.method, such as "tpe"'
                )
        return self

    def recordings(self) -> tuple[str, ...]:
        """The data sets with the cells that are taken of them, as `Job.recording`.

        >>> read("glutamate_gauss").recordings()
        ('schroeder2019_bipolar_glutamate:cell1_gauss',)
        """
        default = "" if self.cells is None else f":{self.cells}"
        return tuple(
            word if apart(word)[1] is not None else word + default
            for word in self.datasets
        )

    def budget(self, recording: str) -> Budget:
        """What a family may take on one of the recordings.

        >>> read("quickstart").budget("simulated").seeds
        1
        """
        found = (self.budgets.get(key) for key in (recording, apart(recording)[0]))
        own = next(filter(None, found), Budget())
        return Budget(
            seeds=own.seeds or self.seeds,
            max_steps=own.max_steps or self.max_steps,
            without=own.without,
        )


def read(name: str | Path, profile: str = "") -> Experiment:
    """An experiment by its name, or by the path of its folder or TOML file.

    profile: one of its profiles; "" for the size that it states first.
    raises:  UnknownName with the nearest names; BadCard with the key at fault and the
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
        raise BadCard(f"{file}: {misread.first(error, Experiment, TABLES)}") from None
    if not experiment.question:  # two of a folder are told apart by it
        stated = {"question": file.parent.resolve().name}
        experiment = experiment.model_copy(update=stated)
    if profile:
        experiment = _sized(experiment, profile)
    _check_names(experiment, file)
    return experiment


TABLES = {
    "families": Family,
    "expected": Expected,
    "search": Search,
    "profiles": Profile,
    "budgets": Budget,
}


def _sized(experiment: Experiment, profile: str) -> Experiment:
    if profile not in experiment.profiles:
        raise UnknownName(
            f"no profile {profile!r}: {nearest(profile, experiment.profiles)}"
        )
    stated = experiment.profiles[profile]
    named = {key: getattr(stated, key) for key in stated.model_fields_set}
    return experiment.model_copy(update=named)


def _check_names(experiment: Experiment, file: Path) -> None:
    """Every name must be found now, rather than after an hour of fits."""
    try:
        known = experiment.recordings()
        for recording in known:
            registry.find("datasets", apart(recording)[0])
        models = [family.model for family in experiment.families]
        for recording, budget in experiment.budgets.items():
            if recording not in {*known, *(apart(one)[0] for one in known)}:
                raise UnknownName(
                    f"budgets: no recording {recording!r}: {nearest(recording, known)}"
                )
            for model in budget.without:
                if model not in models:
                    raise UnknownName(
                        f"budgets.{recording}.without: no family of model {model!r}: "
                        f"{nearest(model, models)}"
                    )
        for family in experiment.families:
            if family.model:
                registry.find("models", family.model)
            for name in filter(None, family.reduce.split(",")):
                registry.find("reductions", name)
        for metric in experiment.metrics:
            registry.find("metrics", metric)
    except UnknownName as error:
        raise BadCard(f"{file}: {error}") from None
    if experiment.x not in FIGURES:
        raise BadCard(
            f"{file}: no cost x = {experiment.x!r}: {nearest(experiment.x, FIGURES)}"
        )
    for down in experiment.search.down:
        if down not in FIGURES:
            raise BadCard(
                f"{file}: search.down: no cost {down!r}: {nearest(down, FIGURES)}"
            )
    for expected in experiment.expected:
        figures = (*experiment.metrics, *FIGURES)
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
