"""A cost as a picture: one rectangle for each part of a model, its area its FLOPs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from retina.errors import BadSetting
from retina.reports.numbers import amount
from retina.reports.page import COLOURS, PALE, check_ending, write
from retina.types import Cost

Box = tuple[float, float, float, float]  # left, bottom, width, height


def treemap(cost: Cost, path: str | Path) -> Path:
    """Draw where the FLOPs of one bin go, and write it as SVG, PNG or PDF.

    cost:    from `retina.cost`. Where no part has a FLOP, as in a look-up table, areas
             are operations of all kinds, and the title says so.
    path:    the file; it is replaced whole.
    returns: the path.
    raises:  BadSetting for another ending, or a model that does nothing per bin.

    Parts of one stage, written stage/part, share its colour.
    """
    path = Path(path)
    check_ending(path)
    unit, words = "flops", "FLOPs per bin"
    if not cost.flops_per_bin:
        unit, words = "total_ops", "operations of all kinds per bin"
    sizes = {part: row[unit] for part, row in cost.by_part.items() if row[unit]}
    if not sizes:
        raise BadSetting(
            f"{cost.model} does nothing per bin, so there is nothing to draw: leave "
            "--out out"
        )
    sizes = dict(sorted(sizes.items(), key=lambda item: -item[1]))
    return write(path, (8.4, 5.2), lambda page: _draw(page, cost, sizes, words))


def squarified(sizes: Sequence[float], box: Box) -> list[Box]:
    """Rectangles that fill a box, areas as the sizes, as near to squares as they come.

    sizes:  above 0, the largest first.
    source: Bruls, Huizing & van Wijk 2000, doi 10.1007/978-3-7091-6783-0_4.

    >>> squarified([2, 1, 1], (0.0, 0.0, 2.0, 2.0))
    [(0.0, 0.0, 1.0, 2.0), (1.0, 0.0, 1.0, 1.0), (1.0, 1.0, 1.0, 1.0)]
    """
    left, bottom, width, height = box
    scale = width * height / sum(sizes)
    areas, boxes = [size * scale for size in sizes], []
    while areas:
        side = min(width, height)
        row = 1
        while row < len(areas) and _worst(areas[: row + 1], side) <= _worst(
            areas[:row], side
        ):
            row += 1
        thick = sum(areas[:row]) / side
        along = 0.0
        for area in areas[:row]:
            if width >= height:
                boxes.append((left, bottom + along, thick, area / thick))
            else:
                boxes.append((left + along, bottom, area / thick, thick))
            along += area / thick
        if width >= height:
            left, width = left + thick, width - thick
        else:
            bottom, height = bottom + thick, height - thick
        areas = areas[row:]
    return boxes


def _worst(areas: Sequence[float], side: float) -> float:
    """The longest of the rectangles of a row: its sides' ratio."""
    total = sum(areas)
    return max(
        max(side**2 * area / total**2, total**2 / (side**2 * area)) for area in areas
    )


def _draw(page: Any, cost: Cost, sizes: Mapping[str, float], words: str) -> None:
    from matplotlib.patches import Rectangle

    axes = page.add_axes((0.03, 0.03, 0.94, 0.85))
    axes.set_axis_off()
    wide, high = page.get_size_inches()
    room = (0.0, 0.0, 0.94 * wide, 0.85 * high)
    axes.set_xlim(0, room[2])
    axes.set_ylim(0, room[3])
    families = list(dict.fromkeys(part.split("/")[0] for part in sizes))
    total = sum(sizes.values())
    boxes = squarified(list(sizes.values()), room)
    for (part, size), (left, bottom, width, height) in zip(
        sizes.items(), boxes, strict=True
    ):
        colour = COLOURS[families.index(part.split("/")[0]) % len(COLOURS)]
        axes.add_patch(
            Rectangle((left, bottom), width, height, fc=colour, ec="white", lw=1.5)
        )
        share = f"{100 * size / total:.3g} %"
        lines = f"{part or cost.model}\n{amount(size)}, {share}"
        longest = max(map(len, lines.split("\n")))
        # Letters of 8.4 points are some 0.075 inch wide and a line 0.16 inch high.
        if longest * 0.075 < width and 0.36 < height:
            axes.text(
                left + width / 2,
                bottom + height / 2,
                lines,
                ha="center",
                va="center",
                fontsize=8.4,
                color="white",
            )
    title = f"What {cost.model} computes" + (
        f" on {cost.dataset}" if cost.dataset else ""
    )
    page.text(0.03, 0.95, title, fontsize=12.5, fontweight="bold", va="center")
    small = f"{amount(total)} {words}; a multiply-add is two, a transcendental ten."
    page.text(0.03, 0.905, small, fontsize=8, va="center", color=PALE)
