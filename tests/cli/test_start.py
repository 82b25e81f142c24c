"""`retina fit --start`: another run's parameters, to begin with."""

from __future__ import annotations

import pytest

from retina import store

LN = ("fit", "tiny", "ln", "--set", "lags=6", "--set", "rank=1")
GLM = ("fit", "tiny", "glm", "--set", "lags=6", "--set", "rank=1")
SHORT = ("--set", "max_steps=10")


def test_a_start_is_told_kept_and_part_of_what_is_asked(retina):
    first = retina(*LN, *SHORT, "--out", "first")
    assert first.status == 0, first.err
    command = (*GLM, "--set", "max_steps=0", "--out", "glm", "--start")
    done = retina(*command, "first")
    assert done.status == 0, done.err
    assert "first: takes all parameters but history_output.history" in done.err
    one, two = store.load("first"), store.load("glm")
    assert two.parent.endswith("first")
    assert two.validation["mean"] == pytest.approx(one.validation["mean"], abs=1e-5)
    bits = f"{one.validation['mean']:.4f}"
    assert f"mean over cells: {bits} in " in done.out
    assert "finished already" in retina(*command, "first").err
    retina(*LN, *SHORT, "--key", 1, "--set", "smooth=1", "--out", "second")
    done = retina(*command, "second")
    assert done.status == 1 and "start_sha256" in done.err


def test_a_start_of_other_cells_is_one_line(retina):
    retina(*LN, *SHORT, "--cells", "1", "--out", "one")
    done = retina(*GLM, "--start", "one", "--out", "glm")
    assert done.status == 1 and done.err.count("\n") == 1
    assert "1 cell of tiny" in done.err and "2 cells of tiny" in done.err
    done = retina(*GLM, "--cells", "0", "--start", "one", "--out", "glm")
    assert done.status == 1 and "other cells or training blocks" in done.err
    done = retina("fit", "simulated", "glm", "--start", "one", "--out", "glm")
    assert done.status == 1 and "a fit of tiny, not of simulated" in done.err
