"""The verb `table`: accuracy and price, side by side, as text."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from retina.costs.counts import WEIGHTS
from retina.costs.denominators import PER_SYNAPSE, enters_synapse_claims
from retina.reports.numbers import amount, interval, median, quartiles
from retina.search.frontier import Frontier, frontier
from retina.search.label import labels
from retina.types import Cost, Interval, Point, Score

_COSTS = (
    ("flops_per_s_per_cell", "FLOP/s\nper cell"),
    ("flops_per_spike", "FLOP\nper spike"),
    ("flops_per_s_per_synapse", "FLOP per\nsynapse-second"),
    ("flops_per_synaptic_event", "FLOP per\nsynaptic event"),
)
_UNITS = (
    ("flops_per_bin", "FLOPs per bin"),
    ("flops_per_s", "FLOPs per second"),
    ("flops_per_s_per_cell", "FLOPs per second and cell, shared over all"),
    ("flops_per_s_alone", "FLOPs per second of one cell alone"),
    ("flops_per_s_marginal", "FLOPs per second of one more cell"),
    ("flops_per_spike", "FLOPs per recorded spike"),
    ("flops_per_bit", "FLOPs per bit told of the recorded spikes"),
    ("flops_per_s_per_synapse", "FLOPs per synapse-second"),
    ("flops_per_synaptic_event", "FLOPs per synaptic event"),
    ("total_ops_per_bin", "all operations per bin"),
    ("sparse_flops_per_bin", "FLOPs per bin where zero weights are skipped"),
    ("bit_operations_per_bin", "bit-operations of products per bin"),
    ("transcendentals_per_bin", "transcendentals per bin"),
    ("params", "parameters"),
    ("param_bytes", "bytes of parameters"),
    ("state_bytes", "bytes of state"),
    ("bytes_per_bin", "bytes moved per bin"),
    ("fan_in", "fan-in"),
    ("connections", "connections, values into sums"),
    ("wire_um", "wire of the declared circuit, um"),
    ("depth", "sequential depth"),
    ("parallel_width", "parallel width, operations / depth"),
    ("arithmetic_intensity", "arithmetic intensity, FLOPs per byte"),
)
# Circuits have the one, points the other: elsewhere they are not even unknown.
_ONLY_SOME = ("wire_um", "flops_per_bit")
UNPUBLISHED = "NOT FOR PUBLICATION: the recording's licence forbids to publish results"
_RANGE = "a - b: what is not known of a constant, not statistics. [a, b]: 95 % interval"


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
        return _cost(shown, width)
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
    rows = _grid(_title(front))
    metrics = list(dict.fromkeys(n for p in front.points for n in p.score.metrics))
    metrics.sort(key=lambda name: name != front.y)
    rows.add_column("model", no_wrap=True)
    rows.add_column(f"{front.y}\nmedian [95 %]", justify="right", no_wrap=True)
    for name in metrics[1:]:
        rows.add_column(
            name.replace("_per_", "\nper ").replace("_", " "), justify="right"
        )
    costs = _COSTS
    if front.x not in dict(costs):  # what the points stand in order of
        costs = (
            (front.x, front.x.replace("_per_", "\nper ").replace("_", " ")),
            *costs,
        )
    for _, title in costs:
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
            *(amount(getattr(point.cost, key)) for key, _ in costs),
            "*" if on else "",
        )
    ranged = any(
        isinstance(getattr(p.cost, key), Interval)
        for p in front.points
        for key, _ in _COSTS
    )
    return _text(rows, width) + _notes(
        ([_RANGE] if ranged else []) + _shared_notes(front.points, names)
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
        f"{score.dataset}: {score.cells} cells, {score.bins} bins of test group "
        f"{score.group!r} ({trials})"
    )


def _score(score: Score, width: int) -> str:
    blocks = []
    for part in (score, *score.others):
        words = f"{part.model} on {part.dataset}, test group {part.group!r}"
        if part.history != "none":
            words += f", history {part.history.replace('_', ' ')}"
        bins = f"{part.bins} bins" + (f" of {part.bin_s:.4g} s" if part.bin_s else "")
        rows = _grid(f"{words}: {bins}, {part.cells} cells")
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
        blocks.append(_text(rows, width))
    rows = _grid(f"cell by cell, test group {score.group!r}")
    rows.add_column("cell", justify="right")
    for name in score.metrics:
        rows.add_column(name, justify="right")
    columns = [metric.per_cell for metric in score.metrics.values()]
    names = score.cell_names or range(max(map(len, columns), default=0))
    for cell, *values in zip(names, *columns, strict=True):
        rows.add_row(str(cell), *(f"{value:.3f}" for value in values))
    blocks.append(_text(rows, width))
    notes = [] if score.publish else [UNPUBLISHED]
    notes += [note for part in (score, *score.others) for note in part.notes]
    return "\n".join(blocks) + _notes(notes)


def _cost(cost: Cost, width: int) -> str:
    rows = _grid(f"{cost.model}" + (f" on {cost.dataset}" if cost.dataset else ""))
    rows.add_column("what", no_wrap=True)
    rows.add_column("exact or range", justify="right", no_wrap=True)
    rows.add_column("about", justify="right", no_wrap=True)
    for key, words in _UNITS:
        value = getattr(cost, key)
        if value is None and key in _ONLY_SOME:
            continue
        exact = f"{value:,}" if isinstance(value, int) else _exact(value)
        rows.add_row(words, exact, amount(value))
    step, setup = cost.counts.get("bin"), cost.counts.get("setup")
    if step is not None:
        for weight in WEIGHTS:
            value = step.flops_with(weight)
            words = f"FLOPs per bin, a transcendental as {weight}"
            rows.add_row(words, f"{value:,}", amount(value))
    grids = [
        rows,
        _kinds("kind", "by kind", {"bin": step, "setup, once": setup}, across=True),
        _kinds("part", "by part, per bin", cost.by_part),
        _kinds("primitive", "by primitive, per bin", getattr(step, "by_primitive", {})),
        _fans(cost),
    ]
    ranged = cost.flops_per_synaptic_event or cost.flops_per_s_per_synapse
    notes = ([_RANGE] if ranged else []) + list(cost.notes)
    return "\n".join(_text(grid, width) for grid in grids) + _notes(notes)


def _kinds(
    head: str, title: str, table: Mapping[str, Any], across: bool = False
) -> Any:
    """Counts side by side, without the kinds that nothing has; `across`: upright."""
    counts = {
        n: c if isinstance(c, Mapping) else c.as_dict() for n, c in table.items() if c
    }
    counts = {name: row for name, row in counts.items() if row.get("total_ops", 1)}
    kinds = [
        kind
        for kind in dict.fromkeys(k for row in counts.values() for k in row)
        if any(row.get(kind) for row in counts.values())
    ]
    rows = _grid(title)
    rows.add_column(head, no_wrap=True)
    for name in counts if across else kinds:
        rows.add_column(name.replace("_", " "), justify="right")
    if across:
        for kind in kinds:
            each = (f"{row.get(kind, 0):,}" for row in counts.values())
            rows.add_row(kind.replace("_", " "), *each)
    else:
        for name, row in counts.items():
            rows.add_row(name, *(f"{row.get(kind, 0):,}" for kind in kinds))
    return rows


def _fans(cost: Cost) -> Any:
    rows = _grid("how many values a sum has, and how many sums a value enters")
    heads = ("", "least", "quarter", "median", "three quarters", "most", "of")
    for head in heads:
        rows.add_column(head, justify="right" if head else "left")
    for words, tally in (("fan-in", cost.fan_ins), ("fan-out", cost.fan_outs)):
        if tally:
            ends = (f"{n:,}" for n in quartiles(tally))
            rows.add_row(words, *ends, f"{sum(tally.values()):,}")
    return rows


def _exact(value: Any) -> str:
    if value is None:
        return "not known"
    if isinstance(value, Interval):
        return f"{value.low:,.3g} - {value.high:,.3g}"
    return f"{value:,.1f}"


def _grid(title: str) -> Any:
    from rich import box
    from rich.table import Table

    return Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)


def _text(rows: Any, width: int) -> str:
    from rich.console import Console

    page = io.StringIO()
    console = Console(file=page, width=width, no_color=True, color_system=None)
    console.print(rows)
    return "\n".join(line.rstrip() for line in page.getvalue().splitlines()) + "\n"


def _notes(notes: Sequence[str]) -> str:
    return "".join(f"{note}\n" for note in dict.fromkeys(notes))
