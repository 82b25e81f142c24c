"""What an experiment runs: a model or a reduction, with its keywords."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from retina.errors import nearest
from retina.search.budget import Strict
from retina.search.space import Range


class Family(Strict):
    """One model with fixed keywords, and keywords of which every combination is run.

    Or, in place of a model, a reduction of a fitted one, with its keywords.

    model:  a name, as for `retina fit`.
    reduce: likewise a reduction, or several in a row, as for `retina reduce`.
    of:     what is reduced: the label of a run that a family before this one states, or
            the folder of a run that is there.
    set:  keyword -> value.
    grid: keyword -> list of values.
    space: keyword -> list of values, or a range, to be searched as [search] says.
    fit:  fields of `retina.Recipe` to change; of a reduction, those of the refit
          but for `max_steps`, and `refit_steps`.
    from_bigger: a keyword of the grid, or of a space that is one: all but the largest
               start from the next larger one's fit, cut by the reduction for it.
    start:     the label of a run that a family before this one states, or the folder of
               a run that is there: its fit goes on as this model, see
               `retina.fitting.inherited`.
    against:   the family that this one is compared with, by the label of its run: its
               model and the keywords it states, such as "circuit" or "ln rank=1".
    mechanism: "added": this family has one that the other lacks; "removed": it lacks
               one that the other has.
    control:   a positive control: both are also fitted to spikes sampled from the fit
               that has the mechanism, on the same stimulus with as many trials.
    spikes_of: likewise a label: fitted to spikes sampled from the fit of that family,
               in place of those that were recorded.
    where_possible: a recording that the model refuses, before any fit (it needs frames,
               or the unit of light), is told and is no failure.

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
    start: str = ""
    against: str = ""
    mechanism: Literal["added", "removed"] = "added"
    control: bool = False
    spikes_of: str = ""
    where_possible: bool = False

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
        if self.start and (self.reduce or self.from_bigger or self.space):
            raise ValueError("start: no reduce, from_bigger or space beside it")
        if self.start and (self.spikes_of or self.control):
            raise ValueError(
                "start: what it begins with has heard what was recorded: no spikes_of "
                "or control beside it"
            )
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
