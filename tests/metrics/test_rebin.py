"""Scores on longer bins: what is added up, and that nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest

from retina.errors import BadSetting
from retina.metrics.clips import evaluate
from retina.metrics.rebin import bins_in, rebinned


def test_counts_and_rates_are_added_clip_by_clip_and_the_rest_is_dropped():
    rng = np.random.default_rng(0)
    clips = [(rng.random((n, 3)), rng.poisson(1.0, (2, n, 3))) for n in (12, 7, 4)]
    made = rebinned(clips, 5)
    assert [y.shape for _, y in made] == [(2, 2, 3), (2, 1, 3)]  # 4 bins hold none
    np.testing.assert_array_equal(made[0][1][:, 1], clips[0][1][:, 5:10].sum(1))
    np.testing.assert_allclose(made[1][0][0], clips[1][0][:5].sum(0), rtol=1e-15)
    by_trial = rebinned([(clips[0][1], clips[0][1])], 3)[0]
    np.testing.assert_array_equal(*by_trial)
    for one, other in zip(rebinned(clips, 1), clips, strict=True):
        np.testing.assert_array_equal(one[0], other[0])
    with pytest.raises(BadSetting, match="no test clip is as long as one bin of 20"):
        rebinned(clips, 20)


@pytest.mark.parametrize(
    ("asked", "own", "bins"),
    [(None, 0.01, 1), (0.01, 0.01, 1), (0.1, 1 / 30, 3), (0.033, 1 / 60, 2)],
)
def test_multiples(asked: float | None, own: float, bins: int):
    assert bins_in(asked, own) == bins


@pytest.mark.parametrize("asked", [0.015, 0.001, 0.0, -1.0, float("nan")])
def test_what_is_no_multiple(asked: float):
    with pytest.raises(BadSetting, match="no multiple of the run's own 0.01 s"):
        bins_in(asked, 0.01)


def test_the_true_rate_keeps_its_bits_where_the_rate_is_constant_within_a_bin():
    """Known: a sum of Poisson counts of one rate loses nothing of what is known of it.

    Exact: the gain is sum y log(rate / null) - (rate - null), and the factor cancels.
    """
    rng = np.random.default_rng(0)
    slow = np.repeat(rng.gamma(1.0, 0.5, (200, 4)), 5, axis=0)
    pairs, null = [(slow, rng.poisson(slow, (2, 1000, 4)))], np.full(4, 0.5)
    fine = evaluate("bits_per_spike", pairs, null, 0.01)
    np.testing.assert_allclose(
        evaluate("bits_per_spike", rebinned(pairs, 5), 5 * null, 0.05), fine, rtol=1e-12
    )
    np.testing.assert_allclose(
        evaluate("bits_per_second", rebinned(pairs, 5), 5 * null, 0.05),
        evaluate("bits_per_second", pairs, null, 0.01),
        rtol=1e-12,
    )
