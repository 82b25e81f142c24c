"""One page on a recording: what `check` found, and a portrait of each cell."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from retina import atomic
from retina.data.finding import Finding
from retina.data.load import load
from retina.data.quality.ceiling import ceilings
from retina.data.quality.drift import rates
from retina.data.quality.fields import Field, field
from retina.data.quality.shift import Averages, averages
from retina.data.split import split
from retina.errors import BadSetting, MissingExtra, RetinaError
from retina.reports.page import INK, PALE, STYLE
from retina.types import Clip, Split

Progress = Callable[[int, int], None]
RASTER_S = 5.0
WINDOWS = 60  # of the training part, for the rate over time
LEVELS = {
    "wrong": ("to be put right", "#b3261e"),
    "note": ("worth knowing", "#8a5a00"),
    "ok": ("as it should be", "#1e6b3a"),
}
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body {{ font: 15px/1.5 sans-serif; color: #222; margin: 2em auto; max-width: 60em; }}
td {{ padding: .15em .8em .15em 0; vertical-align: top; }}
img {{ max-width: 100%; }} h2 {{ margin-top: 1.6em; }}
</style></head><body>
<h1>{title}</h1>
<p>{words}</p>
<h2>Findings</h2>
<table>{findings}</table>
{cells}
</body></html>
"""


