"""The verb `figure`: accuracy against cost, for people."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from retina.errors import BadSetting
from retina.reports.lettering import place
from retina.reports.page import COLOURS, GOLD, INK, PALE, check_ending, write
from retina.search.frontier import Frontier, accuracy, cost_range
from retina.search.label import labels
from retina.types import one_of

X_WORDS = {
    "flops_per_synaptic_event": "FLOPs per synaptic event",
    "flops_per_s_per_synapse": "FLOPs per second and synapse",
    "flops_per_spike": "FLOPs per recorded {event}",
    "flops_per_bit": "FLOPs per bit told of what was recorded",
    "flops_per_s_per_cell": "FLOPs per second and cell",
    "flops_per_s": "FLOPs per second",
    "flops_per_bin": "FLOPs per bin",
    "total_ops_per_bin": "operations of all kinds per bin",
}
Y_WORDS = {
    "cc_norm": "accuracy, CC_norm",
    "feve": "accuracy, explained fraction (FEVE)",
    "bits_per_spike": "accuracy, bits per spike",
    "pearson": "accuracy, correlation",
}
MARKS = "os^Dv"  # where there are more families than colours
CROWD = 30  # points that can all be named; of more, those on the frontier are
SIZE = (8.4, 5.6)  # inches
CEILING = {"cc_norm": 1.0, "feve": 1.0}
PER = {
    "flops_per_synaptic_event": "synaptic event",
    "flops_per_s_per_synapse": "synapse and second",
}


def figure(front: Frontier | Mapping[str, Frontier], path: str | Path) -> Path:
    """Draw a frontier and write it as SVG, PNG or PDF, by the ending of the path.

    front:   from `retina.frontier`; or several by the name of their recording, side by
             side on one page.
    path:    the file; it is replaced whole. The same frontier gives the same bytes.
    returns: the path.
    raises:  BadSetting for another ending, or a frontier without any point to draw;
             UnwritableFolder.

    Upright bars are 95 % intervals over the test's time; pale level bars the range of
    a constant (how many synapses or events a cell stands for), which is no statistic.
    A model that costs nothing stands at the left, on the mark 0. Of more than 30 points
    only those on the frontier have a name and a bar; the colours of the rest are named.

    >>> from retina.search.frontier import frontier
    >>> figure(frontier([]), "nothing.svg")
    Traceback (most recent call last):
    retina.errors.BadSetting: no point to draw: ...
    """
    path = Path(path)
    check_ending(path)
    fronts = {"": front} if isinstance(front, Frontier) else front
    for one in fronts.values():
        if not any(math.isfinite(accuracy(p, one.y)) for p in one.points):
            raise BadSetting(
                f"no point to draw: {one.y} is defined for none: name another metric "
                "(--y bits_per_spike)"
            )
    if len(fronts) == 1:
        ((name, one),) = fronts.items()
        return write(path, SIZE, lambda page: _draw(page, one, name))
    if not fronts:
        raise BadSetting("no frontier to draw")
    rows = math.ceil(len(fronts) / 2)

    def draw(page: Any) -> None:
        panels = page.subfigures(rows, 2).flat
        for panel, (name, one) in zip(panels, fronts.items(), strict=False):
            _draw(panel, one, name)

    return write(path, (2 * SIZE[0], rows * SIZE[1]), draw)


def _draw(page: Any, front: Frontier, name: str = "") -> None:
    axes = page.add_axes((0.085, 0.115, 0.885, 0.715))
    points = [p for p in front.points if math.isfinite(accuracy(p, front.y))]
    on = {id(p) for p, is_on in zip(front.points, front.on, strict=True) if is_on}
    names = labels(front.points)
    told = {id(p): name for p, name in zip(front.points, names, strict=True)}
    ranges = np.array([cost_range(p, front.x) for p in points])
    heights = np.array([accuracy(p, front.y) for p in points])
    nothing = _limits(axes, front, ranges, points)
    centre = np.maximum(ranges[:, 1], nothing)
    _references(axes, front.x)
    _ceiling(axes, front.y)
    best = np.array([id(p) in on for p in points])
    ends = np.append(centre[best], axes.get_xlim()[1])
    axes.plot(
        ends,
        np.append(heights[best], heights[best][-1:]),
        drawstyle="steps-post",
        color=INK,
        linewidth=1.3,
        zorder=2,
    )
    crowd = len(points) > CROWD
    looks = _looks(points)
    bars, faint = [], []
    for i, point in enumerate(points):
        colour, mark = looks[point.model]
        x, y = centre[i], heights[i]
        if crowd and not best[i]:
            axes.plot(x, y, mark, ms=3.5, mfc="white", mec=colour, mew=0.9, zorder=2.5)
            continue
        if ranges[i, 0] < ranges[i, 2]:
            axes.plot(ranges[i, ::2], [y, y], color=colour, alpha=0.3, lw=1.8, zorder=1)
            faint.append((tuple(ranges[i, ::2]), (y, y)))
        low, high = point.score.metrics[front.y].ci95
        if math.isfinite(low) and math.isfinite(high):
            axes.plot([x, x], [low, high], color=colour, linewidth=1.1, zorder=3)
            bars.append(((x, x), (low, high)))
        face = colour if best[i] else "white"
        axes.plot(x, y, mark, ms=6.5, mfc=face, mec=colour, mew=1.4, zorder=4)
    lines = _step_boxes(ends, heights[best])
    named = [(i, p) for i, p in enumerate(points) if best[i] or not crowd]
    place(
        axes,
        [(centre[i], heights[i], told[id(p)]) for i, p in named],
        [looks[p.model][0] for _, p in named],
        bars + lines,
        faint,
    )
    if crowd:
        _key(axes, looks)
    title = name or points[0].score.dataset
    _words(page, axes, front, points, title, bool(np.any(ranges[:, 0] < ranges[:, 2])))


def _looks(points: list) -> dict[str, tuple[str, str]]:
    """Colour and mark of each family."""
    families = sorted({p.model for p in points})
    return {
        name: (COLOURS[i % len(COLOURS)], MARKS[i // len(COLOURS) % len(MARKS)])
        for i, name in enumerate(families)
    }


def _key(axes: Any, looks: dict[str, tuple[str, str]]) -> None:
    for name, (colour, mark) in looks.items():
        axes.plot([], [], mark, ms=5, mfc="white", mec=colour, mew=1.2, label=name)
    key = axes.legend(loc="lower right", frameon=False, fontsize=8)
    for text, (colour, _) in zip(key.get_texts(), looks.values(), strict=True):
        text.set_color(colour)


def _step_boxes(x: np.ndarray, y: np.ndarray) -> list:
    """The pieces of the frontier's line, which no label should cross."""
    level = [((x[i], x[i + 1]), (y[i], y[i])) for i in range(len(y))]
    rise = [((x[i], x[i]), (y[i - 1], y[i])) for i in range(1, len(y))]
    return level + rise


