"""Tables say what they hold: medians, intervals, ranges, and what is not known."""

from __future__ import annotations

import dataclasses
import math

import pytest

from retina.reports.numbers import amount, interval, median
from retina.reports.table import table
from retina.search.frontier import frontier
from retina.types import Interval, Metric
from tests.reports.points import point


@pytest.mark.parametrize(
    "value, words",
    [
        (0, "0"),
        (0.0004, "0.0004"),
        (0.0123, "0.012"),
        (0.0999, "0.10"),
        (7.25, "7.2"),
        (99.96, "100"),
        (999.6, "1.0 k"),
        (1e6, "1.0 M"),
        (3.2e16, "32.0 P"),
        (math.nan, "undefined"),
        (None, "-"),
        (Interval(2.0, 2.0), "2.0"),
        (Interval(0.49, 21700), "0.49 - 21.7 k"),
    ],
)
def test_amounts(value, words):
    assert amount(value) == words


def test_undefined_medians_and_missing_intervals():
    nothing = Metric((math.nan,), math.nan, (math.nan, math.nan), 1)
    assert median(nothing) == "undefined" and interval(nothing) == ""


def test_points_stand_in_order_of_cost_with_interval_and_ranges():
    dear, cheap = point("cnn", 0.9, 2.2e7), point("ln", 0.6, 2.6e5)
    lines = table([dear, cheap]).splitlines()
    row = next(line for line in lines if "ln" in line.split())
    assert lines.index(row) < lines.index(next(x for x in lines if " cnn " in x))
    assert "0.600 [0.570, 0.630]" in row
    # 2.6e5 / 12 cells = 21.7 k; over 1000 to 44000 events: 0.49 to 21.7.
    assert "21.7 k" in row and "0.49 - 21.7" in row and row.endswith("*")


def test_a_frontier_marks_its_points():
    rows = table(frontier([point("ln", 0.6, 1e5), point("glm", 0.5, 2e5)]))
    marked = [line.split()[0] for line in rows.splitlines() if line.endswith("*")]
    assert marked == ["ln"]


def test_costs_that_are_not_known_are_dashes():
    rows = table([point("ln", 0.6, 1e5, events=None)])
    row = next(line for line in rows.splitlines() if " ln " in line)
    assert row.split().count("-") == 2
    assert "not statistics" not in rows


def test_recordings_do_not_share_a_block():
    one, other = point("ln", 0.6, 1e5), point("ln", 0.7, 1e5)
    moved = dataclasses.replace(
        other,
        dataset="other",
        score=dataclasses.replace(other.score, dataset="other"),
    )
    rows = table([one, moved])
    assert "simulated: 12 cells" in rows and "other: 12 cells" in rows


def test_score_cell_by_cell_and_its_other_groups_and_notes():
    score = point("ln", 0.6, 1e5).score
    running = dataclasses.replace(score, group="running", history="free_running")
    rows = table(dataclasses.replace(score, others=(running,), notes=("few repeats",)))
    assert "test group 'frozen'" in rows and "history free running" in rows
    assert rows.rstrip().endswith("few repeats")
    cells = [line for line in rows.splitlines() if line.split()[1:] == ["0.600"] * 2]
    assert len(cells) == 12


def test_a_score_names_its_cells():
    score = point("ln", 0.6, 1e5).score
    names = tuple(f"unit{7 * n}" for n in range(12))
    rows = table(dataclasses.replace(score, cell_names=names)).splitlines()
    told = [line.split()[0] for line in rows if line.split()[1:] == ["0.600"] * 2]
    assert told == list(names)


def test_no_name_is_taken_for_a_style():
    score = point("ln [b]", 0.6, 1e5).score
    names = tuple(f"[unit{n}]" for n in range(11)) + ("[/none]",)
    rows = table(dataclasses.replace(score, cell_names=names))
    assert all(name in rows for name in names) and "ln [b] on simulated" in rows


def test_what_is_counted_has_its_name():
    one = point("ln", 0.6, 1e5)
    told = dataclasses.replace(one.cost, event="quantum")
    assert "per quantum" in table([dataclasses.replace(one, cost=told)])
    assert "FLOPs per recorded quantum" in table(told)
    assert "recorded spike" in table(one.cost) and "spike" not in table(told)


def test_what_must_not_be_published_says_so():
    known = point("ln", 0.6, 1e5)
    secret = dataclasses.replace(
        known, score=dataclasses.replace(known.score, publish=False)
    )
    for shown in (secret, secret.score, [known, secret]):
        assert "NOT FOR PUBLICATION" in table(shown)
    for shown in (known, known.score):
        assert "NOT FOR PUBLICATION" not in table(shown)


def test_cost_names_every_figure_exactly():
    rows = table(point("ln", 0.6, 30 * 1234567.0).cost)
    assert "1,234,567" in rows and "not known" in rows
    assert "filter" in rows and "macs" in rows


def test_nothing_to_show():
    assert table([]) == "no points\n"
