"""Fits that nobody fitted: models of drawn or chosen parameters."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from retina import build
from retina.probes import rates
from retina.types import Fit, Spec

# The door has work to do, so that a slip in units shows.
IMAGE = Spec((5, 4), 2, 0.05, stimulus_mean=0.4, stimulus_sd=1.5)
FIELD = Spec((), 2, 0.05, stimulus_mean=0.4, stimulus_sd=1.5)
NULL = np.array([0.3, 0.5])


def drawn(name: str, spec: Spec, seed: int = 0, **settings: Any) -> Fit:
    """A model of that name with drawn parameters."""
    model = build.model(name, spec, **settings)
    params = model.stage.init(jax.random.key(seed))
    return Fit(model, params, (params,), NULL, {}, (), {})


def linear(spec: Spec, kind: str = "softplus") -> tuple[Fit, np.ndarray]:
    """An LN model over the whole frame, and its filters (cell, lag, *frame)."""
    fit = drawn("ln", spec, lags=4, rank=None, window=9, output_kind=kind)
    filters = np.asarray(fit.params["space_time"]["filters"])
    return fit, filters.reshape(spec.cells, 4, *spec.frame)


def noise(spec: Spec, bins: int, seed: int = 3) -> np.ndarray:
    """White noise of the spec's mean and s.d.: (bins, *frame) float32."""
    z = np.random.default_rng(seed).standard_normal((bins, *spec.frame))
    return (spec.stimulus_mean + spec.stimulus_sd * z).astype(np.float32)


def drive(fit: Fit, filters: np.ndarray, stimulus: np.ndarray) -> np.ndarray:
    """(time, cell) float64: an LN model's argument of its output, without the stage."""
    spec = fit.model.spec
    z = (stimulus.astype(np.float64) - spec.stimulus_mean) / spec.stimulus_sd
    cells, lags = filters.shape[:2]
    total = np.tile(np.asarray(fit.params["output"]["bias"], np.float64), (len(z), 1))
    for lag in range(lags):
        each = filters[:, lag].reshape(cells, -1).astype(np.float64)
        total[lag:] += z.reshape(len(z), -1)[: len(z) - lag] @ each.T
    return total


def along(one: np.ndarray, other: np.ndarray) -> float:
    """Cosine of the angle between two fields."""
    a, b = np.ravel(one).astype(np.float64), np.ravel(other).astype(np.float64)
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def said(fit: Fit, stimulus: np.ndarray) -> np.ndarray:
    """(time, cell), what the model says to a stimulus from a cold start."""
    return np.asarray(jax.jit(lambda x: rates.rates(fit, x))(stimulus))
