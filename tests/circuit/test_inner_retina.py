"""Amacrine inhibition, gap junctions and gains against what their equations give."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import expm

from retina.circuit.circuit import circuit
from retina.circuit.contrast_gain import contrast_gain
from retina.circuit.coupled import LEAK_NS, coupled
from retina.circuit.declaration import Circuit, Projection
from retina.circuit.kernels import dense, one_to_one
from retina.circuit.leaky_rectifier import SOFT, leaky_rectifier
from retina.circuit.population import Population
from retina.circuit.slow_gain import slow_gain
from retina.costs.flops import count_step
from retina.errors import BadSetting


def _apply(stage, x, **changed):
    params = stage.init(jax.random.key(0))
    params |= {n: jnp.full_like(params[n], v) for n, v in changed.items()}
    x = jnp.asarray(x, jnp.float32)
    return np.asarray(stage.apply(params, stage.start(params), x)[1], np.float64)


LOUD = SOFT * math.log1p(math.exp(-0.1 / SOFT))  # of an amacrine cell at rest


def _inhibited(cells: int, wide: bool, effect: str, site: str, delay: int = 1):
    """Bipolar release, and amacrine cells that turn it down where it is heard.

    site: "before": they hear what is left of release; "after": what there was.
    """
    release, left = Population("release", (cells,)), Population("left", (cells,))
    number = 1 if wide else cells
    amacrine = Population("amacrine", (number,), leaky_rectifier, safe_s=0.01)
    kernel = dense() if wide else one_to_one()
    heard = "left" if site == "before" else "release"
    sign = -1 if effect == "add" else 1
    edges = (
        Projection("release", "left"),
        Projection(heard, "amacrine", kernel),
        Projection("amacrine", "left", kernel, sign=sign, delay=delay, effect=effect),
    )
    return circuit(Circuit((release, amacrine, left), edges), 0.01)


def _released(stage, x, back: float, tau_s: float = 0.05, theta: float = 0.1):
    params = stage.init(jax.random.key(0))
    for name, leaves in params.items():
        params[name] = {n: jnp.ones_like(v) for n, v in leaves.items()}
    for name in params:
        if name.startswith("amacrine->"):
            params[name] = {n: back * v for n, v in params[name].items()}
    ones = params["amacrine"]["theta"]
    params["amacrine"] = {"tau_s": tau_s * ones, "theta": theta * ones}
    x = jnp.asarray(x, jnp.float32)
    return np.asarray(stage.apply(params, stage.start(params), x)[1], np.float64)


def _soft(v):
    return SOFT * np.logaddexp(0, (v - 0.1) / SOFT)


def test_an_amacrine_cell_is_heard_after_its_delay():
    """A step of 1: 1 - b s softplus((1 - e^(-t/tau) - theta)/s), three bins later."""
    stage = _inhibited(1, False, "add", "after", delay=3)
    out = _released(stage, np.ones((40, 1)), 0.5)
    t = 0.01 * (np.arange(40) + 1 - 3)
    active = _soft(1 - np.exp(-t / 0.05)) * (t > 0)
    np.testing.assert_allclose(out[:, 0], 1 - 0.5 * active, atol=1e-5)


def test_feedback_settles_where_release_and_inhibition_agree():
    """r = x / (1 + a(r)), its root by bisection; at first nothing has been heard."""
    stage = _inhibited(1, False, "divide", "before")
    out = _released(stage, np.full((200, 1), 6.0), 1.0)
    low, high = 0.0, 6.0
    for _ in range(60):
        r = (low + high) / 2
        low, high = (r, high) if r * (1 + _soft(r)) < 6 else (low, r)
    assert out[-1, 0] == pytest.approx(r, rel=1e-3)
    assert out[0, 0] == pytest.approx(6.0)


def test_a_wide_field_cell_hears_all_and_inhibits_all():
    x = np.zeros((60, 3))
    x[:, 0] = 3.0
    wide, narrow = (
        _released(_inhibited(3, wide, "add", "after"), x, 1.0) for wide in (True, False)
    )
    assert np.all(wide[-1, 1:] < -0.5)
    np.testing.assert_allclose(narrow[-1, 1:], -LOUD, rtol=1e-5)


def _row(coupling: float, seconds: float) -> np.ndarray:
    """Three coupled cells, 30 pA into the first: the matrix exponential."""
    away = coupling * np.array([[1, -1, 0], [-1, 2, -1], [0, -1, 1.0]])
    matrix = -(np.eye(3) + away / LEAK_NS) / 0.02
    goal = np.linalg.solve(-matrix, np.array([30.0, 0, 0]) / 0.02)
    return goal - expm(matrix * seconds) @ goal


@pytest.mark.parametrize("coupling", [0.0, 0.1, 1.0, 10.0])
def test_coupled_cells_follow_their_linear_equation(coupling: float):
    """Exact: float32 rounding of 30 mV is left."""
    current = np.zeros((20, 3))
    current[:, 0] = 30.0
    exact = np.array([_row(coupling, 0.01 * (t + 1)) for t in range(20)])
    found = _apply(coupled(1, 3, 0.01, coupling_ns=coupling), current)
    np.testing.assert_allclose(found, exact, atol=5e-5)


def test_tight_coupling_comes_to_be_fusion():
    """Two cells of one potential, which hear the mean of 30 and 0 pA."""
    current = np.zeros((30, 2))
    current[:, 0] = 30.0
    fused, tight, alone = (
        _apply(coupled(1, 2, 0.01, coupling_ns=g), current) for g in (math.inf, 500, 0)
    )
    t = 0.01 * (np.arange(30) + 1)
    mean = 15 * (1 - np.exp(-t / 0.02))
    np.testing.assert_allclose(fused, np.stack([mean, mean], 1), atol=1e-4)
    np.testing.assert_allclose(tight, fused, atol=0.05)
    np.testing.assert_allclose(alone, np.stack([2 * mean, 0 * mean], 1), atol=1e-4)


def test_a_sheet_costs_four_products_whatever_the_coupling():
    def counted(height: int, width: int, coupling: float):
        stage = coupled(height, width, 0.01, coupling_ns=coupling)
        params = stage.init(jax.random.key(0))
        return count_step(stage, params, jnp.zeros(height * width))[1]

    for h, w in ((1, 5), (3, 4)):
        found = counted(h, w, 1.0)
        assert found.macs == 2 * (h * h * w + h * w * w)
        assert found.flops == 2 * found.macs + 3 * h * w  # two factors, a sum
        assert counted(h, w, 0.0).flops == counted(h, w, math.inf).flops == found.flops
    with pytest.raises(BadSetting, match="coupling_ns -1: 0 or more"):
        coupled(1, 3, 0.01, coupling_ns=-1.0)


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