def _limits(axes: Any, front: Frontier, ranges: np.ndarray, points: list) -> float:
    """Set both axes; return the place on the log axis of what costs nothing."""
    positive = ranges[ranges > 0]
    low = float(positive.min()) if positive.size else 1.0
    high = float(positive.max()) if positive.size else 10.0
    if front.x in PER:
        low, high = min(low, 0.5), max(high, 2500.0)
    axes.set_xscale("log")
    nothing = 10.0 ** (math.floor(math.log10(low)) - 0.5)
    free = bool(np.any(ranges[:, 1] == 0))
    axes.set_xlim(nothing / 2 if free else low / 1.8, high * 2.2)
    if free:
        first = math.floor(math.log10(low))
        decades = np.arange(first, math.ceil(math.log10(high)) + 1)
        axes.set_xticks(
            [nothing, *10.0**decades], ["0", *(f"$10^{{{d}}}$" for d in decades)]
        )
        axes.minorticks_off()
        # The two strokes that say: the scale is broken here.
        for shift in (1.45, 1.65):
            axes.plot(
                [nothing * shift * 0.96, nothing * shift * 1.04],
                [-0.012, 0.012],
                transform=axes.get_xaxis_transform(),
                color=INK,
                linewidth=1,
                clip_on=False,
                zorder=6,
            )
    values = [accuracy(p, front.y) for p in points]
    ends = [end for p in points for end in p.score.metrics[front.y].ci95]
    known = [v for v in (*values, *ends) if math.isfinite(v)]
    top = max([*known, CEILING.get(front.y, -math.inf)])
    bottom = min([*known, 0.0])
    room = 0.06 * (top - bottom or 1.0)
    axes.set_ylim(bottom - room, top + room)
    return nothing