def check_page(
    name: str | Path,
    findings: Sequence[Finding],
    path: str | Path,
    *,
    cells: str | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write the page as one HTML file that needs nothing else.

    name:     a data set, or the path of a card; its default cells are drawn.
    findings: from `retina.data.check.check`. Where the files cannot be read they are
              all there is.
    path:     ends in .html; it is replaced whole.
    cells:    as for `retina.load`, in place of the default.
    progress: called with (cells drawn, cells in all).
    returns:  the path.
    raises:   BadSetting for another ending; MissingExtra; UnwritableFolder.

    >>> check_page("simulated", [], "page.pdf")
    Traceback (most recent call last):
    retina.errors.BadSetting: page.pdf: a page ends in .html
    """
    path = Path(path)
    if path.suffix.lower() not in (".html", ".htm"):
        raise BadSetting(f"{path.name}: a page ends in .html")
    try:
        made = split(load(name, cells=cells))
        portraits = _cells(made, progress)
        words = (
            f"{len(made.cells)} cells, bins of {made.spec.bin_s:.4g} s, "
            f"{made.rate_hz:.3g} {made.spec.event}s/s per cell"
        )
    except RetinaError as error:
        if isinstance(error, MissingExtra):
            raise
        portraits, words = "", str(error)
    filled = PAGE.format(
        title=html.escape(Path(name).stem),
        words=html.escape(words),
        findings="\n".join(_row(finding) for finding in findings),
        cells=portraits,
    )
    atomic.write_file(path.absolute(), filled.encode())
    return path


def _row(finding: Finding) -> str:
    words, colour = LEVELS[finding.level]
    return (
        f'<tr><td style="color:{colour}" title="{words}">{finding.level}</td>'
        f"<td>{html.escape(finding.about)}</td><td>{html.escape(finding.text)}</td></tr>"
    )


def _cells(made: Split, progress: Progress | None) -> str:
    found, over_time = averages(made), rates(made, WINDOWS)
    reached = ceilings(made)
    repeated = next((c for c in made.test if c.response.shape[0] > 1), None)
    parts = [
        "<h2>Cells</h2><p>From the left: the average stimulus before an event, at the "
        "lag of its peak (circle: one s.d. of its Gaussian), and over time at its "
        "peak; the repeats, each a row, with their mean rate; the rate over the "
        "training part.</p>"
    ]
    for cell, known in enumerate(made.cells):
        place = None
        if len(made.spec.frame) == 2 and min(made.spec.frame) > 2:
            place = field(found.past[:, cell], made.spec.pixel_um)
        drawn = _portrait(made, found, place, repeated, over_time[:, cell], cell)
        about = [f"cell {known.name}", known.type]
        if place is not None:
            about.append(
                f"field at row {place.centre[0]:.1f}, column {place.centre[1]:.1f}, "
                f"s.d. {place.sd[0]:.1f} and {place.sd[1]:.1f} pixels"
            )
            if place.sd_um is not None:
                about.append(f"{place.sd_um[0]:.4g} and {place.sd_um[1]:.4g} um")
        about += [
            f"CC_max {ceiling[cell]:.3f} ({group})"
            for group, ceiling in reached.items()
        ]
        said = html.escape(", ".join(word for word in about if word))
        parts.append(
            f'<p>{said}<br><img alt="portrait of cell {html.escape(known.name)}" '
            f'src="data:image/png;base64,{drawn}"></p>'
        )
        if progress is not None:
            progress(cell + 1, len(made.cells))
    return "\n".join(parts)


def _portrait(
    made: Split,
    found: Averages,
    place: Field | None,
    repeated: Clip | None,
    over_time: np.ndarray,
    cell: int,
) -> str:
    """PNG in base64."""
    try:
        import matplotlib
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtra("pages need matplotlib: pip install matplotlib") from error

    with matplotlib.rc_context(STYLE):
        canvas = FigureCanvasAgg(Figure(figsize=(9.5, 1.9), dpi=110))
        page = canvas.figure
        average = np.nan_to_num(found.past[:, cell])
        lag, *pixel = np.unravel_index(np.abs(average).argmax(), average.shape)
        if average.ndim == 3:
            _space(page.add_axes((0.01, 0.2, 0.15, 0.75)), average[lag], place)
        _time(page.add_axes((0.22, 0.26, 0.16, 0.68)), average, pixel, made)
        if repeated is not None:
            box = (0.45, 0.26, 0.3, 0.68)
            _raster(page.add_axes(box), repeated, cell, made.spec.bin_s)
        _rate(page.add_axes((0.83, 0.26, 0.16, 0.68)), over_time, made)
        for axes in page.axes:
            axes.tick_params(labelsize=7)
            axes.xaxis.label.set_fontsize(7)
            axes.yaxis.label.set_fontsize(7)
        data = io.BytesIO()
        page.savefig(data, format="png", metadata={"Software": None})
    return base64.b64encode(data.getvalue()).decode()


def _space(axes: Any, profile: np.ndarray, place: Field | None) -> None:
    from matplotlib.patches import Ellipse

    most = float(np.abs(profile).max()) or 1.0
    axes.imshow(profile, cmap="RdBu_r", vmin=-most, vmax=most, interpolation="nearest")
    axes.set_axis_off()
    if place is not None:
        row, column = place.centre
        size = 2 * place.sd[0], 2 * place.sd[1]
        turned = np.degrees(place.angle)
        circle = Ellipse((column, row), *size, angle=turned, fill=False, edgecolor=INK)
        axes.add_patch(circle)


def _time(axes: Any, average: np.ndarray, pixel: list[Any], made: Split) -> None:
    course = average[(slice(None), *pixel)]
    axes.plot(-np.arange(len(course)) * made.spec.bin_s, course, color=INK, lw=1.0)
    axes.axhline(0, color=PALE, lw=0.5)
    axes.set_xlabel("s before the event")


def _raster(axes: Any, clip: Clip, cell: int, bin_s: float) -> None:
    bins = min(clip.bins, max(1, round(RASTER_S / bin_s)))
    counts = clip.response[:, clip.skip : clip.skip + bins, cell]
    trials = len(counts)
    trial, at = np.nonzero(counts)
    axes.scatter(at * bin_s, trial, s=1.2, color=INK, linewidths=0)
    mean = counts.mean(0)
    high = float(mean.max()) or 1.0
    # The mean rate stands above the rows, a third as high as they are.
    axes.plot(np.arange(bins) * bin_s, trials * (1.05 + mean / high / 3), lw=0.8)
    axes.set_yticks([0, trials * 1.05, trials * 1.385])
    axes.set_yticklabels(["1", f"{trials}", f"{high / bin_s:.0f} Hz"])
    axes.set_ylim(-1, trials * 1.42)
    axes.set_xlabel("s of the repeats")


def _rate(axes: Any, over_time: np.ndarray, made: Split) -> None:
    minutes = sum(clip.bins for clip in made.train) * made.spec.bin_s / 60
    at = (np.arange(len(over_time)) + 0.5) * minutes / len(over_time)
    axes.plot(at, over_time, color=INK, lw=0.9)
    axes.set_ylim(0, None)
    axes.set_xlabel("min of training")
    axes.set_ylabel(f"{made.spec.event}s/s")
