"""Starts beside each other: what equal ones agree on, and what they leave open."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np
import pytest

from retina.errors import BadSetting
from retina.probes.degeneracy import degeneracy
from retina.types import Fit
from tests.probes import fits


def _starts(*bits: float) -> Fit:
    """An LN model in sets that differ: the bias by 1 % a set, the filters by half."""
    fit = fits.drawn("ln", fits.FIELD, lags=4, rank=None)
    first = fit.params
    kept = jax.tree.map(np.asarray, first)

    def moved(n: int):
        bent = jax.tree.map(lambda leaf: leaf * (1 + 0.5 * n), kept["space_time"])
        out = jax.tree.map(lambda leaf: (leaf + 1) * (1 + 0.01 * n), kept["output"])
        return first | {"space_time": bent, "output": out}

    seeds = tuple(moved(n) for n in range(len(bits)))
    validation = {"seeds": list(bits), "median": max(bits)}
    return dataclasses.replace(fit, params=seeds[0], seeds=seeds, validation=validation)


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
    fit = _starts(1.0, 0.99, 0.98)
    assert degeneracy(fit).equal == (True, False, False)
    assert {row.verdict for row in degeneracy(fit).rows} == {"not tried"}
    assert degeneracy(fit, within=0.015).equal == (True, True, False)
    with pytest.raises(BadSetting, match="within -1: 0 or more"):
        degeneracy(fit, within=-1)


def test_a_set_that_a_fit_does_not_move_is_left_out():
    fit = _starts(1.0, 1.0)
    tree = fit.model.stage.parameters
    still = dataclasses.replace(tree["output"]["bias"], trainable=False)
    stage = fit.model.stage._replace(
        parameters=tree | {"output": tree["output"] | {"bias": still}}
    )
    fit = dataclasses.replace(fit, model=fit.model._replace(stage=stage))
    assert "output.bias" not in {row.parameter for row in degeneracy(fit).rows}


def test_one_start_compares_with_nothing():
    with pytest.raises(BadSetting, match="one start alone.*--seeds 4"):
        degeneracy(_starts(1.0))
