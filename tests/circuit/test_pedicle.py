"""Feedback of horizontal cells on cone pedicles: equation, surround, switches."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from retina.circuit.horizontal import horizontal, steady
from retina.circuit.pedicle import MEAN_MV, SIZE_PA, pedicle
from retina.circuit.population import Population
from retina.errors import BadSetting

ONE = Population("cone", (1,))
CONES = Population("cone", (7, 7), spacing_um=10.0)
SHEET = Population("horizontal", (4, 4), spacing_um=20.0)
SWITCHES = [s for s in itertools.product((True, False), repeat=3) if any(s)]


def _named(switches) -> dict[str, bool]:
    return dict(zip(("ephaptic", "ph", "gaba"), switches, strict=True))


def _run(stage, params, x):
    x = jnp.asarray(x, jnp.float32)
    return np.asarray(jax.jit(stage.apply)(params, stage.start(params), x)[1])


@pytest.mark.parametrize("switches", SWITCHES)
def test_at_the_mean_it_rests(switches):
    """Of every set of pathways: the root of its equations is where the loop stays."""
    stage = pedicle(ONE, ONE, 0.01, **_named(switches))
    params = stage.init(jax.random.key(0))
    y = _run(stage, params, np.zeros((40, 1)))
    np.testing.assert_allclose(y, 0, atol=2e-4)
    # Also from other values, about a standing level.
    moved = params | {"glutamate": 2 * params["glutamate"]}
    y = _run(stage, moved, np.zeros((40, 1)))
    assert np.ptp(y) < 2e-4
    # GABA by itself is released to the full at the mean: it only answers bright light.
    assert (abs(y[0, 0]) > 1e-2) == any(switches[:2])


def test_one_cone_is_the_loop_that_was_tested_against_a_solver():
    stage, inner = pedicle(ONE, ONE, 0.01), horizontal(1, 1, 0.01, gaba=False)
    params = stage.init(jax.random.key(0))
    x = np.random.default_rng(0).standard_normal((30, 1))
    loop = {n: v for n, v in params.items() if n != "depth_mv"}
    still = steady(loop, MEAN_MV)
    begin = {
        n: jnp.broadcast_to(still[n], v.shape) for n, v in inner.start(loop).items()
    }
    volts = jnp.asarray(MEAN_MV - 10 * x[:, :, None], jnp.float32)
    calcium = np.asarray(inner.apply(loop, begin, volts)[1])[:, 0]
    expected = (float(still["Ca"]) - calcium) / SIZE_PA
    np.testing.assert_allclose(_run(stage, params, x), expected, atol=1e-5)


@pytest.mark.parametrize("pathway", ["ephaptic", "ph"])
def test_light_around_a_cone_turns_it_down(pathway: str):
    """The surround has the other sign, and falls with the distance."""
    stage = pedicle(
        CONES, SHEET, 0.01, surround_um=15.0, **(_named((False,) * 3) | {pathway: True})
    )
    params = stage.init(jax.random.key(0))
    spot = np.zeros((60, 7, 7))
    spot[20:, :2, :2] = 2.0
    y = _run(stage, params, spot.reshape(60, -1)).reshape(60, 7, 7)
    assert y[-1, 0, 0] > 0.5
    near, far = y[-1, 2, 2], y[-1, 6, 6]
    assert near < -0.01 and abs(far) < abs(near) / 3


def test_feedback_turns_a_standing_light_down_in_time():
    """At the switch the loop has not answered yet: more, then less."""
    stage = pedicle(ONE, ONE, 0.005)
    params = stage.init(jax.random.key(0)) | {"tau_ca_s": jnp.float32(0.006)}
    deaf = params | {n: jnp.float32(0) for n in ("cleft", "depth_ph")}
    light = np.ones((100, 1))
    heard = _run(stage, params, light)[:, 0]
    alone = (_run(stage, deaf, light) - _run(stage, deaf, 0 * light))[:, 0]
    assert heard.max() > 1.2 * heard[-1]
    assert heard[-1] < 0.8 * alone[-1]


def test_without_a_pathway_there_is_no_feedback():
    with pytest.raises(BadSetting, match="feed nothing back: switch one on"):
        pedicle(ONE, ONE, 0.01, ephaptic=False, ph=False)
