"""What other tools reached on real recordings, reached with our defaults.

The floors were measured with other people's code on the same splits. Nothing here
publishes a figure of a recording whose licence forbids it: a floor is not a result.
The two long ones, subunits and convolution on the checkerboard, are the expected ranges
of `experiments/checkerboard`.
"""

from __future__ import annotations

import dataclasses

import jax
import numpy as np
import pytest

import retina
from retina.types import Fit, Score, Split

pytestmark = pytest.mark.slow

UZZELL = "uzzell2004_macaque_fullfield"
SHAYP = "shayp_salamander_fullfield"
GOLLISCH = "gollisch_whitenoise_78rgc"


def split_of(name: str) -> Split:
    return retina.split(retina.load(name))


def fitted(split: Split, name: str, seeds: int = 1, **settings) -> Fit:
    model = retina.model(name, split.spec, **settings)
    return retina.fit(model, split, key=jax.random.key(0), seeds=seeds)


def heard(score: Score) -> Score:
    """The score with the recorded past fed back: the likelihood that floors are in."""
    return next(s for s in (score, *score.others) if s.history != "free_running")


def bits(split: Split, name: str, **settings) -> np.ndarray:
    score = retina.score(fitted(split, name, **settings), split.test, draws=20)
    return np.array(heard(score).metrics["bits_per_spike"].per_cell)


def test_uzzell_bits_of_four_cells(real):
    real(UZZELL)
    split = split_of(UZZELL)
    assert np.all(bits(split, "ln").round(2) >= [1.51, 1.23, 1.15, 1.76])
    glm = bits(split, "glm")
    assert np.all(glm.round(2) >= [1.60, 1.37, 1.22, 1.88])
    assert np.all(bits(split, "glm", coupling=True) > glm - 0.01)


def test_shayp_against_the_ceiling(real):
    real(SHAYP)
    split = split_of(SHAYP)
    ln = retina.score(fitted(split, "ln"), split.test, draws=20)
    assert ln.metrics["cc_norm"].median >= 0.585
    glm = retina.score(fitted(split, "glm"), split.test, draws=20)
    assert glm.history == "free_running"
    assert glm.metrics["cc_norm"].median >= 0.605
    cnn = retina.score(fitted(split, "cnn", seeds=3), split.test, draws=20)
    assert np.median(cnn.metrics["cc_norm"].seeds) >= 0.87
    assert np.median(cnn.metrics["bits_per_spike"].seeds) >= 1.28


def test_gollisch_linear_and_aligned_to_the_bin(real):
    real(GOLLISCH)
    split = split_of(GOLLISCH)
    fit = fitted(split, "ln")
    assert fit.validation["median"] >= 1.13
    score = retina.score(fit, split.test, draws=20)
    assert score.group == "frozen"
    assert score.metrics["pearson"].median >= 0.50
    # With as many lags as the cells look back, a response one bin early or late costs.
    aligned = np.median(shifted(split, 0))
    for bins in (-1, 1):
        assert np.median(shifted(split, bins)) < aligned - 0.03


def shifted(split: Split, bins: int) -> list[float]:
    """Validation bits of an `ln` of lags 3 to 6, the response moved by some bins."""

    def move(clip):
        response = np.roll(clip.response, bins, axis=1)
        return dataclasses.replace(clip, response=response)

    moved = dataclasses.replace(
        split,
        train=tuple(map(move, split.train[:40])),
        validation=tuple(map(move, split.validation)),
    )
    return fitted(moved, "ln", lags=7, rank=1).validation["per_cell"]
