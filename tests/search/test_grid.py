"""From experiment.toml to jobs: the grid, the names, and every typing error."""

from __future__ import annotations

import dataclasses

import pytest

from retina.errors import BadCard, UnknownName
from retina.search import experiment as experiments
from retina.search import grid
from retina.search.job import Job
from tests.search.conftest import HEAD


def jobs(folder):
    return grid.jobs(experiments.read(folder))


def test_every_combination_with_every_default(asked):
    folder = asked("""
[[families]]
model = "TINY"
set = { weight = 0.2 }
grid = { pixel = [1, 2], wide = [[3, 4], "None"] }
seeds = 2
fit = { max_steps = 5 }
[[families]]
model = "mean"
""")
    found = jobs(folder)
    assert [job.label for job in found] == [
        "tiny weight=0.2 pixel=1 wide=3,4",
        "tiny weight=0.2 pixel=1 wide=none",
        "tiny weight=0.2 pixel=2 wide=3,4",
        "tiny weight=0.2 pixel=2 wide=none",
        "mean",
    ]
    assert found[0].settings == {
        "pixel": 1,
        "weight": 0.2,
        "breaks": "",
        "wide": (3, 4),
        "pause_s": 0.0,
    }
    assert found[1].settings["wide"] is None
    assert (found[0].seeds, found[4].seeds) == (2, 1)
    assert found[0].fit == {"max_steps": 5}
    assert len({job.name for job in found}) == 5
    assert all("/" not in job.name for job in found)


def test_the_name_follows_everything_that_decides_the_result_but_not_the_label():
    job = Job("ln", "d", "ln", {"rank": 1}, {}, ("cc_norm",))
    changes = [
        {"dataset": "e"},
        {"model": "glm"},
        {"settings": {"rank": 2}},
        {"fit": {"batch": 2}},
        {"metrics": ()},
        {"cells": "all"},
        {"bin_s": 0.01},
        {"seeds": 2},
        {"key": 1},
        {"spikes_of": "ln-0123456789"},
        {"parent": "ln-0123456789"},
        {"method": "taps"},
        {"start": True},
        {"max_steps": 9},
    ]
    # But for the label, where a parent lies (what it is stands in its name), and what
    # may be refused.
    assert len(changes) == len(dataclasses.fields(Job)) - 3
    names = {dataclasses.replace(job, **change).name for change in changes}
    assert len(names) == len(changes) and job.name not in names
    for nothing in ({"label": "other"}, {"where_possible": True}):
        assert dataclasses.replace(job, **nothing).name == job.name
    one, other = {"rank": 1, "lags": 9}, {"lags": 9, "rank": 1}
    assert (
        Job("", "d", "ln", one, {}, ()).name == Job("", "d", "ln", other, {}, ()).name
    )


def test_a_file_that_was_edited_makes_another_job(tmp_path, monkeypatch):
    """A metric's or a student's; those of the package change no name."""
    names: list[set[str]] = []
    for number in (1, 2):
        place = tmp_path / str(number)
        place.mkdir()
        monkeypatch.chdir(place)
        (place / "mine.py").write_text(f"def mine(*given): return {number}")
        taught = Job("", "d", "cnn", {"student": "mine.py"}, {}, (), method="distil")
        scored = Job("", "d", "ln", {}, {}, ("mine.py", "cc_norm"))
        names.append({taught.name, scored.name})
    assert not names[0] & names[1]


@pytest.mark.parametrize(
    "text, words",
    [
        ('[[families]]\nmodle = "ln"', "unknown key 'families.0.modle'.*'model'"),
        ("[[families]]\nset = {}", "families.0: state a model"),
        ('[[families]]\nmodel = "lnn"', "no model 'lnn'.*did you mean .*'ln'"),
        ('[[families]]\nmodel = "TINY"\nset = {wieght = 1}', "did you mean 'weight'"),
        ('[[families]]\nmodel = "TINY"\ngrid = {pixl = [1]}', "did you mean 'pixel'"),
        ('[[families]]\nmodel = "TINY"\ngrid = {pixel = 1}', "families.0.grid.pixel"),
        ('[[families]]\nmodel = "TINY"\nfit = {bach = 2}', "did you mean 'batch'"),
        ('[[families]]\nmodel = "ln"\nset = {rank = 1.5}', "rank=1.5 of ln: .*integer"),
        ('[[families]]\nmodel = "ln"\ngrid = {lags = ["9"]}', "lags='9' of ln"),
        (
            '[[families]]\nmodel = "cnn"\nset = {sizes = [3, 3, 3]}',
            r"sizes=\(3, 3, 3\) of cnn",
        ),
        ('[[families]]\nmodel = "ln"\nfit = {batch = 2.5}', "batch=2.5 of the fit"),
        ('[[families]]\nmodel = "TINY"\nseeds = 0', "families.0.seeds.*greater"),
        ('[[families]]\nmodel = "mean"\n[[families]]\nmodel = "mean"', "'mean' twice"),
        ("families = []", "families.*at least 1"),
        ('[[families]\nmodel = "ln"', "is not TOML"),
        ('key = 4294967296\n[[families]]\nmodel = "mean"', "key: .* less than"),
        ('y = "feve"\n[[families]]\nmodel = "mean"', "y = 'feve' is not among"),
        ('qestion = "x"\n[[families]]\nmodel = "mean"', "did you mean 'question'"),
        (
            '[[families]]\nmodel = "mean"\n[[expected]]\nrun = "mean"\nwhat = "feve"'
            "\nlow = 0\nhihg = 1",
            "unknown key 'expected.0.hihg'.*'high'",
        ),
    ],
)
def test_a_mistake_gives_one_line_that_says_where(asked, text, words):
    with pytest.raises(BadCard, match=words) as caught:
        jobs(asked(text))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "old, new, words",
    [
        ('"small"', '"smal"', "did you mean 'small'"),
        ('"bits_per_spike"', '"bits_per_spikes"', "did you mean 'bits_per_spike'"),
    ],
)
def test_names_are_looked_up_before_anything_runs(asked, old, new, words):
    folder = asked('[[families]]\nmodel = "mean"', HEAD.replace(old, new))
    with pytest.raises(BadCard, match=words):
        jobs(folder)


def test_an_experiment_that_does_not_exist():
    with pytest.raises(UnknownName, match="did you mean 'quickstart'"):
        experiments.read("quickstrt")


def test_quickstart_has_at_least_eight_points_from_six_models():
    found = jobs("quickstart")
    assert len(found) >= 8
    assert {job.model for job in found} == {"mean", "ln", "glm", "lnln", "cnn", "lnk"}
