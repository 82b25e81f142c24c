"""Every experiment says its question and can be run as it stands."""

from __future__ import annotations

import re

import pytest

from retina import registry, resources, settings
from retina.data import card
from retina.search import experiment, grid
from retina.search.budget import apart

EXPERIMENTS = pytest.mark.parametrize("name", registry.names("experiments"))


@EXPERIMENTS
def test_it_states_question_command_and_time(name: str):
    found = experiment.read(name)
    assert found.question.endswith("?")
    assert found.command == f"retina sweep {name}"
    assert re.fullmatch(r"(under )?\d+ (s|min|minutes|h)( on \d+ cores)?", found.time)


@EXPERIMENTS
def test_its_readme_asks_the_question_and_gives_the_command(name: str):
    readme = resources.path("experiments", name) / "README.md"
    text = readme.read_text(encoding="utf-8")
    assert "?" in text
    assert experiment.read(name).command in text


@EXPERIMENTS
def test_its_jobs_can_be_made_and_differ(name: str):
    jobs = grid.jobs(experiment.read(name))
    assert jobs
    assert len({job.name for job in jobs}) == len(jobs)
    assert len({(job.recording, job.label) for job in jobs}) == len(jobs)


@EXPERIMENTS
def test_what_it_expects_is_among_its_jobs(name: str):
    found = experiment.read(name)
    labels = {job.label for job in grid.jobs(found)}
    assert {expected.run for expected in found.expected} <= labels


@EXPERIMENTS
def test_its_recordings_may_be_published(name: str):
    for recording in experiment.read(name).recordings():
        dataset, _ = apart(recording)
        assert card.read(dataset).publish, f"{dataset}: results must not be shown"


def test_the_frontier_asks_every_model_but_those_that_a_reduction_makes():
    asked = {family.model for family in experiment.read("frontier").families}
    for name in registry.names("models"):
        made = "of" in settings.keywords(registry.find("models", name))
        assert made or name in asked, f"{name}: add a family to experiments/frontier"


def test_the_frontier_can_be_asked_of_all_cells_beside_the_selection():
    chosen = {job.dataset for job in grid.jobs(experiment.read("frontier"))}
    jobs = grid.jobs(experiment.read("frontier", "all_cells"))
    several = {name for name in chosen if card.read(name).default_cells != "all"}
    assert {job.dataset for job in jobs if job.cells == "all"} == several
    # By the budget of its recording, whichever cells of it are taken.
    board = [job for job in jobs if job.dataset == "gollisch_whitenoise_78rgc"]
    assert {job.max_steps for job in board} == {500} and len(board) == 11
