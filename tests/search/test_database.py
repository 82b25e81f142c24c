"""Searches whose database is not there, goes away, or is another's as well."""

from __future__ import annotations

import shutil

import pytest

from retina.errors import BadCard, InUse, MissingExtra, Unreachable
from retina.search import experiment as experiments
from retina.search import running
from retina.search.database import JOURNAL, Asking, study_of
from retina.search.status import status
from retina.search.sweep import sweep

pytest.importorskip("optuna")

EXPLORED = """
[[families]]
model = "TINY"
[families.space]
pixel = { low = 0, high = 19 }
weight = { low = 0.01, high = 1.0, log = true }
[search]
method = "random"
trials = 4
at_once = 1
down = ["params"]
"""


@pytest.mark.parametrize(
    "kind", ["sqlite", pytest.param("journal", marks=pytest.mark.slow)]
)
def test_a_database_that_goes_away_takes_nothing_with_it(asked, tmp_path, kind):
    out, text = tmp_path / "runs", EXPLORED
    file = out / JOURNAL
    if kind == "sqlite":
        file = tmp_path / "study.db"
        text += f'storage = "sqlite:///{file}"\n'
    folder, told = asked(text), []

    def taking(event):
        told.append(event["state"])
        if told.count("done") == 2 and file.exists():
            shutil.move(file, tmp_path / "elsewhere")

    with pytest.raises(Unreachable, match="goes on") as error:
        sweep(folder, out, progress=taking)
    assert str(file) in str(error.value) and "\n" not in str(error.value)
    assert "readonly" in str(error.value) or "not where it was" in str(error.value)
    assert told.count("done") == 2 and not file.exists()
    now = status(out)
    assert (now.done, now.jobs, now.running) == (2, 4, ())

    shutil.move(tmp_path / "elsewhere", file)
    told.clear()
    swept = sweep(folder, out, progress=lambda event: told.append(event["state"]))
    # The second was done, but the database could not be told: now it is.
    assert swept.status == 0 and swept.skipped == 2 and told.count("started") == 2
    assert len(swept.points) == 4 and swept.searched[0].tried == 4
    runs = {path.parent.name for path in out.glob("*/record.json")}
    assert runs == {point.run for point in swept.points}, "none was fitted in vain"
    assert sweep(folder, out).searched == swept.searched


@pytest.mark.parametrize(
    ("storage", "error", "words"),
    [
        ("sqlite:////nowhere/study.db", Unreachable, "unable to open.*goes on"),
        ("postgresql://me:secret@host/x", MissingExtra, "postgresql://host/x needs"),
        ("nonsense", Unreachable, "Could not parse"),
        ("redis://host", BadCard, "search.storage: RedisStorage"),
    ],
)
def test_what_cannot_be_opened_is_one_line(asked, tmp_path, storage, error, words):
    text = EXPLORED + f'storage = "{storage}"\n'
    with pytest.raises(error, match=words) as told:
        sweep(asked(text), tmp_path / "runs")
    assert "\n" not in str(told.value) and "secret" not in str(told.value)


def test_a_journal_that_a_full_disk_cut_off_is_gone_on_with(asked, tmp_path):
    out = tmp_path / "runs"
    sweep(asked(EXPLORED.replace("trials = 4", "trials = 1")), out)
    journal = out / JOURNAL
    whole = journal.read_bytes()
    journal.write_bytes(whole + b'{"op_code":4,"wor')
    folder = asked(EXPLORED.replace("trials = 4", "trials = 2"))
    swept = sweep(folder, out)
    assert swept.skipped == 1 and len(swept.points) == 2
    assert sweep(folder, out).searched == swept.searched, "the second was kept as well"
    journal.write_bytes(b"{" + whole)
    with pytest.raises(Unreachable, match="goes on") as told:
        sweep(folder, out)
    assert "\n" not in str(told.value)


def test_what_was_under_way_when_a_search_was_killed_is_gone_on_with(asked, tmp_path):
    """Its checkpoint would lie there for ever, and another point take its place."""
    folder, out = asked(EXPLORED.replace("trials = 4", "trials = 2")), tmp_path / "runs"
    begun = []

    def impatient(event):
        if event["state"] == "fitting":
            begun.append(event["job"].name)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep(folder, out, progress=impatient)
    swept = sweep(folder, out)
    assert [point.run for point in swept.points][:1] == begun
    assert len(swept.points) == 2 and swept.searched[0].tried == 2
    assert not list(out.glob(".*.checkpoint"))
    again = sweep(folder, out)
    assert again.skipped == 2 and again.searched == swept.searched


def test_a_trial_that_has_not_said_whose_it_is_is_left_to_its_sweep(asked, tmp_path):
    """As another folder's, that has asked a shared database this moment."""
    url = f"sqlite:///{tmp_path}/study.db"
    folder = asked(EXPLORED.replace("trials = 4", f'trials = 1\nstorage = "{url}"'))
    experiment = experiments.read(folder)
    with study_of(experiment, "small", tmp_path) as study:
        trial = study.ask()
        swept = sweep(folder, tmp_path / "runs")
        assert len(swept.points) == 1
        assert study.trials[trial.number].state.name == "RUNNING"


def test_another_file_in_the_place_of_the_journal_is_not_written_into(tmp_path):
    file, asking = tmp_path / JOURNAL, Asking("", tmp_path)
    with asking:
        file.write_text("mine")
    with asking:
        pass
    file.rename(tmp_path / "elsewhere")
    file.write_text("another's")
    with pytest.raises(Unreachable, match="not where it was"), asking:
        raise AssertionError("not reached")


def test_two_searches_in_one_folder(asked, tmp_path, monkeypatch):
    monkeypatch.setattr(running, "SILENT_S", 0.0)
    folder = asked(EXPLORED.replace("trials = 4", "trials = 1"))
    out, second = tmp_path / "runs", []

    def again(event):
        if event["state"] == "started" and not second:
            second.append(True)
            with pytest.raises(InUse, match="at work in"):
                sweep(folder, out)

    swept = sweep(folder, out, progress=again)
    assert second and swept.status == 0 and len(swept.points) == 1


@pytest.mark.slow
def test_two_folders_may_share_a_database(asked, tmp_path):
    """Each tries as many as it may, and is not held to do what the other has done."""
    text = EXPLORED.replace("trials = 4", "trials = 2")
    folder = asked(text + f'storage = "sqlite:///{tmp_path}/study.db"\n')
    first = sweep(folder, tmp_path / "first")
    second = sweep(folder, tmp_path / "second")
    runs = [{point.run for point in swept.points} for swept in (first, second)]
    assert [len(one) for one in runs] == [2, 2] and not runs[0] & runs[1]
    again = sweep(folder, tmp_path / "first")
    assert again.skipped == 2 and again.searched == first.searched
