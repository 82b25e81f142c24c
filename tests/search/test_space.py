"""Spaces: every point where there is an end, and one line for what cannot be meant."""

from __future__ import annotations

import contextlib
import tomllib
from types import SimpleNamespace
from typing import Any, cast

import pytest

from retina import resources
from retina.errors import BadCard
from retina.search import experiment as experiments
from retina.search import explore as exploring
from retina.search import grid
from retina.search.failing import Failure
from retina.search.job import Job
from retina.search.places import Order
from retina.search.space import Range, points, size
from retina.search.sweep import sweep


@pytest.mark.parametrize(
    ("asked", "values"),
    [
        ({"low": 1, "high": 4}, (1, 2, 3, 4)),
        ({"low": 1, "high": 6, "step": 2}, (1, 3, 5)),
        ({"low": 0.1, "high": 0.7, "step": 0.2}, (0.1, 0.3, 0.5, 0.7)),
        ({"low": 0.0, "high": 1.0, "count": 3}, (0.0, 0.5, 1.0)),
        ({"low": 1, "high": 100, "count": 3, "log": True}, (1, 10, 100)),
        ({"low": 1, "high": 3, "count": 9}, (1, 2, 3)),
        ({"low": 0.0, "high": 1.0}, None),
    ],
)
def test_the_numbers_of_a_range(asked, values):
    found = Range(**asked).values()
    assert found == values
    assert [type(one) for one in found or ()] == [type(one) for one in values or ()]


def test_points_and_their_number():
    space = {"a": Range(low=1, high=3), "b": ["x", "y"]}
    found = list(points(space))
    assert len(found) == size(space) == 6
    assert found[:2] == [{"a": 1, "b": "x"}, {"a": 1, "b": "y"}]
    assert size({"a": Range(low=0.0, high=1.0), "b": [1]}) is None


FAMILY = '[[families]]\nmodel = "TINY"\nspace = { %s }\n'


@pytest.mark.parametrize(
    ("space", "more", "words"),
    [
        ("pixl = [1]", "", "did you mean 'pixel'"),
        ("pixel = { low = 1, hihg = 2 }", "", "unknown key .*hihg'.*'high'"),
        ("pixel = { low = 1 }", "", "high' is missing"),
        ("pixel = { low = 3, high = 2 }", "", "low 3 is not below high 2"),
        ("pixel = 3", "", "a list of values, or a range"),
        ("rank = { low = 0.5, high = 2.5, step = 1.0 }", "", "rank=0.5 of .*integer"),
        ("weight = { low = 0.0, high = 1.0 }", "", "continuous.*count"),
        ("pixel = { low = 0, high = 200 }", "", "201 points.*trials is 100"),
        ("pixel = [1]", "set = { pixel = 1 }", "'pixel' is in space and in set"),
        ("pixel = [1]", '[search]\nmethod = "nsga"', "search.method"),
        ("pixel = [1]", "[search]\ntrails = 3", "unknown key.*'trials'"),
        ("pixel = [1]", '[search]\ndown = ["flop"]', "search.down: no cost 'flop'"),
    ],
)
def test_a_mistake_gives_one_line(asked, space, more, words):
    with pytest.raises(BadCard, match=words) as told:
        family = FAMILY.replace("TINY", "ln") if "rank" in space else FAMILY
        grid.jobs(experiments.read(asked(family % space + more)))
    assert "\n" not in str(told.value)


def test_a_grid_that_is_whole_says_so(asked, tmp_path):
    folder = asked(
        FAMILY % "pixel = { low = 8, high = 9 }" + '[[families]]\nmodel = "mean"'
    )
    swept = sweep(folder, tmp_path / "runs")
    assert len(swept.points) == 3 and swept.status == 0
    (one,) = swept.searched
    assert (one.points, one.tried, one.failed, one.budget) == (2, 2, 0, 100)
    assert one.sentence == "small: all 2 points of the space were tried"
    assert len(one.curve) == 2
    assert sweep(folder, tmp_path / "runs").searched == swept.searched


