"""The LN model's filters."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from retina.models.ln import calm, ln
from retina.types import Clip, Spec


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


def test_a_start_is_no_louder_than_a_drive_of_one():
    """Twice the s.d. of the stimulus, three lags, one pixel each: known by hand."""
    draw = np.random.default_rng(0)
    frames = (5 + 2 * draw.standard_normal((4000, 2, 2))).astype(np.float32)
    clip = Clip("all", frames, np.zeros((1, 4000, 2), np.float32))
    spec = Spec((2, 2), 2, 0.01, stimulus_mean=5.0, stimulus_sd=2.0)
    seen = np.zeros((3, 2, 1, 1), np.float32)
    seen[:, 0, 0, 0] = 3.0, 0.0, 4.0  # s.d. 5
    seen[:, 1, 0, 0] = 0.3, 0.0, 0.4
    corner = np.array([[0, 1], [1, 0]])
    factor = calm(seen, corner, (clip,), spec)
    assert factor.shape == (1, 2, 1, 1)
    np.testing.assert_allclose(factor.ravel(), [0.2, 1.0], rtol=0.05)
    # On frames that stay for long, lags count again.
    held = frames[np.arange(4000) // 50]
    slow = calm(seen, corner, (Clip("held", held, clip.response),), spec)
    np.testing.assert_allclose(slow.ravel(), [1 / 7, 1.0], rtol=0.15)
