"""Horizontal cell feedback and bipolar cells do what they are there for."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from retina.circuit.bipolar import bipolar
from retina.circuit.horizontal import horizontal
from retina.costs.flops import count_step
from retina.errors import BadSetting


def _surround(**switches) -> tuple[float, float]:
    """Calcium of a cone in the dark: before its seven neighbours are lit, and after."""
    stage = horizontal(1, 8, 0.01, **switches)
    params = stage.init(jax.random.key(0))
    dark = np.full((200, 1, 8), -40.0, np.float32)
    lit = dark.copy()
    lit[:, :, 1:] = -55.0
    both = jnp.asarray(np.concatenate([dark, lit]))
    _, calcium = jax.jit(stage.apply)(params, stage.start(params), both)
    return float(calcium[199, 0, 0]), float(calcium[399, 0, 0])


@pytest.mark.parametrize("pathway", ["ephaptic", "ph"])
def test_light_around_a_cone_raises_its_calcium(pathway: str):
    """The surround: each pathway alone gives it, and without any there is none."""
    off = dict.fromkeys(("ephaptic", "ph", "gaba"), False)
    before, after = _surround(**{**off, pathway: True})
    assert after > 1.05 * before
    if pathway == "ph":
        before, after = _surround(**off)
        assert after == pytest.approx(before, rel=1e-5)


def test_a_pathway_that_is_off_costs_nothing():
    def flops(**switches):
        stage = horizontal(1, 1, 0.002, **switches)
        params = stage.init(jax.random.key(0))
        return count_step(stage, params, jnp.zeros((1, 1)))[1].flops

    # ... and has no parameter that a fit could not move.
    alone = horizontal(1, 1, 0.002, ephaptic=False, ph=False, gaba=False)
    assert not {"cleft", "depth_ph", "tau_ph_s", "g_gaba"} & set(alone.parameters)
    whole = flops()
    less = [flops(**{name: False}) for name in ("ephaptic", "ph", "gaba")]
    none = flops(ephaptic=False, ph=False, gaba=False)
    # The page estimates 120 - 150 FLOPs and 8 transcendentals for its 14 states; this
    # has 4 states and a linear pH, without the ribbon.
    assert none < min(less) and max(less) < whole < 100


def test_on_and_off_cells_answer_light_with_opposite_signs():
    """Light lowers glutamate: ON cells release more, OFF cells less."""
    glutamate = np.concatenate([np.full((100, 1), 8.0), np.full((100, 1), 2.0)])
    released = {}
    for kind in ("on", "off"):
        stage = bipolar(1, 0.01, kind)
        params = stage.init(jax.random.key(0))
        x = jnp.asarray(glutamate, jnp.float32)
        _, out = stage.apply(params, stage.start(params), x)
        released[kind] = (float(out[99, 0]), float(out[199, 0]))
        assert float(out.min()) >= 0
    assert released["on"][1] > 1.5 * released["on"][0]
    assert released["off"][1] < released["off"][0] / 1.5
    with pytest.raises(BadSetting, match="'onn': did you mean 'on'"):
        bipolar(1, 0.01, "onn")
    with pytest.raises(BadSetting, match="give 0.002 s or less"):
        bipolar(1, 0.01, "on", dt_s=0.01)


def test_the_on_cascade_is_the_published_one():
    """dm/dt = 0.04 (1 - Glu)(1 - m) - 0.04 Glu m per ms is linear: 25 ms to 1 - Glu."""
    stage = bipolar(1, 0.001, "on")
    params = stage.init(jax.random.key(0))
    state, m = stage.start(params), 0.5
    x, fine = 3.0, 200
    glutamate = x**2 / (x**2 + 25)
    for _ in range(20):
        state, _ = stage.step(params, state, jnp.full(1, x))
        for _ in range(fine):
            rise = 0.04 * (1 - glutamate) * (1 - m) - 0.04 * glutamate * m
            m += rise / fine
    assert float(state["m"][0]) == pytest.approx(m, rel=1e-3)
