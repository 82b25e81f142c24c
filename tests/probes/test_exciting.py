"""The most exciting input, where it is known in closed form."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from retina import exciting_input
from retina.errors import BadSetting
from retina.probes.rates import history, rates
from tests.probes import fits

KEY = jax.random.key(0)
SPECS = pytest.mark.parametrize(
    "spec", [fits.IMAGE, fits.FIELD], ids=["image", "field"]
)


@SPECS
def test_for_an_ln_model_it_is_the_filter_scaled_to_the_norm(spec):
    fit, filters = fits.linear(spec)
    best = exciting_input(fit, 1, key=KEY, norm=3.0)
    shown = filters[1][::-1]  # a clip runs on towards lag 0
    wanted = 0.4 + 1.5 * 3.0 * shown / np.linalg.norm(shown)
    np.testing.assert_allclose(best.stimulus, wanted, atol=0.005)
    u = 3.0 * np.linalg.norm(shown) + float(fit.params["output"]["bias"][1])
    rate = float(fit.params["output"]["gain"][1]) * np.log1p(np.exp(u))
    assert best.rate.shape == (4, 2)
    assert best.rate[-1, 1] == pytest.approx(rate, rel=1e-3)


def test_within_limits_it_is_the_filters_sign():
    fit, filters = fits.linear(fits.IMAGE)
    best = exciting_input(fit, 0, key=KEY, norm=None, limits=(-1.0, 2.0))
    wanted = np.where(filters[0][::-1] > 0, 2.0, -1.0)
    strong = np.abs(filters[0][::-1]) > 0.05 * np.abs(filters[0]).max()
    np.testing.assert_allclose(best.stimulus[strong], wanted[strong], atol=1e-5)
    both = exciting_input(fit, 0, key=KEY, norm=4.0, limits=(-1.0, 2.0))
    assert both.stimulus.min() >= -1.0 and both.stimulus.max() <= 2.0
    assert np.linalg.norm((both.stimulus - 0.4) / 1.5) <= 4.0 + 1e-4


def test_over_several_bins_it_is_the_best_of_their_sum():
    fit, _ = fits.linear(fits.FIELD)
    best = exciting_input(fit, 0, key=KEY, over=3)
    assert best.stimulus.shape == (6,)
    z = (best.stimulus - 0.4) / 1.5
    generator = np.random.default_rng(0)
    other = z + 0.3 * generator.standard_normal((50, 6))
    other *= 5.0 / np.linalg.norm(other, axis=1, keepdims=True)
    clips = 0.4 + 1.5 * np.pad(other, ((0, 0), (history(fit.model), 0)))
    others = jax.vmap(lambda x: rates(fit, x)[-3:, 0].mean())
    assert others(jnp.asarray(clips, jnp.float32)).max() < best.rate[-3:, 0].mean()


def test_against_another_cell_that_one_stays_quiet():
    fit, filters = fits.linear(fits.IMAGE)
    both = filters + filters[::-1]  # what the cells share
    params = fit.params | {
        "space_time": fit.params["space_time"]
        | {"filters": jnp.asarray(filters + 0.7 * both)}
    }
    fit = fits.Fit(fit.model, params, (), fits.NULL, {}, (), {})
    alone = exciting_input(fit, 0, key=KEY)
    told_apart = exciting_input(fit, 0, key=KEY, against=[1])

    def contrast(rate: np.ndarray) -> float:
        often = np.log1p(rate[-1] / fits.NULL)
        return float(often[0] - often[1])

    assert alone.rate[-1, 0] > told_apart.rate[-1, 0]
    assert told_apart.rate[-1, 1] < 0.5 * alone.rate[-1, 1]
    assert contrast(told_apart.rate) > contrast(alone.rate) + 0.5


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("lstm", {"window": 4, "units": 4}),
        ("recursive_ln", {"window": 4, "stages": 2}),
        ("glm", {"lags": 4, "window": 4, "history": 4, "history_basis": 3}),
        ("cnn", {"lags": 4, "basis": 3, "channels": 2, "sizes": (3, 3)}),
    ],
)
def test_it_beats_noise_of_its_own_norm_and_the_key_decides(name, settings):
    fit = fits.drawn(name, fits.IMAGE, **settings)
    best, again = (
        exciting_input(fit, 0, key=KEY, steps=40, starts=2, lags=6) for _ in range(2)
    )
    assert np.array_equal(best.stimulus, again.stimulus)
    z = np.random.default_rng(1).standard_normal((40, 6, 5, 4))
    z *= 5.0 / np.sqrt(np.square(z).sum((1, 2, 3), keepdims=True))
    lead = np.zeros((40, history(fit.model), 5, 4))
    clips = jnp.asarray(0.4 + 1.5 * np.concatenate([lead, z], 1), jnp.float32)
    others = jax.jit(jax.vmap(lambda x: rates(fit, x)[-1, 0]))(clips)
    assert best.rate[-1, 0] > float(others.max())
    # What it reports is what the model says to it after the stimulus mean.
    whole = np.concatenate([np.full(lead.shape[1:], 0.4, np.float32), best.stimulus])
    rate = fits.said(fit, whole)[-6:]
    np.testing.assert_allclose(best.rate, rate, rtol=1e-4, atol=1e-5)


def test_what_cannot_be_asked_is_one_line():
    fit, _ = fits.linear(fits.FIELD, "exp")
    with pytest.raises(BadSetting, match="give norm or limits"):
        exciting_input(fit, 0, key=KEY, norm=None)
    with pytest.raises(BadSetting, match="norm 0"):
        exciting_input(fit, 0, key=KEY, norm=0.0)
    with pytest.raises(BadSetting, match="low below high"):
        exciting_input(fit, 0, key=KEY, limits=(1.0, 1.0))
    with pytest.raises(BadSetting, match="cell 7"):
        exciting_input(fit, 0, key=KEY, against=[7])
    with pytest.raises(BadSetting, match="overflows: lower it"):
        exciting_input(fit, 0, key=KEY, norm=1e4, steps=3)
