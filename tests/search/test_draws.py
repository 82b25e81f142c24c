"""What lies beside runs is of the fit and of the card that it was made by."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from retina import build, store
from retina.data import card as cards
from retina.data import identity
from retina.errors import BadSetting
from retina.metrics.resample import Draws
from retina.search import draws, experiment, failing, grid, places, records, work
from retina.search.job import Job


def test_draws_of_an_earlier_fit_go_when_the_job_is_done_anew(tmp_path, monkeypatch):
    """As after the card was edited: the store keeps files that are not its own."""
    nothing: Any = (None, None)
    job = Job("one", "small", "tiny", {}, {}, ())
    given = SimpleNamespace(of=lambda job: (None, "digest"))
    monkeypatch.setattr(work, "splits", lambda folder: given)
    monkeypatch.setattr(work, "fitted", lambda *_, **__: None)
    point = SimpleNamespace(score=SimpleNamespace(cell_names=()))
    monkeypatch.setattr(work, "measured", lambda *_: point)
    monkeypatch.setattr(records, "describe", lambda point: {})

    def save(fit, place, **_):
        place.mkdir(exist_ok=True)
        (place / store.RECORD).touch()

    monkeypatch.setattr(store, "save", save)
    for value in (1.0, 2.0):
        one = Draws(np.full(1, value), np.full((3, 1), value), 5)
        monkeypatch.setattr(
            draws, "drawn", lambda *_, one=one: {("validation", "pearson_trial"): one}
        )
        work.work(job, places.Order(tmp_path, "sweep", draws=True))
        kept = draws.kept(places.place_of(job, tmp_path), lambda: nothing)
        assert kept["validation", "pearson_trial"].observed == value


def test_a_run_that_is_whole_leaves_nothing_to_go_on_from(asked, tmp_path, monkeypatch):
    """Nor where its sweep is killed while it draws for the headline, at length."""

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(draws, "kept", killed)
    (job,) = grid.jobs(experiment.read(asked('[[families]]\nmodel = "mean"')))
    out = tmp_path / "runs"
    for left in ("0123.checkpoint", "dead.late"):
        (out / f".{job.name}.{left}").mkdir(parents=True)
    with pytest.raises(KeyboardInterrupt):
        work.work(job, places.Order(out, "sweep", draws=True))
    assert [path.name for path in out.iterdir()] == [job.name]


def test_a_refusal_is_of_the_card_that_was_loaded(tmp_path, monkeypatch):
    """Not of the one that lies there since it was edited while the job ran."""

    def refuses(*_, **__):
        raise BadSetting("no")

    monkeypatch.setattr(build, "model", refuses)
    job = Job("one", "simulated", "mean", {}, {}, (), where_possible=True)
    digest, split = identity.digest(cards.read("simulated")), SimpleNamespace(spec=None)
    for loaded in ("earlier", digest):
        given = SimpleNamespace(of=lambda job, loaded=loaded: (split, loaded))
        monkeypatch.setattr(work, "splits", lambda folder, given=given: given)
        said = work.work(job, places.Order(tmp_path, loaded))
        assert isinstance(said, failing.Failure) and said.refused
        known = failing.refused(job, tmp_path)
        assert known == (said if loaded == digest else None)
