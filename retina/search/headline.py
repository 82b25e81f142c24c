"""How far down: the cheapest model near the best, and the cheapest that is good enough.

The first is chosen on validation and tested once, and its interval repeats the choice.
The second is chosen among those that validation leaves, but on the test itself: what
can be explained is known where there are repeats.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from retina.errors import BadSetting
from retina.metrics.medians import middle, percentiles, spread_of_median
from retina.search.draws import CHOOSING, REPEATED, VALIDATION, Drawn
from retina.search.frontier import cost_range, non_dominated
from retina.search.ratio import over
from retina.types import Point

SHARES = (0.5, 0.7, 0.8, 0.9)
SEED = 20160210  # of the cells that are drawn: asked again, the answer is the same


@dataclasses.dataclass(frozen=True)
class Near:
    """The cheapest model near the best, and what the test says of it.

    metric:   its ratio to the best, median over cells, is what "near" is about.
    best:     the run with the highest median on validation.
    cheapest: of the runs whose ratio on validation is at least 1 - within.
    ratio:    of the two, median over cells, on the test group; nan where undefined.
    ci95:     of that ratio: time blocks of validation and test drawn, and both runs
              chosen anew in each draw; cells drawn as in `retina.score`.
    again:    share of the draws in which the same run is the cheapest.
    """

    group: str
    metric: str
    within: float
    best: str
    cheapest: str
    ratio: float
    ci95: tuple[float, float]
    again: float

    @property
    def holds(self) -> bool:
        """Whether the test shows that it is near: the whole interval lies there."""
        return self.ci95[0] > 1 - self.within


@dataclasses.dataclass(frozen=True)
class Reaching:
    """The cheapest model that explains a share of what can be explained.

    run:   of those that no other beats on cost and validation, the cheapest whose
           median over cells reaches the share on the test itself; "" where none does.
    feve:  that median; of the best of them where none reaches it.
    again: share of the draws of time blocks with the same answer.
    """

    group: str
    share: float
    run: str
    feve: float
    again: float


@dataclasses.dataclass(frozen=True)
class Headline:
    """Of one recording."""

    near: tuple[Near, ...]
    reaching: tuple[Reaching, ...]


def headline(
    points: Sequence[Point], draws: Sequence[Drawn], within: float, x: str
) -> Headline:
    """What a recording's models come to.

    points: of one recording, scored on the same bins.
    draws:  of each, from `retina.search.draws`.
    within: the share that "near the best" may miss, such as 0.05.
    x:      the cost that makes a model cheap. A constant that all models of a recording
            are divided by (synapses, events, spikes) cannot change the order.
    raises: BadSetting without points, or where x is not known.
    """
    if not points:
        raise BadSetting("no points to choose among: run the sweep first")
    costs = np.array([cost_range(point, x)[1] for point in points])
    runs = [point.run for point in points]
    groups = [place for place, metric in draws[0] if place != VALIDATION]
    near, reaching = [], []
    for group in dict.fromkeys(groups):
        for metric in CHOOSING:
            if (group, metric) in draws[0]:
                near.append(_near(runs, costs, draws, group, metric, within))
        if (group, REPEATED) in draws[0]:
            reaching += _reaching(runs, costs, draws, group)
    return Headline(tuple(near), tuple(reaching))


def chosen(
    values: np.ndarray, costs: np.ndarray, within: float
) -> tuple[int, int] | None:
    """The best model, and the cheapest one near it.

    values:  (model, cell), an accuracy on validation.
    costs:   (model,).
    returns: their indices; None where no model has a positive median. Of equally cheap
             ones the more accurate. Cells on which the best predicts nothing (0 or
             less) have no ratio.

    >>> values = np.array([[0.1, 0.1], [0.5, 0.48], [0.5, 0.5]])
    >>> chosen(values, np.array([1.0, 2.0, 9.0]), within=0.05)
    (2, 1)
    """
    medians = middle(values)
    ranked = np.where(np.isnan(medians), -np.inf, medians)
    best = int(np.argmax(ranked))
    if not ranked[best] > 0:
        return None
    ratios = middle(over(values, values[best]))
    near = np.flatnonzero(ratios >= 1 - within)
    return best, int(min(near, key=lambda i: (costs[i], -ranked[i], i)))


def frontier_of(values: np.ndarray, costs: np.ndarray) -> list[int]:
    """The models that none beats on cost and median accuracy, cheapest first.

    >>> frontier_of(np.array([[0.2], [0.1], [0.5]]), np.array([1.0, 2.0, 9.0]))
    [0, 2]
    """
    medians = np.nan_to_num(middle(values), nan=-np.inf)
    on = np.flatnonzero(non_dominated(costs.tolist(), medians.tolist())).tolist()
    return sorted(on, key=lambda i: (costs[i], -medians[i]))


def _near(
    runs: Sequence[str],
    costs: np.ndarray,
    draws: Sequence[Drawn],
    group: str,
    metric: str,
    within: float,
) -> Near:
    shown, choosing = _stacked(draws, VALIDATION, metric)
    tested, testing = _stacked(draws, group, metric)
    first = chosen(shown, costs, within)
    if first is None:
        nan = float("nan")
        return Near(_group(group), metric, within, "", "", nan, (nan, nan), 0.0)
    best, cheap = first
    pairs = [chosen(choosing[:, d], costs, within) for d in range(choosing.shape[1])]
    # A choice is one for all cells; what each cell adds is told pair by pair.
    medians, blocks = np.full(len(pairs), np.nan), draws[0][group, metric].blocks
    samples = blocks
    for pair in dict.fromkeys(pair for pair in pairs if pair is not None):
        drawn, count = spread_of_median(
            *_defined(
                tested[pair[1]], tested[pair[0]], testing[pair[1]], testing[pair[0]]
            ),
            np.random.default_rng(SEED),
            blocks,
        )
        here = [d for d, one in enumerate(pairs) if one == pair]
        medians[here] = drawn[here]
        samples = min(samples, count)
    return Near(
        group=_group(group),
        metric=metric,
        within=within,
        best=runs[best],
        cheapest=runs[cheap],
        ratio=float(middle(over(tested[cheap], tested[best]))),
        ci95=percentiles(medians, samples),
        again=sum(one is not None and one[1] == cheap for one in pairs) / len(pairs),
    )


def _reaching(
    runs: Sequence[str], costs: np.ndarray, draws: Sequence[Drawn], group: str
) -> list[Reaching]:
    shown, choosing = _stacked(draws, VALIDATION, CHOOSING[0])
    tested, testing = _stacked(draws, group, REPEATED)
    candidates = frontier_of(shown, costs)
    found = np.nan_to_num(middle(tested), nan=-np.inf)
    each = [
        (frontier_of(choosing[:, draw], costs), middle(testing[:, draw]))
        for draw in range(choosing.shape[1])
    ]
    made = []
    for share in SHARES:
        run = _first(candidates, found, share)
        same = sum(_first(on, medians, share) == run for on, medians in each)
        feve = found[candidates].max() if run is None else found[run]
        name = "" if run is None else runs[run]
        made.append(Reaching(_group(group), share, name, float(feve), same / len(each)))
    return made


def _first(candidates: Sequence[int], medians: np.ndarray, share: float) -> int | None:
    return next((i for i in candidates if medians[i] >= share), None)


def _stacked(
    draws: Sequence[Drawn], place: str, metric: str
) -> tuple[np.ndarray, np.ndarray]:
    """(model, cell) on all the data, (model, draw, cell) in each draw."""
    of = [one[place, metric] for one in draws]
    return np.stack([d.observed for d in of]), np.stack([d.values for d in of])


def _defined(
    cheap: np.ndarray, best: np.ndarray, cheaps: np.ndarray, bests: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The ratio of a pair, (cell,) and (draw, cell), on the cells that have one."""
    observed = over(cheap, best)
    known = ~np.isnan(observed)
    return observed[known], over(cheaps, bests)[:, known]


def _group(place: str) -> str:
    return place.removeprefix("test ")


def as_rows(
    recording: str, found: Headline, labels: Mapping[str, str]
) -> list[dict[str, Any]]:
    """A headline as plain data for JSON; an undefined number is None.

    >>> as_rows("d", Headline((), (Reaching("frozen", 0.9, "", 0.8, 1.0),)), {})
    [{'recording': 'd', 'group': 'frozen', 'share': 0.9, 'run': None, ...}]
    """
    rows: list[dict[str, Any]] = []
    for one in found.near:
        row = _plain(one) | {"holds": one.holds}
        for key in ("best", "cheapest"):
            row[f"{key}_label"] = labels.get(str(row[key]))
        rows.append({"recording": recording, **row})
    for one in found.reaching:
        row = _plain(one) | {"label": labels.get(one.run)}
        rows.append({"recording": recording, **row, "run": one.run or None})
    return rows


def _plain(one: Near | Reaching) -> dict[str, Any]:
    def known(value: Any) -> Any:
        if isinstance(value, tuple):
            return [known(end) for end in value]
        return None if isinstance(value, float) and not math.isfinite(value) else value

    return {key: known(value) for key, value in dataclasses.asdict(one).items()}
