"""The hypervolume against closed forms and against counting, and when it is flat."""

from __future__ import annotations

import numpy as np
import pytest

from retina.search.hypervolume import found, volume


def test_boxes_and_their_union():
    assert volume(np.array([[0.5, 0.5, 0.5]])) == pytest.approx(0.125)
    # Two boxes 1 x 1 x .5 and .5 x .5 x 1 share .5 x .5 x .5.
    both = np.array([[1.0, 1.0, 0.5], [0.5, 0.5, 1.0]])
    assert volume(both) == pytest.approx(0.5 + 0.25 - 0.125)
    assert volume(np.empty((0, 2))) == 0.0


@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
def test_as_by_counting_cells_of_a_lattice(objectives):
    rng = np.random.default_rng(objectives)
    front = rng.integers(0, 6, (7, objectives))
    cells = np.stack(np.meshgrid(*[np.arange(5)] * objectives), -1)
    cells = cells.reshape(-1, objectives) + 1
    covered = (cells[:, None] <= front[None]).all(-1).any(-1).sum()
    assert volume(front / 5) == pytest.approx(covered / 5**objectives)


def test_the_curve_never_falls_and_ends_at_the_whole():
    rng = np.random.default_rng(0)
    values = np.column_stack([rng.uniform(size=60), 10 ** rng.uniform(0, 6, 60)])
    curve = found(values, [True, False]).curve
    assert len(curve) == 60 and all(np.diff(curve) >= 0) and 0.5 < curve[-1] <= 1


def test_it_has_flattened_when_the_end_adds_nothing():
    better = [[i, 1000 - 30 * i] for i in range(30)]
    assert not found(better, [True, False]).flattened
    assert found(better + better, [True, False]).flattened
    assert not found(better[:5] + better[:1], [True, False]).flattened


def test_a_try_that_failed_counts_as_a_try_that_found_nothing():
    one = found([[np.nan, np.nan], [1, 5], [np.nan, 1], [2, 4]], [True, False])
    assert one.curve == (0.0, 0.0, 0.0, 1.0)
    assert found([[np.nan, 1.0]], [True, False]).curve == (0.0,)


def test_costs_count_by_their_ratio():
    """Half way between 0 and 99 on a log scale of 1 + cost is 9."""
    curve = found([[0, 0], [1, 99], [1, 9]], [True, False]).curve
    assert curve == pytest.approx((0.0, 0.0, 0.5))
