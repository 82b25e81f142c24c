"""How exhaustive a search was, so that its best can be read for what it is."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from retina.errors import BadSetting
from retina.search import grid, hypervolume, space
from retina.search.experiment import Experiment
from retina.search.frontier import cost_range
from retina.search.halving import Rung
from retina.types import Point


@dataclasses.dataclass(frozen=True)
class Searched:
    """What was tried on one data set.

    points:    in the spaces; None where a range is continuous.
    tried:     different ones that were fitted; failed: that could not be.
    seeds:     random starts of each.
    budget:    the most that might have been tried.
    curve:     hypervolume after each try, see `retina.search.hypervolume`.
    rungs:     of halving, whose curve is that of the first: tries that are worth as
               much were given as many steps.
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
    rungs: tuple[Rung, ...] = ()

    @property
    def sentence(self) -> str:
        """How far the search went, in words."""
        of = "a continuous space" if self.points is None else f"{self.points:,} points"
        if self.rungs:
            return self._halved(of)
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

    def _halved(self, of: str) -> str:
        many = [f"{len(rung.tried)} to {rung.steps:,} steps" for rung in self.rungs]
        last = [one.label for one in self.rungs[-1].tried if one.kept]
        failed = f", {self.failed} failed" if self.failed else ""
        return (
            f"{self.dataset}: halving began {len(self.rungs[0].tried)} of {of}{failed}:"
            f" {', '.join(many)}, and to the end {'; '.join(last) or 'none'}; one that "
            "starts slowly may have been dropped"
        )


def searched(
    experiment: Experiment,
    dataset: str,
    tries: Sequence[Point | None],
    rungs: Sequence[Rung] = (),
) -> Searched:
    """What a search amounts to.

    tries: the point of every try in the order in which they were made, a point once;
           None for one that failed.
    rungs: of halving; its tries are those of the first.
    """
    search = experiment.search
    families = [family for family, _ in grid.searched_in(experiment, dataset)]
    sizes = [
        None if count is None else count * math.prod(map(len, family.grid.values()))
        for family in families
        for count in [space.size(family.space)]
    ]
    whole = None if None in sizes else sum(count for count in sizes if count)
    values = [
        [math.nan] * (1 + len(search.low)) if one is None else objectives(one, search)
        for one in tries
    ]
    failed = sum(one is None for one in tries)
    if rungs:
        bits = [one.bits for one in rungs[0].tried]
        values = [[math.nan if one is None else one] for one in bits]
        failed = sum(one.bits is None for rung in rungs for one in rung.tried)
    got = hypervolume.found(values, [True] + [False] * len(search.low))
    return Searched(
        dataset=dataset,
        method=search.method,
        objectives=(*search.up, *search.low),
        points=whole,
        tried=len(values) - failed,
        failed=failed,
        seeds=max(
            1 if family.reduce else family.seeds or experiment.seeds
            for family in families
        ),
        budget=search.trials,
        curve=got.curve,
        flattened=got.flattened,
        rungs=tuple(rungs),
    )


def objectives(point: Point, search: Any) -> list[float]:
    """What [search] asks for of a point: first what should be high, then what low.

    A range counts by its geometric mean; what is not defined is nan.
    """
    bits = point.validation_bits
    found = [math.nan if bits is None else float(bits)]
    for name in search.low:
        try:
            found.append(float(cost_range(point, name)[1]))
        except BadSetting:
            found.append(math.nan)
    return found
