"""A Poisson regression to a relative gap of 1e-6 of its optimum.

    python -m benchmarks.glm --peers PATH/bin/python

10^6 bins x 200 correlated features x 30 cells, rate = exp(weights . features + bias),
no penalty. The optimum is found first, by Newton's method in float64, outside the race.
A contender's time is that to the first parameters whose mean loss is within 1e-6 of it,
compilation included, the checks of a peer's loss left out. Ours is `retina.fit` of an
`ln` with one lag on frames of 10 x 20 pixels; it is judged on the data it is fitted on,
so that the parameters it returns are those of the optimum, and pays for that pass.
nemos takes the steps of its own solver one by one, without what its `fit` does after
the last (an estimate of the scale). scikit-learn fits one cell after another: the time
of `--alone` cells is taken, times how many there are of each.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks import inputs
from benchmarks.reports import options, parsed
from benchmarks.side_by_side import Contender, race

GAP = 1e-6
FULL = {"bins": 1_000_000, "features": 200, "cells": 30, "alone": 1, "limit_s": 300}
SMALL = FULL | {"bins": 4000, "features": 8, "cells": 3, "limit_s": 20}

NEMOS = "benchmarks.peers.poisson_glm:nemos"
SKLEARN = "benchmarks.peers.poisson_glm:sklearn"
CONTENDERS = [
    Contender("retina", "benchmarks.our_fits:regression"),
    Contender("nemos, default solver", NEMOS, True, reach=4.0),
    Contender("nemos, LBFGS", NEMOS, True, {"solver": "LBFGS"}, 4.0),
    Contender("nemos, BFGS", NEMOS, True, {"solver": "BFGS"}, 4.0),
    Contender("scikit-learn, lbfgs", SKLEARN, True, {"solver": "lbfgs"}),
    Contender(
        "scikit-learn, newton-cholesky", SKLEARN, True, {"solver": "newton-cholesky"}
    ),
]


def optimum(x: np.ndarray, y: np.ndarray) -> dict[str, Any]:
    """Weights and loss of each cell at the optimum: Newton's method, in float64.

    The curvature comes from a part of the bins, the slope from all.
    returns: {"losses": (cell,) mean of rate - count log rate, "left": what a last step
             would still gain of the mean loss, as a share of it}.
    raises:  RuntimeError where 40 steps do not get within a hundredth of GAP.
    """
    bins, features = x.shape
    part = np.linspace(0, bins - 1, min(bins, 50_000)).astype(int)
    some = np.column_stack([x[part], np.ones(len(part))]).astype(np.float64)
    weights = np.zeros((features + 1, y.shape[1]))
    weights[-1] = np.log(y.mean(0, dtype=np.float64))
    for _ in range(40):
        losses, slopes = losses_and_slopes(x, y, weights)
        rates = np.exp(some @ weights)
        gains = np.empty(y.shape[1])
        for n, rate in enumerate(rates.T):
            curvature = (some * rate[:, None]).T @ some / len(part)
            move = np.linalg.solve(curvature, slopes[:, n])
            gains[n] = slopes[:, n] @ move / 2
            # A step that would move the log rate by more than 1 (r.m.s.) is cut.
            far = np.sqrt(np.mean(np.square(some @ move)))
            weights[:, n] -= move / max(1.0, far)
        left = float(gains.mean() / abs(losses.mean()))
        if left < GAP / 100:
            losses, _ = losses_and_slopes(x, y, weights)
            return {"losses": losses.tolist(), "left": left}
    raise RuntimeError(f"the optimum was not found: {left:.1e} of the loss is left")


def losses_and_slopes(x, y, weights) -> tuple[np.ndarray, np.ndarray]:
    """Mean loss of each cell, and its slope (feature and bias, cell)."""
    losses, slopes = np.zeros(y.shape[1]), np.zeros_like(weights)
    for first in range(0, len(x), 50_000):
        here = slice(first, first + 50_000)
        one = x[here].astype(np.float64)
        drive = one @ weights[:-1] + weights[-1]
        rate = np.exp(drive)
        losses += (rate - y[here] * drive).sum(0)
        slopes[:-1] += one.T @ (rate - y[here])
        slopes[-1] += (rate - y[here]).sum(0)
    return losses / len(x), slopes / len(x)


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    parser = options(__doc__, rounds=3)
    for name in ("bins", "alone"):
        parser.add_argument(f"--{name}", type=int)
    parser.add_argument("--limit", type=float, dest="limit_s", help="seconds of a peer")
    chosen = parsed(parser, arguments)
    settings = SMALL if chosen.small else FULL
    settings = settings | {
        name: value
        for name in ("bins", "alone", "limit_s")
        if (value := getattr(chosen, name)) is not None
    }
    best = optimum(**inputs.regression(settings))
    given = settings | {"optimum": best["losses"], "gap": GAP}
    return race("glm", CONTENDERS, given, chosen, warm_ups=0)


if __name__ == "__main__":
    main()
