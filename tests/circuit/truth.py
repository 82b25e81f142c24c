"""What every part that integrates an equation is put through.

A case states the part's own equations once more, in plain Python, and the errors that
are accepted; the states of a part are a flat dict, so that the two can be compared.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from retina.stage import Stage

Named = Mapping[str, Any]


@dataclasses.dataclass(frozen=True, eq=False)
class Case:
    """One part, its equations, and what is expected of it.

    make:    (cells, bin_s, dt_s or None) -> the stage.
    slope:   (params, state, x, name -> number) -> derivatives by name.
    light:   (bins,) input for the comparison; held within a bin.
    bin_s:   its bin.
    error:   accepted error of each state at the default sub-step, in standard
             deviations of that state.
    dt_s:    a sub-step that divides the bin, from which it is halved twice.
    hostile: levels that are held and jumped between.
    low:     what no state may fall below, by name.
    high:    the same, above.
    cells:   so many hear hostile input side by side.
    states:  those compared; all by default.
    again:   the equations of another case with other numbers: compared alone.
    order:   of the method: the error falls with this power of the sub-step.
    """

    name: str
    make: Callable[..., Stage]
    slope: Callable[[Named, Named, float], Named]
    light: np.ndarray
    bin_s: float
    error: float
    dt_s: float
    hostile: tuple[float, ...]
    low: Named = dataclasses.field(default_factory=dict)
    high: Named = dataclasses.field(default_factory=dict)
    cells: int = 1
    states: tuple[str, ...] = ()
    again: bool = False
    order: int = 1


def flicker(
    mean: float, contrast: float, bins: int, held: int, step: float = 1.0, seed: int = 0
) -> np.ndarray:
    """Binary flicker about a mean, every level held, the mean stepped half-way."""
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], bins // held + 1)
    light = mean * (1 + contrast * np.repeat(signs, held)[:bins])
    light[bins // 2 :] *= step
    return light


def run(stage: Stage, params, x):
    """Every state after each bin, and the output: dict of (time, cell)."""

    def one(state, x_t):
        state, y = stage.step(params, state, x_t)
        return state, (state, y)

    return jax.lax.scan(one, stage.start(params), x)[1]


def in_float64(stage: Stage):
    return {n: jnp.float64(v) for n, v in stage.init(jax.random.key(0)).items()}


def found(case: Case, dt_s: float | None) -> dict[str, np.ndarray]:
    """(bins + 1,) per state, the start first, in float64."""
    with jax.enable_x64(True):
        stage = case.make(1, case.bin_s, dt_s)
        params = in_float64(stage)
        x = jnp.asarray(case.light)[:, None]
        states, _ = jax.jit(functools.partial(run, stage))(params, x)
        start = stage.start(params)
        return {
            n: np.concatenate([np.ravel(start[n]), np.reshape(v, (len(v), -1))[:, 0]])
            for n, v in states.items()
        }


@functools.cache
def exact(case: Case) -> dict[str, np.ndarray]:
    """The same by scipy's LSODA, rtol 1e-8."""
    with jax.enable_x64(True):
        stage = case.make(1, case.bin_s, None)
        params = {n: float(v.ravel()[0]) for n, v in in_float64(stage).items()}
        begin = {n: np.ravel(v) for n, v in stage.start(in_float64(stage)).items()}
    names = sorted(begin)
    state = np.array([float(begin[n][0]) for n in names])
    rows = [state]
    for level in case.light:

        def slope(_, y, level=level):
            rates = case.slope(params, dict(zip(names, y, strict=True)), float(level))
            return [rates[n] for n in names]

        solved = solve_ivp(
            slope, (0, case.bin_s), state, "LSODA", rtol=1e-8, atol=1e-10
        )
        state = solved.y[:, -1]
        rows.append(state)
    return dict(zip(names, np.array(rows).T, strict=True))


def errors(case: Case, dt_s: float | None) -> dict[str, float]:
    """Root mean square error of each state, in its own standard deviations."""
    ours, true = found(case, dt_s), exact(case)
    return {
        n: float(np.sqrt(np.mean((ours[n] - true[n]) ** 2)) / true[n].std())
        for n in case.states or ours
    }


def extremes(case: Case, seconds: float = 600.0) -> dict[str, tuple[float, float]]:
    """Least and largest value of each state under the hostile input, in float32.

    seconds: that each of `case.cells` hears, every one its own series.
    """
    stage = case.make(case.cells, case.bin_s, None)
    params = stage.init(jax.random.key(0))
    bins = round(seconds / case.bin_s)
    levels = np.random.default_rng(0).choice(case.hostile, (bins // 7 + 1, case.cells))
    # Held for seven bins, then in the last third jumping in every one.
    x = np.repeat(levels, 7, axis=0)[:bins]
    x[2 * bins // 3 :] = np.random.default_rng(1).permutation(x)[2 * bins // 3 :]

    @jax.jit
    def ends(params, x):
        def one(carry, x_t):
            state, low, high = carry
            state, _ = stage.step(params, state, x_t)
            low = jax.tree.map(jnp.minimum, low, state)
            high = jax.tree.map(jnp.maximum, high, state)
            return (state, low, high), None

        begin = stage.start(params)
        (_, low, high), _ = jax.lax.scan(one, (begin, begin, begin), x)
        return low, high

    low, high = ends(params, jnp.asarray(x, jnp.float32))
    return {n: (float(low[n].min()), float(high[n].max())) for n in low}


def slopes(
    make: Callable[[], Stage], light: np.ndarray, bins: int = 12
) -> dict[str, tuple[float, float]]:
    """Derivative of a sum of the output by each trained parameter: ours, differences.

    make:  the stage, whose params are a flat dict; light: its input, (bins,) or more.

    Per relative change of the parameter, in float64.
    """
    with jax.enable_x64(True):
        stage = make()
        params = in_float64(stage)
        x = jnp.asarray(light[:bins])[:, None]
        weights = jnp.cos(jnp.arange(len(x), dtype=jnp.float64))[:, None]

        @jax.jit
        def total(params):
            return jnp.sum(weights * run(stage, params, x)[1])

        gradient = jax.jit(jax.grad(total))(params)
        result = {}
        for n, described in stage.parameters.items():
            if not described.trainable:
                continue
            size = float(jnp.abs(params[n]).max()) or 1.0
            up, down = (
                float(total(params | {n: params[n] + sign * 1e-5 * size}))
                for sign in (1, -1)
            )
            result[n] = (float(gradient[n].sum()) * size, (up - down) / 2e-5)
        return result


def check_slopes(found: dict[str, tuple[float, float]]) -> None:
    """Float64; central differences of 1e-5 are right to about 1e-9 and rounding."""
    assert found
    largest = max(abs(ours) for ours, _ in found.values())
    for name, (ours, differences) in found.items():
        close = pytest.approx(differences, rel=1e-4, abs=1e-6 * largest)
        assert ours == close and ours != 0, name


def transitions(up: np.ndarray, down: np.ndarray) -> np.ndarray:
    """(K, K) a chain of states as a matrix: row k holds the chances to go from k."""
    matrix = np.diag(up, 1) + np.diag(down, -1)
    return matrix + np.diag(1 - matrix.sum(1))
