"""Units of light, from the card to the photoreceptor."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from retina.errors import BadSetting
from retina.layers.light import light, mean_light
from retina.types import Spec


def test_contrast_and_coded_light_are_the_same_light():
    """Contrast c is mean (1 + c); bytes about a mean of 100 are mean x / 100."""
    contrast = np.array([-1.0, -0.5, 0.0, 1.0], np.float32)
    coded = np.array([0, 50, 100, 200], np.uint8)
    by_design = light(Spec((), 1, 0.01), 500.0)
    stored = light(Spec((), 1, 0.01, stimulus_mean=100.0, stimulus_sd=30.0), 500.0)
    wanted = np.array([0.0, 250.0, 500.0, 1000.0]).reshape(4, 1, 1)
    for stage, shown in ((by_design, contrast), (stored, coded)):
        found = stage.apply({}, (), jnp.asarray(shown))[1]
        np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_nothing_is_darker_than_darkness():
    stage = light(Spec((2,), 1, 0.01), 500.0)
    assert not np.any(stage.step({}, (), jnp.array([-1.0, -7.0]))[1])


def test_a_stimulus_that_is_no_light_is_refused():
    about_zero = Spec((), 1, 0.01, stimulus_mean=1e-3, stimulus_sd=0.48, dataset="mine")
    with pytest.raises(BadSetting, match="mine: .* mean 0.001 .* is no light"):
        light(about_zero, 500.0)


def test_the_mean_comes_from_the_keyword_or_the_card():
    known = Spec((), 1, 0.01, mean_rstar_per_s=300.0)
    assert mean_light(known, None) == 300
    assert mean_light(known, 20.0) == 20
    with pytest.raises(BadSetting) as told:
        mean_light(Spec((), 1, 0.01, dataset="mine"), None)
    said = str(told.value)
    assert said.startswith("mine does not say") and "\n" not in said
    assert "mean_rstar_per_s" in said and "on the card" in said
    with pytest.raises(BadSetting, match="mean_rstar_per_s 0: above 0"):
        mean_light(known, 0.0)
