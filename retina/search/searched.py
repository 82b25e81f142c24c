"""How exhaustive a search was, so that its best can be read for what it is."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from retina.errors import BadSetting
from retina.search import hypervolume, space
from retina.search.experiment import Experiment
from retina.search.frontier import cost_range
from retina.types import Point


@dataclasses.dataclass(frozen=True)
class Searched:
    """What was tried on one data set.

    points:    in the spaces; None where a range is continuous.
    tried:     different ones that were fitted; failed: that could not be.
    seeds:     random starts of each.
    budget:    the most that might have been tried.
    curve:     hypervolume after each try, see `retina.search.hypervolume`.
    """

    dataset: str
    method: str
    objectives: tuple[str, ...]
    points: int | None
    tried: int
    failed: int
    seeds: int
    budget: int
    curve: tuple[float, ...]
    flattened: bool

    @property
    def sentence(self) -> str:
        """How far the search went, in words."""
        of = "a continuous space" if self.points is None else f"{self.points:,} points"
        if self.points is not None and self.tried == self.points:
            return f"{self.dataset}: all {self.points:,} points of the space were tried"
        ended = "had flattened" if self.flattened else "had not flattened"
        share = 100 * self.tried / self.points if self.points else 0.0
        part = f" ({share:.2g} %)" if self.points else ""
        failed = f", {self.failed} failed" if self.failed else ""
        return (
            f"{self.dataset}: {self.method} tried {self.tried} of {of}{part}{failed}; "
            f"the hypervolume {ended}: what is best here need not be the best there is"
        )


def searched(
    experiment: Experiment, dataset: str, tries: Sequence[Point | None]
) -> Searched:
    """What a search amounts to.

    tries: the point of every try in the order in which they were made, a point once;
           None for one that failed.
    """
    search = experiment.search
    families = [family for family in experiment.families if family.space]
    sizes = [
        None if count is None else count * math.prod(map(len, family.grid.values()))
        for family in families
        for count in [space.size(family.space)]
    ]
    whole = None if None in sizes else sum(count for count in sizes if count)
    values = [
        [math.nan] * (1 + len(search.down)) if one is None else objectives(one, search)
        for one in tries
    ]
    got = hypervolume.found(values, [True] + [False] * len(search.down))
    failed = sum(one is None for one in tries)
    return Searched(
        dataset=dataset,
        method=search.method,
        objectives=(*search.up, *search.down),
        points=whole,
        tried=len(tries) - failed,
        failed=failed,
        seeds=max(family.seeds or experiment.seeds for family in families),
        budget=search.trials,
        curve=got.curve,
        flattened=got.flattened,
    )


def objectives(point: Point, search: Any) -> list[float]:
    """What [search] asks for of a point: first what should be high, then what low.

    A range counts by its geometric middle; what is not defined is nan.
    """
    bits = point.validation_bits
    found = [math.nan if bits is None else float(bits)]
    for name in search.down:
        try:
            found.append(float(cost_range(point, name)[1]))
        except BadSetting:
            found.append(math.nan)
    return found
