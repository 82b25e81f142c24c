"""A circuit drawn: populations in layers, excitation as arrows, inhibition as bars.

Light comes from above. What is heard with a delay curves back along the sides. The same
declaration gives the same bytes.
"""

from __future__ import annotations

from html import escape

from retina.circuit.circuit import rung_name
from retina.circuit.declaration import Circuit, Projection

WIDE, HIGH = 124.0, 46.0
ACROSS, DOWN, MARGIN = 180.0, 112.0, 40.0
BULGE = 62.0  # how far a curve leaves the column of what it passes
# After Okabe and Ito, whose colours the colour-blind can tell apart too.
EXCITE, INHIBIT, INK, PALE = "#007C5A", "#D55E00", "#333333", "#7a7a7a"
FILLS = ("#FFF4D6", "#E3F1FA", "#E4F4EC", "#F8E9F2", "#FDEBDD", "#F0F0F0")
HEADS = {
    "add": '<path d="M0,1 L8,5 L0,9 Z" fill="{colour}"/>',
    "take": '<path d="M7,0 L7,10" stroke="{colour}" stroke-width="2.4"/>',
    "divide": '<circle cx="5" cy="5" r="3.4" fill="white" stroke="{colour}" '
    'stroke-width="1.8"/>',
}
Point = tuple[float, float]


def diagram(declared: Circuit, title: str = "") -> str:
    """An SVG drawing of a declaration, as text.

    title:   what a reader of screens hears, and a browser shows; the populations' names
             by default.
    returns: boxes with name, number of cells and, where they have one, grid; a line for
             each projection: an arrow adds, a bar takes away, a ring divides, with the
             rung's name, and the steps of its delay.

    >>> from retina.circuit.population import Population
    >>> a, b = Population("cone", (4,)), Population("ganglion", (4,))
    >>> svg = diagram(Circuit((a, b), (Projection("cone", "ganglion"),)))
    >>> svg.count("<rect"), svg.count('class="projection"')
    (2, 1)
    """
    depth = _depths(declared)
    at = _places(declared, depth)
    lines = [_projection(declared, p, at, depth) for p in declared.projections]
    boxes = [_box(declared, name, at, depth) for name in at]
    beyond = 2 * BULGE
    left = min(x for x, _ in at.values()) - WIDE / 2 - beyond
    right = max(x for x, _ in at.values()) + WIDE / 2 + beyond
    low = max(y for _, y in at.values()) + HIGH / 2 + MARGIN
    title = title or " to ".join(declared.order)
    markers = [
        f'<marker id="{name}" viewBox="0 0 10 10" refX="{8 if name == "add" else 7}" '
        'refY="5" markerWidth="9" markerHeight="9" markerUnits="userSpaceOnUse" '
        f'orient="auto">{head.format(colour=EXCITE if name == "add" else INHIBIT)}'
        "</marker>"
        for name, head in HEADS.items()
    ]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="'
            f'{right - left:.0f}" height="{low:.0f}" viewBox="{left:.1f} 0 '
            f'{right - left:.1f} {low:.1f}" font-family="DejaVu Sans, Helvetica, '
            'sans-serif" font-size="12">',
            f"<title>{escape(title)}</title>",
            f"<defs>{''.join(markers)}</defs>",
            f'<path d="M{left:.1f},0 H{right:.1f} V{low:.1f} H{left:.1f} Z" '
            'fill="white"/>',
            *lines,
            *boxes,
            "</svg>",
            "",
        ]
    )


def _depths(declared: Circuit) -> dict[str, int]:
    """Layers: each below all that it hears without delay."""
    depth: dict[str, int] = {}
    for name in declared.order:
        above = [
            depth[p.source]
            for p in declared.projections
            if p.target == name and p.delay == 0
        ]
        depth[name] = max(above, default=-1) + 1
    return depth


def _places(declared: Circuit, depth: dict[str, int]) -> dict[str, Point]:
    """The middle of each box."""
    at = {}
    for layer in range(max(depth.values()) + 1):
        row = [p.name for p in declared.populations if depth[p.name] == layer]
        for i, name in enumerate(row):
            x = (i - (len(row) - 1) / 2) * ACROSS
            at[name] = (x, MARGIN + HIGH / 2 + layer * DOWN)
    return at


def _box(declared: Circuit, name: str, at: dict[str, Point], depth) -> str:
    x, y = at[name]
    population = declared[name]
    size = " × ".join(map(str, population.shape))
    fill = FILLS[depth[name] % len(FILLS)]
    return (
        f'<g class="population"><rect x="{x - WIDE / 2:.1f}" y="{y - HIGH / 2:.1f}" '
        f'width="{WIDE:.1f}" height="{HIGH:.1f}" rx="9" fill="{fill}" stroke="{INK}" '
        f'stroke-width="1.2"/><text x="{x:.1f}" y="{y - 2:.1f}" text-anchor="middle" '
        f'font-weight="bold" fill="{INK}">{escape(name)}</text><text x="{x:.1f}" '
        f'y="{y + 14:.1f}" text-anchor="middle" font-size="10" fill="{PALE}">'
        f"{size}</text></g>"
    )


