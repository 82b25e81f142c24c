"""What is left of a reference: known where a fit is set beside itself."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from retina.errors import BadSetting, ShapeMismatch
from retina.search.compare import compare
from retina.search.ratio import Ratio, ratios
from retina.stage import Model, memoryless
from retina.types import Fit
from tests.fitting import synthetic


@pytest.fixture(scope="module")
def fits():
    """The first lag of the truth's four, and the mean count that it was made with."""
    true = synthetic.truth((), 6, 1.0)
    split = synthetic.split(true, train=100, held_out=1500)
    marginal = true.bias + np.square(true.kernel).sum(0) / 2

    def fit(gain: np.ndarray) -> Fit:
        mean = marginal - gain**2 / 2
        params = {"gain": jnp.float32(gain), "mean": jnp.float32(mean)}
        stage = memoryless(
            lambda p, x: jnp.exp(p["mean"] + p["gain"] * x), about=("first_lag",)
        )
        model = Model("first_lag", split.spec, stage)
        return Fit(model, params, (params,), np.exp(marginal), {}, (), {})

    whole = fit(true.kernel[0])
    return split, {"whole": whole, "again": whole, "mean": fit(np.zeros(6))}


def test_all_is_left_of_the_same_fit_and_nothing_in_the_mean(fits):
    split, named = fits
    same, nothing = ratios(named, split, draws=200)
    assert same.names == ("again", "whole")
    assert same.median == 1 and same.ci95 == (1, 1)
    assert set(same.per_cell) == {1.0}
    # The mean rate of training and test differ by chance alone.
    assert abs(nothing.median) < 0.1 and nothing.ci95[1] < 0.2
    assert "1.000 [1.000, 1.000] of the bits_per_spike of whole" in same.sentence


def test_fits_that_had_not_converged_are_named(fits):
    split, named = fits
    short = {"converged": False, "steps": 250}
    short = dataclasses.replace(named["mean"], training=short)
    named = {"whole": named["whole"], "short": short}
    told = ("short: not converged: stopped after 250 steps",)
    for made in (compare(named, split, draws=20), ratios(named, split, draws=20)):
        assert made[0].notes == told


def test_a_reference_that_predicts_nothing_has_no_ratio(fits):
    split, named = fits
    # A rate e times too high: worse than the mean on every cell.
    bad = jax.tree.map(lambda leaf: leaf + 1, named["mean"].params)
    bad = dataclasses.replace(named["mean"], params=bad, seeds=(bad,))
    (found,) = ratios({"bad": bad, "whole": named["whole"]}, split, draws=20)
    assert np.all(np.isnan(found.per_cell)) and np.isnan(found.median)


def test_cells_without_a_ratio_are_told():
    one = Ratio("frozen", "feve", ("ln", "cnn"), 0.9, (0.8, 1.0), (0.9, float("nan")))
    assert one.sentence.endswith("median of 1 of 2 cells, where cnn is above 0")


def test_one_run_is_refused(fits):
    split, named = fits
    with pytest.raises(BadSetting, match="at least two"):
        ratios({"whole": named["whole"]}, split)


def test_a_reference_that_comes_down_to_nothing_is_told(fits):
    """A gain so much too large that it predicts next to nothing."""
    split, named = fits
    gain = 2.1 * named["whole"].params["gain"]
    params = {"gain": gain, "mean": named["mean"].params["mean"] - gain**2 / 2}
    faint = dataclasses.replace(named["whole"], params=params, seeds=(params,))
    (found,) = ratios({"faint": faint, "whole": named["whole"]}, split, draws=200)
    cells = np.isfinite(found.per_cell).sum()
    assert cells and found.undefined > 2
    assert np.isnan(found.median) and np.isnan(found.ci95).all()
    said = f"{cells} of 6 cells have a ratio; undefined in {found.undefined} draws"
    assert f"cannot be told: {said}" in found.sentence
    (same, _) = ratios(named, split, draws=200)
    assert same.undefined == 0


def test_fits_of_other_cells_and_figures_of_the_data_are_refused(fits):
    split, named = fits
    other = synthetic.split(synthetic.truth((), 3), train=50, held_out=50)
    with pytest.raises(ShapeMismatch, match="runs of one recording, with the same"):
        ratios(named, other)
    with pytest.raises(BadSetting, match="signal_power belongs to the data"):
        ratios(named, split, "signal_power")
