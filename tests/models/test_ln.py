"""The LN model's filters."""

from __future__ import annotations

import jax
import pytest

from retina.models.ln import ln
from retina.types import Spec


@pytest.mark.parametrize(
    ("frame", "settings", "rank"),
    [
        ((8, 8), {"lags": 20, "rank": 100}, 12),  # 12 raised cosines
        ((8, 8), {"lags": 5, "rank": 100}, 5),
        ((8, 8), {"lags": 20, "rank": 100, "window": 2}, 4),
        ((8, 8), {"lags": 20, "rank": 3}, 3),
        ((), {"lags": 20, "rank": 2}, 1),
    ],
)
def test_a_filter_has_no_more_ranks_than_pixels_or_courses(frame, settings, rank):
    params = ln(Spec(frame, 2, 0.01), **settings).stage.init(jax.random.key(0))
    assert params["spatial"]["filters"].shape[1] == rank