def _projection(
    declared: Circuit, edge: Projection, at: dict[str, Point], depth: dict[str, int]
) -> str:
    curve = _curve(declared, edge, at, depth)
    if edge.effect == "divide":
        head, colour = "divide", INHIBIT
    else:
        head, colour = ("add", EXCITE) if edge.sign > 0 else ("take", INHIBIT)
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = curve
    dash = ' stroke-dasharray="5 3"' if edge.delay else ""
    words = [] if edge.rung is None else [rung_name(declared, edge)]
    if edge.delay:
        words.append(f"delay {edge.delay}")
    # Near the source, where lines from one box have parted and none has met another.
    t = 0.4
    weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3)
    x, y = (
        sum(w * p[i] for w, p in zip(weights, curve, strict=True)) for i in range(2)
    )
    label = ""
    if words:
        label = (
            f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="middle" font-size="9.5" '
            f'fill="{colour}" stroke="white" stroke-width="3" paint-order="stroke">'
            f"{escape(', '.join(words))}</text>"
        )
    return (
        f'<g class="projection"><title>{escape(edge.name)}</title><path d="M{x0:.1f},'
        f'{y0:.1f} C{x1:.1f},{y1:.1f} {x2:.1f},{y2:.1f} {x3:.1f},{y3:.1f}" '
        f'fill="none" stroke="{colour}" stroke-width="1.8"{dash} '
        f'marker-end="url(#{head})"/>{label}</g>'
    )


def _curve(
    declared: Circuit, edge: Projection, at: dict[str, Point], depth: dict[str, int]
) -> tuple[Point, Point, Point, Point]:
    """Four points of a Bezier curve."""
    (xs, ys), (xt, yt) = at[edge.source], at[edge.target]
    down = depth[edge.target] - depth[edge.source]
    # The side on which it keeps clear: the source's own, or the target's.
    lean = xs if abs(xs) >= abs(xt) else xt
    side = -1.0 if lean < 0 or (lean == 0 and edge.delay) else 1.0
    if edge.source == edge.target:
        # Out of the upper half of the flank, and back into the lower.
        out = xs + side * (WIDE / 2 + BULGE)
        flank, rise = xs + side * WIDE / 2, HIGH / 4
        upper, lower = (flank, ys - rise), (flank, ys + rise)
        return upper, (out, ys - 3 * rise), (out, ys + 3 * rise), lower
    if down == 0:
        # Between neighbours, one way above the middle and the other below.
        to = 1.0 if xt > xs else -1.0
        y = ys - to * HIGH
        start, end = (xs + to * WIDE / 2, ys), (xt - to * WIDE / 2, yt)
        return start, (start[0], y), (end[0], y), end
    if edge.delay or down < 0:
        # From flank to flank, around whatever stands between.
        out = side * BULGE * (1.2 + 0.3 * abs(down))
        start = (xs + side * WIDE / 2, ys)
        end = (xt + side * WIDE / 2, yt)
        far = max(side * start[0], side * end[0]) * side + out
        return start, (far, ys), (far, yt), end
    start = (xs + _along(declared, edge, at, depth, "source"), ys + HIGH / 2)
    end = (xt + _along(declared, edge, at, depth, "target"), yt - HIGH / 2)
    half = (end[1] - start[1]) / 2
    if down == 1:
        return start, (start[0], start[1] + half), (end[0], end[1] - half), end
    out = 0.0 if lean == 0 and not _between(at, edge) else side * 1.6 * BULGE
    first, second = (start[0] + out, ys + half), (end[0] + out, yt - half)
    return start, first, second, end


def _between(at: dict[str, Point], edge: Projection) -> bool:
    """Whether a box stands in the column between the two ends."""
    (xs, ys), (_, yt) = at[edge.source], at[edge.target]
    return any(abs(x - xs) < WIDE and ys < y < yt for x, y in at.values())


def _along(
    declared: Circuit,
    edge: Projection,
    at: dict[str, Point],
    depth: dict[str, int],
    end: str,
) -> float:
    """How far from the box's middle a line starts or ends: side by side, in order."""
    other = "target" if end == "source" else "source"
    lines = [
        p
        for p in declared.projections
        if getattr(p, end) == getattr(edge, end)
        and not p.delay
        and depth[p.target] > depth[p.source]
    ]
    outer = (at[getattr(edge, end)][0] > 0) - (at[getattr(edge, end)][0] < 0)

    def across(p: Projection) -> tuple[float, str]:
        # Of two from one column the longer curves further out.
        span = depth[p.target] - depth[p.source]
        return at[getattr(p, other)][0] + 0.1 * outer * span, p.name

    lines.sort(key=across)
    place = [p.name for p in lines].index(edge.name) - (len(lines) - 1) / 2
    return place * min(26.0, 0.8 * WIDE / max(len(lines), 1))
