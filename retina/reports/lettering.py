"""Puts a name beside each point of a figure so that no two names meet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

Line = tuple[tuple[float, float], tuple[float, float]]  # (x, x), (y, y) in data units
Box = tuple[float, float, float, float]  # left, bottom, right, top, in pixels


def place(
    axes: Any,
    points: Sequence[tuple[float, float, str]],
    colours: Sequence[str],
    avoid: Sequence[Line],
    faint: Sequence[Line] = (),
    size: float = 8.4,
) -> list[Any]:
    """Write each name as near to its point as it finds room.

    points:  (x, y, name) in data units; both axes have their final limits.
    avoid:   level or upright lines that a name should not cover.
    faint:   lines that it may cover where there is no better place.
    returns: the texts, in order. A name that had to go far gets a thin line.
    """
    from matplotlib.patheffects import withStroke

    page = axes.figure
    renderer = page.canvas.get_renderer()
    scale = page.dpi / 72
    to_page = axes.transData.transform
    dots = [to_page((x, y)) for x, y, _ in points]
    taken = [_around(dot, 4.5 * scale) for dot in dots]
    taken += [_along(line, to_page, scale) for line in avoid]
    pale = [_along(line, to_page, scale) for line in faint]
    frame = axes.get_window_extent(renderer)
    made: list[Any] = [None] * len(points)
    # From the top down: the crowded end of a frontier is its top.
    for i in sorted(range(len(points)), key=lambda i: (-dots[i][1], dots[i][0])):
        text = axes.text(0, 0, points[i][2], fontsize=size, color=colours[i], zorder=5)
        # A white rim keeps a name readable where it must cross a faint line.
        text.set_path_effects([withStroke(linewidth=2.2, foreground="white")])
        box = text.get_window_extent(renderer)
        best = min(
            _candidates(dots[i], box.width, box.height, scale),
            key=lambda place: (
                _covered(place, taken, scale)
                + 0.15 * _covered(place, pale, scale)
                + 1000 * _outside(place, frame)
                + 5 * place[4]
            ),
        )
        left, bottom = best[0], best[1]
        where = axes.transData.inverted().transform((left, bottom))
        text.set_position(where)
        text.set_verticalalignment("bottom")
        taken.append(best[:4])
        if best[4] > 11 * scale:
            near = (
                np.clip(dots[i][0], best[0], best[2]),
                np.clip(dots[i][1], best[1], best[3]),
            )
            ends = axes.transData.inverted().transform([dots[i], near])
            axes.plot(*ends.T, color=colours[i], linewidth=0.6, alpha=0.7, zorder=1.5)
        made[i] = text
    return made


def _along(line: Line, to_page: Any, half: float) -> Box:
    (left, right), (low, high) = line
    (x0, y0), (x1, y1) = to_page((left, low)), to_page((right, high))
    return x0 - half, y0 - half, x1 + half, y1 + half


def _around(dot: Any, radius: float) -> Box:
    return dot[0] - radius, dot[1] - radius, dot[0] + radius, dot[1] + radius


def _candidates(dot: Any, width: float, height: float, scale: float):
    """Boxes around a dot, the nearest first: (left, bottom, right, top, distance)."""
    for reach in (7, 10, 14, 19, 25, 32, 40, 50):
        away = reach * scale
        for angle in (45, 0, 135, 180, 315, 225, 90, 270, 20, 70, 160, 200, 340, 110):
            x = dot[0] + away * np.cos(np.radians(angle))
            y = dot[1] + away * np.sin(np.radians(angle))
            left = x - width * (1 - np.sign(round(np.cos(np.radians(angle)), 6))) / 2
            low = y - height * (1 - np.sign(round(np.sin(np.radians(angle)), 6))) / 2
            yield left, low, left + width, low + height, away


def _covered(box: Any, taken: Sequence[Box], scale: float) -> float:
    """Square pixels of a box that are not free; a touch counts as some."""
    margin, touch = 1.5 * scale, 20 * scale**2
    total = 0.0
    for left, low, right, high in taken:
        wide = min(box[2], right) - max(box[0], left) + margin
        tall = min(box[3], high) - max(box[1], low) + margin
        if wide > 0 and tall > 0:
            total += wide * tall + touch
    return total


def _outside(box: Any, frame: Any) -> float:
    """Pixels by which a box leaves the axes."""
    over = (frame.x0 - box[0], box[2] - frame.x1, frame.y0 - box[1], box[3] - frame.y1)
    return sum(max(0.0, pixels) for pixels in over)
