"""The figures of probes: what is drawn is what was found."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from retina.errors import BadSetting
from retina.reports import probe_figure as module
from retina.reports.probe_figure import attribution_figure, probe_figure

FRAMES = pytest.mark.parametrize("frame", [(), (7,), (5, 4)])


@pytest.fixture
def page(monkeypatch) -> list[Any]:
    """The pages drawn instead of written."""
    pages: list[Any] = []

    def keep(path, size, draw):
        canvas = FigureCanvasAgg(Figure(figsize=size, dpi=80))
        draw(canvas.figure)
        pages.append(canvas.figure)
        return path

    monkeypatch.setattr(module, "write", keep)
    return pages


def _fields(frame: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((4, 6, *frame))


@FRAMES
@pytest.mark.parametrize("ending", ["svg", "png", "pdf"])
def test_same_fields_same_bytes(tmp_path, frame, ending):
    made = [
        probe_figure(
            _fields(frame), tmp_path / f"{i}.{ending}", names="abcd", bin_s=0.01
        ).read_bytes()
        for i in range(2)
    ]
    assert made[0] == made[1] and len(made[0]) > 3000
    start = {"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF"}[ending]
    assert made[0].startswith(start)


def test_it_shows_the_peaks_frame_and_course_on_symmetric_colours(page):
    fields = _fields((5, 4))
    fields[1, 3, 4, 2] = -9.0
    probe_figure(fields, "f.svg", names="abcd", bin_s=0.01, unit="u", title="T")
    images = [axes for axes in page[0].axes if axes.images]
    courses = [axes for axes in page[0].axes if not axes.images]
    assert len(images) == len(courses) == 4
    shown = images[1].images[0]
    np.testing.assert_array_equal(shown.get_array(), fields[1, 3])
    assert shown.get_clim() == (-9.0, 9.0)
    x, y = courses[1].lines[0].get_data()
    np.testing.assert_allclose(x, -0.01 * np.arange(6))
    np.testing.assert_array_equal(y, fields[1, :, 4, 2])
    words = [text.get_text() for text in page[0].texts]
    assert "T" in words and "b\npeak -9 u, 0.03 s before" in words
    # Two columns: what has nothing below it names its axes.
    assert [axes.get_xlabel() for axes in images] == ["", "", "pixel", "pixel"]


def test_a_full_field_has_courses_alone_and_bars_a_line(page):
    probe_figure(_fields(()), "f.svg", names="abcd", bin_s=0.01)
    assert len(page[0].axes) == 4
    probe_figure(_fields((7,)), "f.svg", names="abcd", bin_s=0.01)
    assert len(page[1].axes) == 8 and not any(a.images for a in page[1].axes)
    assert len(page[1].axes[0].lines[0].get_xdata()) == 7


@pytest.mark.parametrize("cells", [1, 4, 25])
def test_nothing_lies_outside_the_page_or_on_another(page, cells):
    fields = np.ones((cells, 6, 5, 4))
    # As `retina probe` names the moments of a long clip, and its unit.
    name, unit = "running_38400_40000, 123.4 s", "counts per bin and unit"
    words: dict[str, Any] = {"bin_s": 1 / 30, "unit": unit, "title": "t" * 40}
    probe_figure(-1.23e-5 * fields, "f.svg", names=[name] * cells, **words)
    (drawn,) = page
    drawn.canvas.draw()
    boxes = [axes.get_tightbbox() for axes in drawn.axes]
    boxes += [text.get_window_extent() for text in drawn.texts]
    for i, box in enumerate(boxes):
        assert box.x0 >= 0 and box.y0 >= 0
        assert box.x1 <= drawn.bbox.x1 and box.y1 <= drawn.bbox.y1
        assert not any(box.overlaps(other) for other in boxes[:i])


@pytest.mark.parametrize("out", [(3, 2, 4), (1, 1, 4), (2, 4), (4,)])
def test_attributions_have_a_bar_per_channel(page, tmp_path, out):
    values = np.random.default_rng(0).standard_normal((2, *out[:-1], 8))
    attribution_figure(values, tmp_path / "a.svg", names=["x", "y"])
    bars = [axes for axes in page[0].axes if axes.patches]
    maps = [axes for axes in page[0].axes if axes.images]
    assert len(bars) == 2 and len(maps) == (2 if out == (3, 2, 4) else 0)
    heights = [patch.get_height() for patch in bars[1].patches]
    np.testing.assert_allclose(heights, values[1].reshape(-1, 8).sum(0))
    assert all(tick == round(tick) for tick in bars[1].get_xticks())
    if maps:
        shown = maps[1].images[0].get_array()
        np.testing.assert_allclose(shown, values[1].sum(-1))


def test_what_cannot_be_drawn_is_one_line(tmp_path):
    with pytest.raises(BadSetting, match=r"ends in \.svg"):
        probe_figure(_fields(()), tmp_path / "f.gif", names="abcd", bin_s=0.01)
    with pytest.raises(BadSetting, match="no moment to draw"):
        attribution_figure(np.zeros((0, 3)), tmp_path / "f.svg", names=())
    # A cell that never responds has no average: it is drawn as nothing.
    silent = np.full((1, 3), np.nan)
    probe_figure(silent, tmp_path / "s.svg", names="a", bin_s=0.01)