def _references(axes: Any, x: str) -> None:
    """The published guesses: lines and a band, each named above the axes."""
    from retina.costs.denominators import references

    low, high = axes.get_xlim()
    found = [line for line in references() if line.per == PER.get(x)]
    lines = sorted((r for r in found if r.low == r.high), key=lambda r: r.low)
    names = [f"{line.low:g}  {line.name}" for line in lines]
    at = [math.log10(line.low / low) / math.log10(high / low) for line in lines]
    wide = [0.0077 * len(name) for name in names]
    # A name stands over its line, or beside it where the next one would touch it.
    sides = ["center"] * len(lines)
    before = {"left": 0.0, "center": 0.5, "right": 1.0}
    for i in range(len(lines) - 1):
        end = at[i] + wide[i] * (1 - before[sides[i]])
        if end + 0.03 > at[i + 1] - wide[i + 1] / 2:
            sides[i] = "right" if sides[i] == "center" else sides[i]
            sides[i + 1] = "left"
    for i in reversed(range(len(lines) - 1)):
        begin = at[i + 1] - wide[i + 1] * before[sides[i + 1]]
        if at[i] + wide[i] * (1 - before[sides[i]]) + 0.01 > begin:
            sides[i] = "right"
    for line, name, place_, side in zip(lines, names, at, sides, strict=True):
        axes.plot(
            [line.low, line.low],
            [0, 1.015],
            transform=axes.get_xaxis_transform(),
            color="#b9a36a",
            linewidth=0.9,
            linestyle=(0, (4, 3)),
            zorder=0.5,
            clip_on=False,
        )
        _name_reference(axes, place_, 1.022, name, side)
    for band in (r for r in found if r.low < r.high):
        axes.axvspan(band.low, band.high, color="#f6eeda", zorder=0, linewidth=0)
        axes.plot(
            [band.low, band.low, band.high, band.high],
            [1.062, 1.072, 1.072, 1.062],
            transform=axes.get_xaxis_transform(),
            color="#b9a36a",
            linewidth=1,
            clip_on=False,
        )
        middle = math.log10(math.sqrt(band.low * band.high) / low)
        name = f"{band.low:g}\N{EN DASH}{band.high:g}  {band.name}"
        _name_reference(axes, middle / math.log10(high / low), 1.08, name, "center")


def _name_reference(axes: Any, x: float, y: float, name: str, side: str) -> None:
    axes.text(
        x,
        y,
        name,
        transform=axes.transAxes,
        ha=side,
        va="bottom",
        fontsize=7.8,
        color=GOLD,
    )


def _ceiling(axes: Any, y: str) -> None:
    if y not in CEILING:
        return
    axes.axhline(CEILING[y], color=PALE, linewidth=0.9, linestyle=":", zorder=0.5)
    axes.text(
        0.995,
        CEILING[y],
        "noise ceiling",
        transform=axes.get_yaxis_transform(),
        ha="right",
        va="bottom",
        fontsize=8,
        color=PALE,
    )


def _words(
    page: Any, axes: Any, front: Frontier, points: list, title: str, ranged: bool
) -> None:
    score = points[0].score
    event = one_of(points[0].cost.event)
    axes.set_xlabel(X_WORDS.get(front.x, front.x).format(event=event))
    axes.set_ylabel(f"{Y_WORDS.get(front.y, front.y)}, median of {score.cells} cells")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    page.text(
        0.085,
        0.965,
        f"What accuracy costs: {title}",
        fontsize=12.5,
        fontweight="bold",
        va="center",
    )
    trials = f"{score.trials} repeats" if score.trials > 1 else "single trials"
    said = f"test group {score.group!r}, {score.scored}, {trials}."
    said += " Line and filled points: frontier. Upright bars: 95 % interval."
    if ranged:
        said += " Pale bars: range of the constant."
    page.text(0.085, 0.927, said, fontsize=8, va="center", color=PALE)
    if not all(point.score.publish for point in points):
        page.text(
            0.97,
            0.965,
            "not for publication (licence)",
            fontsize=9,
            ha="right",
            va="center",
            color="#b3261e",
        )
