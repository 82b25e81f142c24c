"""`retina fit --core`: another run's core, kept."""

from __future__ import annotations

import numpy as np
import pytest

from retina import store

SMALL = ("--set", "lags=6", "--set", "basis=4", "--set", "subunits=2")
SHORT = ("--set", "max_steps=40", "--set", "clip_bins=64")


@pytest.mark.slow
def test_a_core_is_kept_and_named(retina):
    first = retina("fit", "tiny", "lnln", *SMALL, *SHORT, "--out", "first")
    assert first.status == 0, first.err
    command = ("fit", "tiny", "lnln", *SMALL, *SHORT, "--core", "first", "--key", 1)
    added = retina(*command, "--cells", "1", "--out", "added")
    assert added.status == 0, added.err
    one, two = store.load("first"), store.load("added")
    assert two.parent.endswith("first")
    assert two.model.spec.cells == 1
    for part in two.model.core:
        for name, value in one.params[part].items():
            assert np.array_equal(value, two.params[part][name])
    again = retina(*command, "--cells", "1", "--out", "added")
    assert "finished already" in again.err
    # Without the core, or with another one in its place, it is another fit.
    done = retina(*command[:-4], "--key", 1, "--cells", "1", "--out", "added")
    assert done.status == 1 and "another fit" in done.err
    retina("fit", "tiny", "lnln", *SMALL, *SHORT, "--key", 2, "--out", "second")
    done = retina(*command, "--core", "second", "--cells", "1", "--out", "added")
    assert done.status == 1 and "core_sha256" in done.err


def test_a_core_that_does_not_fit_is_one_line(retina):
    retina("fit", "tiny", "lnln", *SMALL, *SHORT, "--out", "first")
    done = retina(
        *("fit", "tiny", "lnln", "--set", "subunits=2", "--set", "basis=4"),
        *("--core", "first", "--out", "added"),
    )
    assert done.status == 1
    assert "has fir (1, 1, 2) 6 4" in done.err
    done = retina("fit", "tiny", "lnln", "--core", "nowhere", "--out", "added")
    assert done.status == 1 and "no run" in done.err
