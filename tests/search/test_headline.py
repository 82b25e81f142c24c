"""The cheapest near the best: chosen on validation, tested once, chosen anew."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from retina.errors import BadSetting
from retina.metrics.cc_norm import cc_norm
from retina.metrics.pearson_trial import pearson_trial
from retina.metrics.resample import Draws
from retina.search.headline import headline
from tests.reports.points import point

DRAWS, CELLS = 400, 8
PLACES = (("validation", "pearson_trial"), ("test frozen", "pearson_trial"))


def draws(values):
    """(draw, cell) around a median, of 100 blocks."""
    values = np.broadcast_to(values, (DRAWS, CELLS))
    return Draws(np.median(values, axis=0), values, 100)


def made(**models):
    """Points at 1, 10, 100 ... FLOPs and the draws of each: (validation, test)."""
    points = [point(name, 0.5, 10.0**i) for i, name in enumerate(models)]
    drawn = [
        dict(zip(PLACES, map(draws, values), strict=True)) for values in models.values()
    ]
    return points, drawn


def near(points, drawn, within=0.05):
    return headline(points, drawn, within, "flops_per_s_per_cell").near[0]


def test_the_cheapest_near_the_best_is_chosen_on_validation_alone():
    # `poor` is good on test, where nobody looks before the choice is made.
    found = near(*made(poor=(0.4, 0.6), cheap=(0.58, 0.57), best=(0.6, 0.6)))
    assert (found.best, found.cheapest, found.again) == ("best", "cheap", 1.0)
    assert found.ratio == pytest.approx(0.57 / 0.6)
    assert found.ci95 == pytest.approx((0.95, 0.95))  # nothing varies, cells agree
    # 0.95 is on the edge: what lies wholly above it is near, what does not is not.
    better = near(*made(cheap=(0.58, 0.58), best=(0.6, 0.6)))
    worse = near(*made(cheap=(0.58, 0.55), best=(0.6, 0.6)))
    assert (better.holds, worse.holds) == (True, False)


def test_the_interval_repeats_the_choice():
    # Which of two is near the best is the toss of a coin: then the answer is either.
    coin = np.where(np.arange(DRAWS)[:, None] % 2, 0.58, 0.56)
    found = near(*made(cheap=(coin, 0.5), middle=(0.58, 0.6), best=(0.6, 0.6)))
    assert found.again == 0.5
    assert found.ci95[0] < 0.87 and found.ci95[1] > 0.96
    fixed = near(*made(cheap=(0.56, 0.5), middle=(0.58, 0.6), best=(0.6, 0.6)))
    assert fixed.ci95 == (1.0, 1.0)


def test_equally_cheap_ones_give_way_to_the_better_and_nothing_to_a_model_of_nothing():
    points, drawn = made(one=(0.58, 0.5), two=(0.59, 0.6), best=(0.6, 0.6))
    same = dataclasses.replace(points[0].cost, flops_per_s_per_cell=10.0 / 12)
    points[0] = dataclasses.replace(points[0], cost=same)
    assert near(points, drawn).cheapest == "two"
    nothing = near(*made(mean=(0.0, 0.0)))
    assert (nothing.best, nothing.holds) == ("", False) and math.isnan(nothing.ratio)
    with pytest.raises(BadSetting, match="run the sweep"):
        headline([], [], 0.05, "flops_per_s_per_cell")


def test_thresholds_name_the_cheapest_on_the_frontier_of_validation():
    points, drawn = made(ln=(0.3, 0.3), lucky=(0.2, 0.2), cnn=(0.6, 0.6))
    # `lucky` explains most of the test, but on validation a cheaper one beats it.
    for one, feve in zip(drawn, (0.55, 0.95, 0.82), strict=True):
        one["test frozen", "feve"] = draws(feve)
    rows = headline(points, drawn, 0.05, "flops_per_s_per_cell").reaching
    assert [(row.share, row.run) for row in rows] == [
        (0.5, "ln"),
        (0.7, "cnn"),
        (0.8, "cnn"),
        (0.9, ""),
    ]
    assert rows[3].feve == pytest.approx(0.82)
    assert all(row.again == 1.0 for row in rows)


def test_in_a_ratio_of_two_models_the_ceiling_cancels():
    # Single trials may choose for cc_norm: their ratio is that of cc_norm. 5,000 bins
    # leave the ratio of the two correlations some 1 %.
    rng = np.random.default_rng(0)
    rate = rng.gamma(1.0, 0.4, (5000, 4))
    counts = rng.poisson(rate, (20, 5000, 4))
    other = rate + rng.normal(0, 0.3, rate.shape)
    ratios = [
        np.median(metric(other, counts) / metric(rate, counts))
        for metric in (cc_norm, pearson_trial)
    ]
    assert ratios[0] == pytest.approx(ratios[1], rel=0.01)
    assert pearson_trial(rate, counts).max() < 0.7 < cc_norm(rate, counts).min()
