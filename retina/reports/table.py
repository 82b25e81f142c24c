"""The verb `table`: accuracy and price, side by side, as text."""

from __future__ import annotations

from collections.abc import Sequence

from retina.costs.denominators import PER_SYNAPSE, enters_synapse_claims
from retina.reports.cost_table import RANGE, cost_table
from retina.reports.grid import footer, grid, text
from retina.reports.numbers import amount, interval, median
from retina.search.frontier import Frontier, frontier
from retina.search.label import labels
from retina.types import Cost, Interval, Point, Score, one_of

_COSTS = (
    ("flops_per_s_per_cell", "FLOP/s\nper cell"),
    ("flops_per_spike", "FLOP\nper spike"),
    ("flops_per_s_per_synapse", "FLOP per\nsynapse-second"),
    ("flops_per_synaptic_event", "FLOP per\nsynaptic event"),
)
UNPUBLISHED = "NOT FOR PUBLICATION: the recording's licence forbids to publish results"


def table(
    shown: Score | Cost | Point | Frontier | Sequence[Point],
    *,
    y: str | None = None,
    width: int = 160,
) -> str:
    """A table to print.

    shown: a score (medians, then cell by cell), a cost, one point or several, or a
           frontier, whose points are marked.
    y:     of several metrics, the one that stands first and with its interval.
    width: columns of text that the table may take.

    >>> from retina.types import Metric
    >>> score = Score("d", "ln", "frozen", 9, 1, 2, {"r": Metric((0.5,), 0.5, (0, 1))})
    >>> "0.500" in table(score)
    True
    """
    if isinstance(shown, Score):
        return _score(shown, width)
    if isinstance(shown, Cost):
        return cost_table(shown, width)
    if isinstance(shown, Frontier):
        return _points(shown, width)
    points = [shown] if isinstance(shown, Point) else list(shown)
    if not points:
        return "no points\n"
    return "\n".join(
        _points(front, width)
        for front in _fronts(points, y or next(iter(points[0].score.metrics)))
    )


def _fronts(points: list[Point], y: str) -> list[Frontier]:
    """One block per recording; the cost that can be told for all its points."""
    fronts = []
    for dataset in dict.fromkeys(point.dataset for point in points):
        here = [point for point in points if point.dataset == dataset]
        known = [
            name
            for name in ("flops_per_synaptic_event", "flops_per_s_per_cell")
            if all(getattr(point.cost, name) is not None for point in here)
            and (
                name not in PER_SYNAPSE
                or all(enters_synapse_claims(point.cost) for point in here)
            )
        ]
        fronts.append(frontier(here, known[0], y))
    return fronts


def _points(front: Frontier, width: int) -> str:
    if not front.points:
        return "no points\n"
    rows = grid(_title(front))
    metrics = list(dict.fromkeys(n for p in front.points for n in p.score.metrics))
    metrics.sort(key=lambda name: name != front.y)
    rows.add_column("model", no_wrap=True)
    rows.add_column(f"{front.y}\nmedian [95 %]", justify="right", no_wrap=True)
    for name in metrics[1:]:
        rows.add_column(
            name.replace("_per_", "\nper ").replace("_", " "), justify="right"
        )
    costs = dict(_COSTS)
    costs["flops_per_spike"] = f"FLOP\nper {one_of(front.points[0].cost.event)}"
    if front.x not in costs:  # what the points stand in order of
        title = front.x.replace("_per_", "\nper ").replace("_", " ")
        costs = {front.x: title, **costs}
    if not all(point.cost.synapse_claims for point in front.points):
        costs = {k: v for k, v in costs.items() if k not in PER_SYNAPSE}
    for title in costs.values():
        rows.add_column(title, justify="right", no_wrap=True)
    rows.add_column("on the\nfrontier", justify="center")
    names = labels(front.points)
    for name, point, on in zip(names, front.points, front.on, strict=True):
        first = point.score.metrics[front.y]
        rows.add_row(
            name,
            f"{median(first)} {interval(first)}".strip(),
            *(
                median(point.score.metrics[n]) if n in point.score.metrics else "-"
                for n in metrics[1:]
            ),
            *(amount(getattr(point.cost, key)) for key in costs),
            "*" if on else "",
        )
    ranged = any(
        isinstance(getattr(p.cost, key), Interval)
        for p in front.points
        for key, _ in _COSTS
    )
    return text(rows, width) + footer(
        ([RANGE] if ranged else []) + _shared_notes(front.points, names)
    )


def _shared_notes(points: Sequence[Point], names: Sequence[str]) -> list[str]:
    """Notes on all points; of those on some, the ones on accuracy, with their names.

    What is said of one model's cost stands in that cost's own table.
    """
    told = [[*p.score.notes, *p.cost.notes] for p in points]
    shared = [note for note in told[0] if all(note in notes for notes in told)]
    if not all(point.score.publish for point in points):
        shared.insert(0, UNPUBLISHED)
    single: dict[str, list[str]] = {}
    for point, name in zip(points, names, strict=True):
        for note in point.score.notes:
            if note not in shared:
                single.setdefault(note, []).append(name)
    return shared + [f"{', '.join(who)}: {note}" for note, who in single.items()]


def _title(front: Frontier) -> str:
    score = front.points[0].score
    trials = f"{score.trials} trials" if score.trials > 1 else "single trials"
    return (
        f"{score.dataset}: {score.cells} cells, {score.scored}, test group "
        f"{score.group!r} ({trials})"
    )


def _score(score: Score, width: int) -> str:
    blocks = []
    for part in (score, *score.others):
        words = f"{part.model} on {part.dataset}, test group {part.group!r}"
        if part.history != "none":
            words += f", history {part.history.replace('_', ' ')}"
        rows = grid(f"{words}: {part.scored}, {part.cells} cells")
        heads = (
            "metric",
            "median",
            "95 %",
            "undefined cells",
            "undefined draws",
            "seeds",
        )
        for title in heads:
            rows.add_column(title, justify="left" if title == "metric" else "right")
        for name, metric in part.metrics.items():
            seeds = " ".join(f"{value:.3f}" for value in metric.seeds)
            lost = sum(value != value for value in metric.per_cell)  # nan
            rows.add_row(
                name,
                median(metric),
                interval(metric),
                str(lost),
                str(metric.undefined),
                seeds,
            )
        blocks.append(text(rows, width))
    rows = grid(f"cell by cell, test group {score.group!r}")
    rows.add_column("cell", justify="right")
    for name in score.metrics:
        rows.add_column(name, justify="right")
    columns = [metric.per_cell for metric in score.metrics.values()]
    names = score.cell_names or range(max(map(len, columns), default=0))
    for cell, *values in zip(names, *columns, strict=True):
        rows.add_row(str(cell), *(f"{value:.3f}" for value in values))
    blocks.append(text(rows, width))
    notes = [] if score.publish else [UNPUBLISHED]
    notes += [note for part in (score, *score.others) for note in part.notes]
    return "\n".join(blocks) + footer(notes)
