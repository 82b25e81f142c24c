"""A page with a figure: its colours, its lettering, and how it is written as a file."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from retina import atomic
from retina.errors import BadSetting, MissingExtra

# After Okabe and Ito, whose colours the colour-blind can tell apart too; the light ones
# are darkened, as names are written in them.
COLOURS = ("#D55E00", "#007C5A", "#0072B2", "#A8497F", "#9A6A00", "#5A5A5A", "#1C91C8")
INK, PALE, GOLD = "#333333", "#7a7a7a", "#7a6526"
STYLE: dict[Any, Any] = {
    "svg.hashsalt": "retina",  # else every run would write other identifiers
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


def check_ending(path: Path) -> str:
    """The kind of file that a path names. raises: BadSetting."""
    kind = path.suffix.removeprefix(".").lower()
    if kind not in ("svg", "png", "pdf"):
        raise BadSetting(f"{path.name}: a figure ends in .svg, .png or .pdf")
    return kind


def write(path: Path, size: tuple[float, float], draw: Callable[[Any], None]) -> Path:
    """A page that `draw` fills, in one style, written whole; no date, no version in it.

    size: width and height in inches.
    """
    kind = check_ending(path)
    try:
        import matplotlib
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtra("figures need matplotlib: pip install matplotlib") from error
    with matplotlib.rc_context(STYLE):
        canvas = FigureCanvasAgg(Figure(figsize=size, dpi=160))
        draw(canvas.figure)
        data = io.BytesIO()
        nothing = {"svg": {"Date": None}, "png": {"Software": None}}.get(
            kind, {"CreationDate": None}
        )
        canvas.figure.savefig(data, format=kind, metadata=nothing)
    drawn = data.getvalue()
    atomic.write_file(path.absolute(), _rounded(drawn) if kind == "svg" else drawn)
    return path


def _rounded(svg: bytes) -> bytes:
    """Outlines to a hundredth of a point: half of the file is digits beyond that."""

    def outline(found: re.Match[bytes]) -> bytes:
        return re.sub(rb"(\.\d\d)\d+", rb"\1", found[0])

    return re.sub(rb' d="[^"]*"', outline, svg)
