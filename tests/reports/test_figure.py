"""The figure: deterministic, complete, and no name on another."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import matplotlib
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from retina.errors import BadSetting, UnwritableFolder
from retina.reports import figure as module
from retina.reports.figure import figure
from retina.reports.page import STYLE
from retina.search.frontier import frontier
from tests.reports.points import point

MANY = [
    point("mean", 0.0, 0, ci=0.0),
    point("ln", 0.655, 2.6e5, settings={"rank": 1}),
    point("ln", 0.664, 5.0e5, settings={"rank": 2}),
    point("ln", 0.640, 3.8e6, settings={"rank": None}),
    point("glm", 0.652, 2.9e5, settings={"coupling": False}),
    point("glm", 0.649, 4.1e5, settings={"coupling": True}),
    point("lnln", 0.79, 2.2e6, settings={"subunits": 4}),
    point("lnln", 0.83, 4.4e6, settings={"subunits": 8}),
    point("cnn", 0.86, 9e6, settings={"channels": 4}),
    point("cnn", 0.90, 2.2e7, settings={"channels": 8}),
    point("lnk", 0.70, 6e5),
]


def drawn(front) -> Any:
    with matplotlib.rc_context(STYLE):
        canvas = FigureCanvasAgg(Figure(figsize=(8.4, 5.6), dpi=160))
        module._draw(canvas.figure, front)
        canvas.draw()
    return canvas.figure


@pytest.mark.parametrize("ending", ["svg", "png", "pdf"])
def test_same_frontier_same_bytes(tmp_path, ending):
    files = [figure(frontier(MANY), tmp_path / f"{i}.{ending}") for i in (1, 2)]
    first = files[0].read_bytes()
    assert first == files[1].read_bytes()
    assert first.startswith(
        {"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF"}[ending]
    )


def test_every_point_reference_and_ceiling_is_named():
    words = {text.get_text() for text in drawn(frontier(MANY)).axes[0].texts}
    assert {"mean", "lnk", "ln rank=1", "ln rank=none", "cnn channels=8"} <= words
    assert "noise ceiling" in words
    for number in ("1 ", "10\N{EN DASH}100 ", "40 ", "100 ", "1000 "):
        assert any(word.startswith(number) for word in words), number


def test_what_must_not_be_published_says_so():
    secret = dataclasses.replace(
        MANY[1], score=dataclasses.replace(MANY[1].score, publish=False)
    )
    open_, closed = (
        " ".join(text.get_text() for text in drawn(frontier(points)).texts)
        for points in (MANY, [secret, *MANY[2:]])
    )
    assert "not for publication" in closed
    assert "not for publication" not in open_


@pytest.mark.parametrize("y", ["cc_norm", "bits_per_spike"])
@pytest.mark.parametrize("x", ["flops_per_synaptic_event", "flops_per_spike"])
def test_no_name_on_another_or_on_a_point(x, y):
    page = drawn(frontier(MANY, x, y))
    axes = page.axes[0]
    renderer = page.canvas.get_renderer()
    boxes = [(t.get_text(), t.get_window_extent(renderer)) for t in axes.texts]
    for (name, box), (other, second) in itertools.combinations(boxes, 2):
        assert not box.overlaps(second), f"{name} on {other}"
    dots = [
        axes.transData.transform((line.get_xdata()[0], line.get_ydata()[0]))
        for line in axes.lines
        if line.get_marker() == "o"
    ]
    assert len(dots) == len(MANY)
    for name, box in boxes:
        assert not any(box.contains(*dot) for dot in dots), name
        assert page.bbox.contains(box.x0, box.y0), name
        assert page.bbox.contains(box.x1, box.y1), name


def test_the_references_keep_apart_on_a_wide_axis():
    wide = (23.0, 44000.0)
    points = [point("ln", 0.5, 1e5, events=wide), point("cnn", 0.7, 1e8, events=wide)]
    page = drawn(frontier(points))
    renderer = page.canvas.get_renderer()
    boxes = [t.get_window_extent(renderer) for t in page.axes[0].texts]
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))


def test_frontier_points_are_filled_and_the_line_climbs_through_them():
    front = frontier(MANY)
    axes = drawn(front).axes[0]
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    filled = [line for line in dots if line.get_markerfacecolor() != "white"]
    assert len(filled) == sum(front.on) == 8
    steps = next(x for x in axes.lines if x.get_drawstyle() == "steps-post")
    assert list(steps.get_ydata()[:-1]) == [
        0,
        0.655,
        0.664,
        0.70,
        0.79,
        0.83,
        0.86,
        0.9,
    ]


def test_the_range_of_the_constant_is_its_own_bar():
    front = frontier([point("ln", 0.6, 4.8e5)])
    axes = drawn(front).axes[0]
    level = [
        line
        for line in axes.lines
        if len(line.get_xdata()) == 2
        and list(line.get_ydata()) == [0.6, 0.6]
        and line.get_alpha()
    ]
    # 40,000 FLOP/s per cell over 44,000 and 1,000 events per second.
    assert list(level[0].get_xdata()) == pytest.approx([40 / 44, 40.0])
    upright = [
        line
        for line in axes.lines
        if list(line.get_ydata()) == pytest.approx([0.57, 0.63])
    ]
    assert len(upright) == 1


def test_undefined_points_are_left_out_and_nothing_is_an_error():
    nan = float("nan")
    front = frontier([point("ln", 0.6, 1e5), point("odd", nan, 2e5, ci=0.0)])
    words = {text.get_text() for text in drawn(front).axes[0].texts}
    assert "ln" in words and "odd" not in words
    with pytest.raises(BadSetting, match="no point to draw"):
        figure(frontier([point("odd", nan, 2e5)]), "x.svg")


def test_another_ending_and_a_folder_that_cannot_be_written(tmp_path):
    front = frontier([point("ln", 0.6, 1e5)])
    with pytest.raises(BadSetting, match="ends in .svg, .png or .pdf"):
        figure(front, tmp_path / "figure.gif")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UnwritableFolder):
        figure(front, tmp_path / "file" / "figure.svg")


def test_of_a_crowd_the_frontier_is_named_and_the_colours_of_the_rest():
    models = [f"m{i}" for i in range(8)]  # one more than there are colours
    crowd = [
        point(model, 0.3 + 0.01 * n + 0.001 * i, 1e5 * (1 + n), settings={"width": n})
        for i, model in enumerate(models)
        for n in range(5)
    ]
    front = frontier(crowd)
    axes = drawn(front).axes[0]
    words = {text.get_text() for text in axes.texts}
    assert {f"m7 width={n}" for n in range(5)} == {w for w in words if "width" in w}
    key = {text.get_text(): text for text in axes.get_legend().get_texts()}
    looks = module._looks(crowd)
    assert {name: text.get_color() for name, text in key.items()} == {
        model: looks[model][0] for model in models
    }
    assert len(set(looks.values())) == len(models)
    dots = [line for line in axes.lines if line.get_marker() in module.MARKS]
    assert len([dot for dot in dots if len(dot.get_xdata())]) == len(crowd)