EXPLORED = """
[[families]]
model = "TINY"
[families.space]
pixel = { low = 0, high = 19 }
weight = { low = 0.01, high = 1.0, log = true }
[search]
method = "%s"
trials = 5
down = ["flops_per_bin", "params"]
"""


@pytest.mark.parametrize(
    "method",
    [
        "random",
        *(pytest.param(m, marks=pytest.mark.slow) for m in ("nsga2", "nsga3", "tpe")),
    ],
)
def test_a_search_goes_on_where_it_was(asked, tmp_path, method):
    pytest.importorskip("optuna")
    out, folder, seen = tmp_path / "runs", asked(EXPLORED % method), []

    def impatient(event):
        seen.append(event["state"])
        if seen.count("done") == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep(folder, out, progress=impatient)
    swept = sweep(folder, out)
    # The third was done, but optuna had not been told: now it is.
    assert swept.status == 0 and len(swept.points) == 5 and swept.skipped == 3
    (one,) = swept.searched
    assert one.points is None and one.tried == len(one.curve) == 5
    assert "tried 5 of a continuous space" in one.sentence
    assert swept.labels[swept.points[0].run].startswith("tiny pixel=")
    again = sweep(folder, out)
    assert again.skipped == 5 and again.searched == swept.searched


def test_a_search_whose_every_try_fails_ends(asked, tmp_path):
    pytest.importorskip("optuna")
    text = (EXPLORED % "random").replace("pixel = {", 'breaks = ["value"]\npixel = {')
    swept = sweep(asked(text), tmp_path / "runs")
    assert swept.status == 1 and not swept.points and len(swept.failures) == 5


def test_a_job_that_is_on_its_way_is_not_asked_for_again(monkeypatch, tmp_path):
    """Its run was removed, and optuna proposes the same settings twice more."""
    job = Job("one", "small", "tiny", {}, {}, ())
    handed, told = [], []

    class Study:
        def ask(self):
            return SimpleNamespace(set_user_attr=lambda *_: None)

        def tell(self, trial, **_):
            told.append(trial)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

    def at_once(jobs, *_, **__):
        handed.extend(jobs)
        for one in handed:
            yield one, Failure(one, "error", "")

    monkeypatch.setattr(exploring.grid, "searched_in", lambda *_: [(None, None)])
    monkeypatch.setattr(exploring, "optuna", lambda: None)
    monkeypatch.setattr(exploring, "Asking", lambda *_: contextlib.nullcontext())
    monkeypatch.setattr(exploring, "study_of", lambda *_: Study())
    monkeypatch.setattr(exploring, "state", str)
    monkeypatch.setattr(exploring, "_before", lambda *_: [job])
    monkeypatch.setattr(exploring, "_job", lambda *_: job)
    monkeypatch.setattr(exploring, "execute", at_once)
    search = SimpleNamespace(storage="", trials=3, at_once=None)
    order, asked = Order(tmp_path, "sweep"), cast(Any, SimpleNamespace(search=search))
    list(exploring.explore(asked, "small", order, "threads", lambda *_: None))
    assert handed == [job] and len(told) == 2


def test_a_private_experiment_needs_no_words(asked):
    """Those of the project state all three; what is missing is told at once."""
    own = experiments.read(
        asked('[[families]]\nmodel = "mean"', 'datasets = ["small"]\n')
    )
    assert own.question == "asked" and own.command == ""
    with pytest.raises(BadCard, match="keys 'datasets', 'families' are missing"):
        experiments.read(asked("", "seeds = 2\n"))
    for name in resources.names("experiments"):
        file = resources.path("experiments", name) / "experiment.toml"
        stated = tomllib.loads(file.read_text(encoding="utf-8"))
        assert {"question", "command", "time"} <= set(stated), name
