"""Amacrine inhibition, gap junctions and gains against what their equations give."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import expm

from retina.circuit.amacrine import amacrine
from retina.circuit.contrast_gain import contrast_gain
from retina.circuit.gap_junction import C_NF, LEAK_NS, REST_MV, gap_junction
from retina.circuit.slow_gain import slow_gain
from retina.costs.flops import count_step
from retina.errors import BadSetting
from tests.circuit.truth import in_float64, run


def _apply(stage, x, **changed):
    params = stage.init(jax.random.key(0))
    params |= {n: jnp.full_like(params[n], v) for n, v in changed.items()}
    x = jnp.asarray(x, jnp.float32)
    return np.asarray(stage.apply(params, stage.start(params), x)[1], np.float64)


def test_an_amacrine_cell_is_heard_after_its_delay():
    """A step of 1: 1 - b max(1 - e^(-t/tau) - theta, 0), three bins later."""
    stage = amacrine(1, None, 0.01, site="postsynaptic", delay=3)
    out = _apply(stage, np.ones((40, 1)), to=1.0, back=0.5, tau_s=0.05, theta=0.1)
    t = 0.01 * (np.arange(40) + 1 - 3)
    active = np.maximum(1 - np.exp(-t / 0.05) - 0.1, 0) * (t > 0)
    np.testing.assert_allclose(out[:, 0], 1 - 0.5 * active, atol=1e-5)


def test_presynaptic_feedback_settles_where_release_and_inhibition_agree():
    """r = x / (1 + b (w r - theta)): a quadratic; without theta and x = 6, r = 2."""
    stage = amacrine(1, None, 0.01)
    out = _apply(stage, np.full((200, 1), 6.0), to=1.0, back=1.0, theta=0.0)
    assert out[-1, 0] == pytest.approx(2.0, rel=1e-3)
    assert out[0, 0] == pytest.approx(6.0)  # nothing has been heard yet


def test_a_wide_field_cell_hears_all_and_inhibits_all():
    x = np.zeros((60, 3))
    x[:, 0] = 3.0
    wide = _apply(amacrine(3, 1, 0.01, site="postsynaptic"), x)
    narrow = _apply(amacrine(3, None, 0.01, site="postsynaptic"), x)
    assert np.all(wide[-1, 1:] < -0.1) and np.all(narrow[-1, 1:] == 0)
    with pytest.raises(BadSetting, match="delay 0: 1 or more"):
        amacrine(3, 1, 0.01, delay=0)
    with pytest.raises(BadSetting, match="did you mean 'presynaptic'"):
        amacrine(3, 1, 0.01, site="presynaptc")


def _row(coupling: float, seconds: float) -> np.ndarray:
    """Three coupled cells, 30 pA into the first: the matrix exponential."""
    away = coupling * np.array([[1, -1, 0], [-1, 2, -1], [0, -1, 1.0]])
    matrix = -(LEAK_NS * np.eye(3) + away) / C_NF
    goal = np.linalg.solve(-matrix, np.array([30.0, 0, 0]) / C_NF)
    return REST_MV + goal - expm(matrix * seconds) @ goal


@pytest.mark.parametrize("coupling", [0.0, 0.1, 1.0, 10.0])
def test_coupled_cells_follow_their_linear_equation(coupling: float):
    """Explicit Euler, float64: a first-order error, below 1 % of the 30 mV response."""
    current = np.zeros((20, 3))
    current[:, 0] = 30.0
    errors = []
    # At least four sub-steps a bin, so that halving them does halve them.
    safe_s = C_NF / (LEAK_NS + 16 * coupling)
    parts = max(4, math.ceil(0.002 / safe_s))
    exact = np.array([_row(coupling, 0.002 * (t + 1)) for t in range(20)])
    for number in (parts, 2 * parts):
        stage = gap_junction(3, 0.002, coupling, dt_s=0.002 / number)
        with jax.enable_x64(True):
            states, _ = run(stage, in_float64(stage), jnp.asarray(current))
        errors.append(np.abs(np.asarray(states["V"]) - exact).max())
    assert errors[0] < 0.3
    assert 1.9 < errors[0] / errors[1] < 2.1


def test_tight_coupling_comes_to_be_fusion():
    current = np.zeros((30, 2))
    current[:, 0] = 30.0
    fused = _apply(gap_junction(2, 0.002, math.inf), current)
    tight = _apply(gap_junction(2, 0.002, 50.0), current)
    alone = _apply(gap_junction(2, 0.002, 0.0), current)
    np.testing.assert_allclose(fused[-1], REST_MV + 15, atol=0.1)
    np.testing.assert_allclose(tight[-1], fused[-1], atol=0.3)
    np.testing.assert_allclose(alone[-1], [REST_MV + 30, REST_MV], atol=0.1)


def test_a_pair_costs_four_flops():
    def flops(cells: int, coupling: float) -> int:
        stage = gap_junction(cells, 1e-4, coupling)
        params = stage.init(jax.random.key(0))
        return count_step(stage, params, jnp.zeros(cells))[1].flops

    for cells in (2, 5, 9):
        assert flops(cells, 1.0) - flops(cells, 0.0) == 4 * (cells - 1)
    with pytest.raises(BadSetting, match="is not safe; give 0.000588 s or less"):
        gap_junction(3, 0.01, 1.0, dt_s=0.005)
    with pytest.raises(BadSetting, match="coupling_ns -1: 0 or more"):
        gap_junction(3, 0.01, -1.0)


def test_contrast_gain_falls_within_its_time_constant():
    """At a steady input the state is the root of v = B tau x / (1 + v^4)."""
    out = _apply(contrast_gain(1, 0.01), np.ones((300, 1)))[:, 0]
    low, high = 0.0, 10.0
    for _ in range(60):
        v = (low + high) / 2
        low, high = (v, high) if v * (1 + v**4) < 88 * 0.17 else (low, v)
    assert out[-1] == pytest.approx(90 / (1 + v**4), rel=1e-3)
    assert out[0] > 3 * out[-1]


def test_slow_gain_follows_the_mean_of_its_patch():
    """-0.1 of a mean of 2, with 10 s: exact in every bin."""
    x = np.broadcast_to([1.0, 3.0], (3000, 2))
    out = _apply(slow_gain(2, 0.01), x)
    t = 0.01 * np.arange(3000)
    gain = 1 - 0.2 * (1 - np.exp(-t / 10))
    np.testing.assert_allclose(out, x * gain[:, None], rtol=1e-4)
