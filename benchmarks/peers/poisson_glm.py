"""Poisson regression by nemos and by scikit-learn, until it is near the optimum."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from benchmarks import inputs
from benchmarks.worker import Work, versions


def losses(x: np.ndarray, y: np.ndarray, weights, bias) -> np.ndarray:
    """(cell,) mean of rate - count log rate; products in float32, sums in float64."""
    total = np.zeros(y.shape[1])
    for first in range(0, len(x), 50_000):
        here = slice(first, first + 50_000)
        drive = (x[here] @ weights + bias).astype(np.float64)
        total += (np.exp(drive) - y[here] * drive).sum(0)
    return total / len(x)


def nemos(settings: dict[str, Any]) -> Work:
    """Its solver step by step; the loss is looked at while the clock stands."""
    import equinox
    import jax
    import jax.numpy as jnp
    import nemos as nmo

    drawn = inputs.regression(settings)
    x, y = drawn["x"], drawn["y"]
    best = float(np.mean(settings["optimum"]))
    given = jnp.asarray(x), jnp.asarray(y)
    name = settings.get("solver")
    chosen = {} if name is None else {"solver_name": name}

    def step() -> dict[str, Any]:
        glm = nmo.glm.PopulationGLM(**chosen)
        begun = time.perf_counter()
        params = glm.initialize_params(*given)
        state = glm.initialize_solver_and_state(*given, params)
        params = glm._validator.to_model_params(params)
        # One compiled program, as the loop of its `fit` is.
        update = equinox.filter_jit(glm.solver_update)
        seconds, curve, gap = time.perf_counter() - begun, [], np.inf
        first = None
        while gap > settings["gap"] and seconds < settings["limit_s"]:
            begun = time.perf_counter()
            params, state, _ = update(params, state, *given)
            jax.block_until_ready(params)
            took = time.perf_counter() - begun
            first = took if first is None else first
            seconds += took
            now = losses(x, y, np.asarray(params.coef), np.asarray(params.intercept))
            gap = float((now.mean() - best) / abs(best))
            curve.append([seconds, gap])
        reached = seconds if gap <= settings["gap"] else None
        told = {"solver": glm.solver_name, "curve": curve, "first_step_s": first}
        return {"seconds": reached, "spent_s": seconds, "gap": gap} | told

    return Work(step, versions("nemos", "jax"))


def sklearn(settings: dict[str, Any]) -> Work:
    """Some cells alone, each with the loosest tolerance that gets there, times all."""
    from sklearn.linear_model import PoissonRegressor

    drawn = inputs.regression(settings)
    x, y = drawn["x"], drawn["y"]
    alone, cells = settings["alone"], settings["cells"]
    best = settings["optimum"]

    def one(cell: int) -> dict[str, Any]:
        told: dict[str, Any] = {}
        for tolerance in (1e-3, 1e-4, 1e-5, 1e-6):
            model = PoissonRegressor(
                alpha=0, solver=settings["solver"], tol=tolerance, max_iter=200
            )
            begun = time.perf_counter()
            model.fit(x, y[:, cell])
            took = time.perf_counter() - begun
            weights = model.coef_.astype(np.float32)[:, None]
            now = losses(x, y[:, cell : cell + 1], weights, model.intercept_)[0]
            gap = float((now - best[cell]) / abs(best[cell]))
            told = {"seconds": took, "gap": gap, "tolerance": tolerance}
            if gap <= settings["gap"] or took > settings["limit_s"]:
                break
        return told

    def step() -> dict[str, Any]:
        each = [one(cell) for cell in range(alone)]
        spent = sum(told["seconds"] for told in each) * cells / alone
        there = all(told["gap"] <= settings["gap"] for told in each)
        extrapolated = {"cells_fitted": alone, "each": each}
        return {"seconds": spent if there else None, "spent_s": spent} | extrapolated

    return Work(step, versions("scikit-learn"))
