"""However a clip is convolved for a fit, a streaming step costs what it did."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import pytest

from retina import build
from retina.costs.flops import count, count_step
from retina.layers import conv3d, convolution, separable
from retina.types import Spec

SPECTRAL = {convolution: "spectral", conv3d: "spectral", separable: "spectrum"}
SPEC = Spec((32, 32), 2, 0.02)


def step_and_clip(name):
    """Counts of a step, and of a clip of 40 bins."""
    model = build.model(name, SPEC)
    params = jax.eval_shape(model.stage.init, jax.random.key(0))
    state = jax.eval_shape(lambda params: model.stage.start(params), params)
    clip = jax.ShapeDtypeStruct((40, *SPEC.frame), jnp.float32)
    shown = count(model.stage.apply, params, state, clip)
    return count_step(model, params), shown


# Of each layer that has the choice, a model.
@pytest.mark.parametrize("name", ["cnn", "bn_cnn", "core_readout"])
def test_fitting_through_the_spectrum_leaves_the_step_as_it_was(name, monkeypatch):
    for layer in SPECTRAL:
        plain = "maps" if layer is separable else "xla"
        monkeypatch.setattr(layer, "_fastest", lambda *shapes, way=plain: way)
    step, clip = step_and_clip(name)
    for layer, way in SPECTRAL.items():
        monkeypatch.setattr(layer, "_fastest", lambda *shapes, way=way: way)
    chosen, spectral = step_and_clip(name)
    assert spectral != clip, "the clip view does take the other way"
    assert chosen == step
    assert not any("fft" in counts.by_primitive for counts in chosen)
