"""The drawing of a circuit says what its declaration says."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import numpy as np

from retina.circuit.declaration import Circuit, Projection, without
from retina.circuit.diagram import FILLS, HEADS, WIDE, diagram
from retina.circuit.population import Population
from retina.circuit.standard import standard

SVG = "{http://www.w3.org/2000/svg}"


def _drawn(declared):
    return ElementTree.fromstring(diagram(declared))


def test_each_population_is_a_box_and_each_projection_a_line():
    declared = standard((8, 8), 3, 0.02, types=2, amacrines=2)
    root = _drawn(declared)
    boxes = [g for g in root.iter(f"{SVG}g") if g.get("class") == "population"]
    names = {box.findall(f"{SVG}text")[0].text for box in boxes}
    assert names == {p.name for p in declared.populations}
    lines = {
        g.findtext(f"{SVG}title"): g
        for g in root.iter(f"{SVG}g")
        if g.get("class") == "projection"
    }
    assert set(lines) == {p.name for p in declared.projections}
    for projection in declared.projections:
        path = lines[projection.name].find(f"{SVG}path")
        assert path is not None
        head = "add" if projection.sign > 0 else "take"
        assert path.get("marker-end") == f"url(#{head})"
        label = lines[projection.name].findtext(f"{SVG}text") or ""
        assert ("kinetic" in label) == (projection.rung is not None)
        assert ("delay 1" in label) == (projection.delay == 1)
    markers = {marker.get("id") for marker in root.iter(f"{SVG}marker")}
    assert markers == set(HEADS)


def test_all_of_it_is_on_the_paper_and_no_boxes_meet():
    root = _drawn(standard((8, 8), 3, 0.02, types=2, amacrines=2))
    left, top, width, height = map(float, (root.get("viewBox") or "").split())
    rects = [
        tuple(float(r.get(k) or 0) for k in ("x", "y", "width", "height"))
        for r in root.iter(f"{SVG}rect")
    ]
    for i, (x, y, w, h) in enumerate(rects):
        assert left <= x and x + w <= left + width
        assert top <= y and y + h <= top + height
        for x2, y2, *_ in rects[:i]:
            assert abs(x - x2) >= w or abs(y - y2) >= h, "two boxes overlap"
    for path in root.iter(f"{SVG}path"):
        if path.get("marker-end"):
            numbers = [float(n) for n in re.findall(r"-?\d+\.\d", path.get("d") or "")]
            assert min(numbers[::2]) >= left
            assert max(numbers[::2]) <= left + width


def test_cells_that_inhibit_themselves_or_their_neighbours_are_seen_to():
    """A loop that opens beside its box; two lines that part, from flank to flank."""
    cone, one, two, out = (Population(n, (2,)) for n in ("cone", "one", "two", "out"))
    forth = [("cone", "one"), ("cone", "two"), ("one", "out"), ("two", "out")]
    back = [("one", "one"), ("one", "two"), ("two", "one")]
    edges = [Projection(*ends) for ends in forth]
    edges += [Projection(*ends, sign=-1, delay=1) for ends in back]
    root = _drawn(Circuit((cone, one, two, out), tuple(edges)))
    left, lines = {}, {}
    for g in root.iter(f"{SVG}g"):
        for rect in g.iter(f"{SVG}rect"):
            left[g.findtext(f"{SVG}text")] = float(rect.get("x") or 0)
        for path in g.iter(f"{SVG}path"):
            found = re.findall(r"-?\d+\.\d", path.get("d") or "")
            points = np.reshape([float(n) for n in found], (4, 2))
            lines[g.findtext(f"{SVG}title")] = points
    loop = lines["one->one"]
    assert loop[:, 0].max() <= left["one"] and loop[1, 0] < left["one"] - 20
    assert np.ptp(loop[[0, 3], 1]) > 10
    there, again = lines["one->two"], lines["two->one"]
    np.testing.assert_allclose(there[[0, 3], 0], [left["one"] + WIDE, left["two"]])
    np.testing.assert_allclose(again[[3, 0]], there[[0, 3]])
    assert there[1, 1] < there[0, 1] < again[1, 1]


def test_the_same_circuit_gives_the_same_bytes():
    one, two = (standard((1, 1), 3, 0.02, types=2, amacrines=2) for _ in range(2))
    assert diagram(one) == diagram(two)
    assert diagram(without(one, "amacrine")) != diagram(two)
    assert len(FILLS) >= 5
