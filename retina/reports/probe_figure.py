"""What a probe found, drawn: where in space, when in time, through which units."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from retina.errors import BadSetting
from retina.reports.page import COLOURS, INK, PALE, check_ending, write

COLOURMAP = "RdBu_r"  # symmetric about zero: red above, blue below
WIDTH, HEIGHT = 3.6, 1.7  # of one panel, inches
LABEL = 0.35  # of it, for two lines of words
NARROWEST = 6.2  # page: a title has room
LINE = COLOURS[2]


def probe_figure(
    fields: np.ndarray,
    path: str | Path,
    *,
    names: Sequence[str],
    bin_s: float,
    unit: str = "",
    title: str = "",
) -> Path:
    """For each field its profile in space at the peak's lag, and in time at its pixel.

    fields:  (panel, lag, *frame), lag 0 first, from `retina.model_sta` (its cells moved
             to the front), `retina.local_sta`, or the clip of `retina.exciting_input`,
             less the stimulus mean, backwards.
    path:    the file, .svg, .png or .pdf; it is replaced whole.
    names:   one per panel.
    unit:    of the fields' values.
    returns: the path.
    raises:  BadSetting for another ending or nothing to draw; UnwritableFolder.

    Each panel has a scale of its own. One-pixel frames have no profile in space.

    >>> probe_figure(np.zeros((0, 3)), "nothing.svg", names=(), bin_s=0.01)
    Traceback (most recent call last):
    retina.errors.BadSetting: no field to draw
    """
    path = Path(path)
    check_ending(path)
    if not len(fields):
        raise BadSetting("no field to draw")
    columns = min(3, math.ceil(len(fields) / 3))
    rows = math.ceil(len(fields) / columns)
    size = (max(0.5 + WIDTH * columns, NARROWEST), 0.75 + HEIGHT * rows)

    def draw(page: Any) -> None:
        _title(page, size, title)
        for i, field in enumerate(np.nan_to_num(fields)):
            box = _box(i, columns, size)
            peak = peak_of(field)
            for axes in _panel(
                page, box, field, peak, bin_s, i >= len(fields) - columns
            ):
                _plain(axes)
            # In a line each: side by side they would run into the next panel.
            what = f"peak {field[peak]:.3g} {unit}".rstrip()
            _label(page, box, f"{names[i]}\n{what}, {peak[0] * bin_s:.3g} s before")

    return write(path, size, draw)


def attribution_figure(
    values: np.ndarray, path: str | Path, *, names: Sequence[str], title: str = ""
) -> Path:
    """For each moment a map summed over channels, and a bar per channel.

    values: (moment, *out) from `retina.attribution`; the channel is the last axis. An
            output without places, or of places alone, has only the bars.
    names:  one per moment. path, returns, raises: as in `probe_figure`.
    """
    path = Path(path)
    check_ending(path)
    if not len(values):
        raise BadSetting("no moment to draw")
    size = (NARROWEST, 0.75 + HEIGHT * len(values))

    def draw(page: Any) -> None:
        _title(page, size, title)
        for i, value in enumerate(values):
            left, low, wide, high = _box(i, 1, size)
            bars = page.add_axes((left + 0.42 * wide, low, 0.58 * wide, high))
            if value.ndim == 3 and value.shape[:2] != (1, 1):
                _map(page.add_axes((left, low, 0.34 * wide, high)), value.sum(-1))
            each = value.reshape(-1, value.shape[-1]).sum(0)
            bars.bar(np.arange(len(each)), each, color=LINE, width=0.8)
            bars.axhline(0, color=PALE, linewidth=0.6)
            bars.locator_params(axis="x", integer=True)  # a channel has a number
            bars.set_ylabel("counts per bin")
            if i == len(values) - 1:
                bars.set_xlabel("unit or channel")
            _label(page, (left, low, wide, high), names[i])
        for axes in page.axes:
            _plain(axes)

    return write(path, size, draw)


def peak_of(field: np.ndarray) -> tuple[int, ...]:
    """Where a field (lag, *frame) is largest in size: its lag, then its pixel.

    >>> peak_of(np.array([[0.0, 1.0], [-3.0, 2.0]]))
    (1, 0)
    """
    at = int(np.abs(np.nan_to_num(field)).argmax())
    return tuple(int(i) for i in np.unravel_index(at, field.shape))


def _panel(
    page: Any, box: Any, field: np.ndarray, peak: Any, bin_s: float, last: bool
) -> list[Any]:
    """Space on the left, time on the right. `last`: nothing stands below."""
    left, low, wide, high = box
    made = []
    if field.ndim == 3:
        made.append(page.add_axes((left, low, 0.34 * wide, high)))
        _map(made[0], field[peak[0]])
    elif field.ndim == 2:
        made.append(page.add_axes((left, low, 0.34 * wide, high)))
        made[0].plot(field[peak[0]], color=LINE, linewidth=1.2)
        made[0].axhline(0, color=PALE, linewidth=0.6)
    if made and last:
        made[0].set_xlabel("pixel")
    start = 0.5 * wide if made else 0.1 * wide
    course = page.add_axes((left + start, low, 0.94 * wide - start, high))
    seconds = -bin_s * np.arange(len(field))
    # A frame stays on for its bin: a step, not a slope.
    course.step(seconds, field[:, *peak[1:]], where="mid", color=LINE, linewidth=1.2)
    course.axhline(0, color=PALE, linewidth=0.6)
    # A common factor would be written over the axes, into the panel's words.
    course.yaxis.set_major_formatter("{x:.3g}")
    if last:
        course.set_xlabel("time before the bin, s")
    return [*made, course]


def _map(axes: Any, image: np.ndarray) -> None:
    most = float(np.abs(image).max()) or 1.0
    axes.imshow(image, cmap=COLOURMAP, vmin=-most, vmax=most, interpolation="nearest")


def _box(i: int, columns: int, size: tuple[float, float]) -> tuple[float, ...]:
    """Left, bottom, width and height of a panel, as parts of the page."""
    row, column = divmod(i, columns)
    left = 0.4 + WIDTH * column
    below = 0.42  # for what stands under the axes
    low = size[1] - 0.55 - HEIGHT * (row + 1) + below
    wide = WIDTH if columns > 1 else size[0] - 0.5
    return (
        left / size[0],
        low / size[1],
        wide / size[0],
        (HEIGHT - below - LABEL) / size[1],
    )


def _label(page: Any, box: tuple[float, ...], text: str) -> None:
    top = box[1] + box[3] + 0.06 / page.get_figheight()
    page.text(box[0], top, text, fontsize=8, color=INK, va="bottom")


def _plain(axes: Any) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(labelsize=7)
    axes.locator_params(nbins=4)
    axes.xaxis.label.set_size(8)
    axes.yaxis.label.set_size(8)


def _title(page: Any, size: tuple[float, float], title: str) -> None:
    top = 1 - 0.22 / size[1]
    page.text(0.4 / size[0], top, title, fontsize=11, fontweight="bold", va="center")
