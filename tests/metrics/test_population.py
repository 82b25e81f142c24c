"""Shared noise and redundant predictions of populations made for the purpose."""

from __future__ import annotations

import numpy as np
import pytest

from retina.errors import BadSetting, ShapeMismatch
from retina.metrics.population import cells_needed, effective_rank, noise_correlations


def test_noise_that_is_shared_is_found_and_signal_is_not():
    """Known: of counts x + z with one z for all, var(z) / var(x + z) = 1 / 4.

    Each of 45 pairs to 4 standard errors of 19 x 2000 samples.
    """
    rng = np.random.default_rng(0)
    signal = rng.gamma(1.0, 2.0, (2000, 10))  # far stronger than the noise
    shared = rng.poisson(1.0, (20, 2000, 1))
    own = rng.poisson(3.0, (20, 2000, 10))
    found = noise_correlations(np.rint(signal) + own + shared)
    assert np.allclose(np.diag(found), 1) and np.allclose(found, found.T)
    pairs = found[np.triu_indices(10, 1)]
    assert np.abs(pairs - 0.25).max() < 4 / np.sqrt(19 * 2000)
    alone = noise_correlations(np.rint(signal) + own)[np.triu_indices(10, 1)]
    assert np.abs(alone).max() < 4 / np.sqrt(19 * 2000)


def test_cells_without_noise_and_responses_without_repeats():
    counts = np.random.default_rng(0).poisson(1.0, (4, 50, 3)).astype(float)
    counts[..., 1] = 2  # saturated
    found = noise_correlations(counts)
    assert np.isnan(found[1]).all() and np.isnan(found[:, 1]).all()
    assert np.isfinite(found[0, 2])
    with pytest.raises(ShapeMismatch, match=r"\(1, 50, 3\): noise correlations"):
        noise_correlations(counts[:1])


def test_the_effective_rank_counts_what_is_independent():
    rng = np.random.default_rng(0)
    time = np.arange(400)[:, None]
    waves = np.sin(2 * np.pi * time * np.arange(1, 9) / 400)  # orthogonal
    assert effective_rank(3 + waves) == pytest.approx(8)
    assert effective_rank(np.repeat(waves, 4, axis=1)) == pytest.approx(8)
    assert effective_rank(waves[:, :1] * rng.random(20)) == pytest.approx(1)
    # Gain says nothing: each cell counts the same.
    assert effective_rank(waves * 10.0 ** np.arange(-4, 4)) == pytest.approx(8)
    assert effective_rank(np.ones((9, 3))) == 0


def test_cells_that_others_tell_are_redundant():
    rng = np.random.default_rng(0)
    own = rng.normal(size=(2000, 4))
    copies = own @ rng.normal(size=(4, 12))
    assert cells_needed(np.concatenate([own, copies], axis=1)) == 4
    # Two alike but for a tenth of their variance: told to .9, not to .95.
    near = np.sqrt(0.9) * own[:, :1] + np.sqrt(0.1) * own[:, 1:2]
    both = np.concatenate([own[:, :1], near], axis=1)
    assert cells_needed(both, told=0.95) == 2
    assert cells_needed(both, told=0.85) == 1
    assert cells_needed(np.ones((9, 3))) == 0
    with pytest.raises(BadSetting, match=r"told=1\.0"):
        cells_needed(own, told=1.0)
    with pytest.raises(ShapeMismatch, match=r"rate \(3,\)"):
        cells_needed(np.ones(3))
