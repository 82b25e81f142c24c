"""What a sweep says of itself in one line."""

from __future__ import annotations

from types import SimpleNamespace

from retina.cli.tally import Tally


def event(state, label, median, dataset="one"):
    job = SimpleNamespace(name=label, label=label, spikes_of="", dataset=dataset)
    score = SimpleNamespace(metrics={"cc_norm": SimpleNamespace(median=median)})
    return {
        "state": state,
        "job": job,
        "jobs": 3,
        "point": SimpleNamespace(score=score),
    }


def test_the_best_may_be_of_an_earlier_run_and_says_of_which_recording():
    said = []
    tally = Tally(lambda fraction, words: said.append(words), "cc_norm")
    tally(event("skipped", "ln", 0.9))
    tally(event("done", "cnn", 0.2))
    assert "best cc_norm 0.900 (ln)" in said[-1]
    tally(event("done", "cnn", 0.95, "other"))
    assert "3 of 3 done, best cc_norm 0.950 (cnn on other)" in said[-1]
