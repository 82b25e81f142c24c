"""Starts beside each other: what equal ones agree on, and what they leave open."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np
import pytest

from retina import build
from retina.errors import BadSetting
from retina.fitting.fit import fit
from retina.probes.degeneracy import degeneracy
from retina.types import Fit
from tests.fitting import synthetic
from tests.probes import fits


def _starts(*bits: float) -> Fit:
    """An LN model in sets that differ: the bias by 1 % a set, the filters by half."""
    made = fits.drawn("ln", fits.FIELD, lags=4, rank=None)
    first = made.params
    kept = jax.tree.map(np.asarray, first)

    def moved(n: int):
        bent = jax.tree.map(lambda leaf: leaf * (1 + 0.5 * n), kept["space_time"])
        out = jax.tree.map(lambda leaf: (leaf + 1) * (1 + 0.01 * n), kept["output"])
        return first | {"space_time": bent, "output": out}

    seeds = tuple(moved(n) for n in range(len(bits)))
    validation = {"seeds": list(bits), "median": max(bits)}
    return dataclasses.replace(
        made, params=seeds[0], seeds=seeds, validation=validation
    )


def test_what_equal_starts_agree_on_is_told_from_what_they_leave_open():
    found = degeneracy(_starts(1.0, 0.999, 0.5))
    assert found.equal == (True, True, False)
    rows = {row.parameter: row for row in found.rows}
    filters, bias = rows["space_time.filters"], rows["output.bias"]
    assert (filters.verdict, bias.verdict) == ("undetermined", "agreed")
    # Two sets, one half as large again: an s.d. of 0.5 / sqrt(2) of the first.
    assert filters.spread == pytest.approx(0.5 / np.sqrt(2), rel=1e-5)
    assert bias.spread == pytest.approx(0.01 / np.sqrt(2), rel=1e-4)
    assert bias.low == pytest.approx(bias.high / 1.01, rel=1e-5)
    assert filters.numbers == 2 * 4


def test_how_near_the_best_counts_as_equal_is_ones_own_choice():
    made = _starts(1.0, 0.99, 0.98)
    assert degeneracy(made).equal == (True, False, False)
    assert {row.verdict for row in degeneracy(made).rows} == {"not tried"}
    assert degeneracy(made, within=0.015).equal == (True, True, False)
    with pytest.raises(BadSetting, match="within -1: 0 or more"):
        degeneracy(made, within=-1)


def test_a_frozen_core_is_left_out():
    true = synthetic.truth((7, 6), 3, 1.0)
    split = synthetic.split(true, train=300, blocks=2, held_out=100)
    sizes = {"lags": 5, "basis": 3, "channels": 2, "sizes": (3, 3)}
    model = build.model("cnn", split.spec, **sizes)
    brief: dict = {"max_steps": 2, "clip_bins": 64, "batch": 2}
    core = fit(model, split, key=jax.random.key(0), **brief)
    made = fit(model, split, key=jax.random.key(1), seeds=2, core=core, **brief)
    told = {row.parameter.split(".")[0] for row in degeneracy(made, within=9).rows}
    assert told == {"factorised", "output"}


def test_starts_that_are_one_and_the_same_say_nothing():
    made = _starts(1.0, 1.0)
    same = dataclasses.replace(made, seeds=made.seeds[:1] * 2)
    with pytest.raises(BadSetting, match="one and the same.*scatter"):
        degeneracy(same)


def test_one_start_compares_with_nothing():
    with pytest.raises(BadSetting, match="one start alone.*--seeds 4"):
        degeneracy(_starts(1.0))
