"""The optimum of a convex model, against scipy on an objective written in numpy."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
import pytest
from scipy.optimize import minimize

from retina import build
from retina.fitting import lbfgs
from retina.fitting.clips import tabulate
from retina.fitting.compiling import counted
from retina.fitting.fit import fit
from retina.fitting.lbfgs_walkers import Lbfgs
from retina.fitting.start import mean_counts
from retina.parameter import to_free
from retina.types import Clip
from tests.fitting import synthetic

LAGS, HISTORY, CELLS = 4, 3, 2
SMOOTH, SHRINK = 1e-2, 1e-2  # large enough to move the optimum


@pytest.fixture(scope="module")
def split():
    """Poisson cells that are quieter after a count, on frames of 3 pixels in a row."""
    true = synthetic.truth((3,), CELLS, 0.8)
    made = synthetic.split(true, train=700, blocks=2, held_out=400)
    return made


def _model(spec):
    return build.model(
        "glm",
        spec,
        lags=LAGS,
        rank=None,
        history=HISTORY,
        history_basis=HISTORY,  # as many as bins: free weights
        output_kind="exp",
        smooth=SMOOTH,
        shrink=SHRINK,
    )


def _objective(clips: tuple[Clip, ...], null: np.ndarray):
    """(value and slope) of the loss per expected spike with both penalties.

    Bins that are fitted: those with LAGS - 1 bins of history, and not within `skip`.
    weights: (cell, 1 bias + LAGS x 3 pixels + HISTORY).
    """
    rows, heard, counts = [], [], []
    for clip in clips:
        x, y = clip.stimulus.astype(np.float64), clip.response[0].astype(np.float64)
        for t in range(max(LAGS - 1, clip.skip), len(x)):
            rows.append(np.concatenate([x[t - lag] for lag in range(LAGS)]))
            heard.append([y[t - 1 - k] if t > k else 0 * y[0] for k in range(HISTORY)])
            counts.append(y[t])
    rows, heard, counts = np.array(rows), np.array(heard), np.array(counts)
    width = 1 + LAGS * 3 + HISTORY

    def value(flat):
        weights = flat.reshape(CELLS, width)
        total, slope = 0.0, np.zeros_like(weights)
        for n in range(CELLS):
            design = np.concatenate(
                [np.ones((len(rows), 1)), rows, heard[:, :, n]], axis=1
            )
            rate = np.exp(design @ weights[n])
            scale = 1 / (null.mean() * len(rows) * CELLS)
            total += (rate - counts[:, n] * (design @ weights[n])).sum() * scale
            slope[n] = design.T @ (rate - counts[:, n]) * scale
        filters = weights[:, 1 : 1 + LAGS * 3].reshape(CELLS, LAGS, 3)
        step = np.diff(filters, axis=-1)
        total += SMOOTH * np.mean(step**2)
        back = np.zeros_like(filters)
        back[..., 1:] += 2 * SMOOTH * step / step.size
        back[..., :-1] -= 2 * SMOOTH * step / step.size
        slope[:, 1 : 1 + LAGS * 3] += back.reshape(CELLS, -1)
        past = weights[:, 1 + LAGS * 3 :]
        total += SHRINK * np.mean(past**2)
        slope[:, 1 + LAGS * 3 :] += 2 * SHRINK * past / past.size
        return total, slope.ravel()

    return value, CELLS * width


def _flat(params) -> np.ndarray:
    """The model's parameters in the order of the objective's."""
    filters = np.asarray(params["space_time"]["filters"], np.float64)
    history = np.asarray(params["history_output"]["history"], np.float64)
    bias = np.asarray(params["history_output"]["bias"], np.float64)
    return np.concatenate(
        [
            np.concatenate([[bias[n]], filters[n].ravel(), history[:, n]])
            for n in range(CELLS)
        ]
    )


@pytest.mark.parametrize("piece", [10_000, 300], ids=["whole", "pieces"])
def test_it_reaches_the_optimum_that_scipy_finds(split, piece):
    """Whatever the size of the pieces: blocks of 700 bins do not divide into 300s."""
    model, null = _model(split.spec), mean_counts(split.train)
    value, size = _objective(split.train, null)
    best = minimize(value, np.zeros(size), jac=True, method="L-BFGS-B", tol=1e-12)
    assert best.success
    table = tabulate(model, split.train, piece)
    assert len(table.first) == (2 if piece > 700 else 6)
    params = model.stage.init(jax.random.key(0))
    free = to_free(model.stage.parameters, params)
    begin, round_ = lbfgs.make_round(model, table, null)
    state = begin(free)
    data = table.stimulus, table.counts
    free, state, _ = round_(free, state, params, *data, 20)
    with counted() as compiling:
        free, state, loss = round_(free, state, params, *data, 20)
    assert compiling.seconds == 0, "what one round hands on is not what it began with"
    found = value(_flat(free))[0]
    # The loss that was minimised is the one of the objective, and its least value is
    # found; float32 resolves it to about 1e-6.
    assert float(loss) == pytest.approx(found, rel=2e-5)
    start = value(_flat(params))[0]
    assert start - best.fun > 0.1
    assert -1e-7 < (found - best.fun) / abs(best.fun) < 1e-4
    np.testing.assert_allclose(_flat(free), best.x, atol=0.02)


def test_a_whole_fit_ends_there_and_says_so(split):
    model, null = _model(split.spec), mean_counts(split.train)
    value, size = _objective(split.train, null)
    best = minimize(value, np.zeros(size), jac=True, method="L-BFGS-B", tol=1e-12)
    begun = time.perf_counter()
    made = fit(model, split, key=jax.random.key(1))
    assert 0 < made.training["compile_s"] < time.perf_counter() - begun
    assert made.training["optimiser"] == "lbfgs"
    assert made.training["converged"]
    assert made.curve[-1]["train_loss"] == pytest.approx(best.fun, rel=1e-4)
    # The parameters kept are those best on validation, at or before the optimum.
    assert value(_flat(made.params))[0] < best.fun + 0.02


def test_a_seed_that_is_lost_does_not_keep_the_others_from_their_end():
    walker: Any = Lbfgs.__new__(Lbfgs)
    walker.table = SimpleNamespace(stimulus=None, counts=None)
    walker.fixed, walker.every, walker.max_steps, walker.settle = {}, 10, 100, 1e-6
    walker.walk, walker.last = [(1.0, None), (np.nan, None)], np.array([1.0, 1.0])
    walker._round = lambda free, state, *_: (free, state, free)
    walker.advance(0, np.ones(2))
    assert walker.settled
