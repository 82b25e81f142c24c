"""Areas are FLOPs, whatever the number of parts."""

from __future__ import annotations

import dataclasses

import pytest

from retina.errors import BadSetting
from retina.reports.treemap import squarified, treemap
from tests.reports.points import point


@pytest.mark.parametrize("sizes", [[7], [6, 6, 4, 3, 2, 2, 1], [1e5, 1, 1], [1] * 40])
@pytest.mark.parametrize("box", [(0.0, 0.0, 6.0, 4.0), (1.0, 2.0, 3.0, 9.0)])
def test_rectangles_fill_the_box_and_do_not_overlap(sizes, box):
    left, bottom, width, height = box
    found = squarified(sizes, box)
    for size, (_, _, w, h) in zip(sizes, found, strict=True):
        # float64; what is left of a side after 1e5 of it is taken has 11 digits.
        assert w * h == pytest.approx(width * height * size / sum(sizes), rel=1e-8)
    for i, (x, y, w, h) in enumerate(found):
        assert x >= left - 1e-8 and x + w <= left + width + 1e-8
        assert y >= bottom - 1e-8 and y + h <= bottom + height + 1e-8
        for a, b, c, d in found[:i]:
            apart = x + 1e-8 >= a + c or a + 1e-8 >= x + w
            assert apart or y + 1e-8 >= b + d or b + 1e-8 >= y + h


def test_the_published_example_keeps_its_squares():
    """Bruls et al. 2000, figure 3: 6 6 4 3 2 2 1 in 6 x 4; first row two of 3 x 2."""
    assert squarified([6, 6, 4, 3, 2, 2, 1], (0.0, 0.0, 6.0, 4.0))[:3] == [
        (0.0, 0.0, 3.0, 2.0),
        (0.0, 2.0, 3.0, 2.0),
        (3.0, 0.0, pytest.approx(12 / 7), pytest.approx(7 / 3)),
    ]


def priced(**parts):
    cost = point("ln", 0.5, 3e5).cost
    rows = {
        part: {"flops": flops, "total_ops": flops + 1} for part, flops in parts.items()
    }
    total = sum(parts.values())
    return dataclasses.replace(cost, by_part=rows, flops_per_bin=total)


def test_the_same_cost_gives_the_same_picture_with_its_parts(tmp_path):
    cost = priced(filter=900, output=100)
    first, again = (treemap(cost, tmp_path / name) for name in ("a.svg", "b.svg"))
    assert first.read_bytes() == again.read_bytes()
    text = first.read_text()
    assert "<!-- filter -->" in text and "<!-- 900, 90 % -->" in text


def test_a_table_of_look_ups_is_drawn_by_all_its_operations(tmp_path):
    text = treemap(priced(look_up=0), tmp_path / "a.svg").read_text()
    assert "operations of all kinds" in text


def test_nothing_to_draw_and_another_ending(tmp_path):
    nothing = dataclasses.replace(priced(), by_part={})
    with pytest.raises(BadSetting, match="nothing to draw"):
        treemap(nothing, tmp_path / "a.svg")
    with pytest.raises(BadSetting, match=r"\.svg, \.png or \.pdf"):
        treemap(priced(filter=1), tmp_path / "a.txt")
