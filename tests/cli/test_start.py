"""`retina fit --start`: another run's parameters, to begin with."""

from __future__ import annotations

import re

import pytest

from retina import store

LN = ("fit", "tiny", "ln", "--set", "lags=6", "--set", "rank=1")
GLM = ("fit", "tiny", "glm", "--set", "lags=6", "--set", "rank=1")


def test_a_start_is_told_kept_and_part_of_what_is_asked(retina):
    first = retina(*LN, "--set", "max_steps=10", "--out", "first")
    assert first.status == 0, first.err
    command = (*GLM, "--set", "max_steps=0", "--start")
    done = retina(*command, "first", "--out", "glm")
    assert done.status == 0, done.err
    assert "first: takes all parameters but history_output.history" in done.err
    one, two = store.load("first"), store.load("glm")
    assert two.parent.endswith("first")
    assert two.validation["mean"] == pytest.approx(one.validation["mean"], abs=1e-5)
    assert f"mean over cells: {one.validation['mean']:.4f} in " in done.out
    # A run of another recording or of other cells; another start, and what is no run.
    for words, said in (
        ((*command, "first", "--cells", "0"), "2 cells of tiny.*1 cell of tiny"),
        (("fit", "simulated", "glm", "--start", "first"), "of tiny, not of simulated"),
        ((*command, "glm"), "another fit .start .*first' there.*start_sha256"),
        ((*command, "nowhere"), "no run"),
    ):
        done = retina(*words, "--out", "other" if "cells" in said else "glm")
        told = [line for line in done.err.splitlines() if not line.startswith("note: ")]
        assert done.status == 1 and len(told) == 1
        assert re.search(said, done.err), done.err
