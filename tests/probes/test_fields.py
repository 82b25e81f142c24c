"""The model's spike-triggered average and its local one, against closed forms."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from retina import attribution, exciting_input, local_sta, model_sta
from retina.errors import BadSetting, ShapeMismatch
from retina.probes.rates import history, loudest, memory, rates
from tests.probes import fits

SPECS = pytest.mark.parametrize(
    "spec", [fits.IMAGE, fits.FIELD], ids=["image", "field"]
)
# One of each kind: a window, states, a gate, a rectified subunit, one that listens.
MODELS = {
    "recursive_ln": {"window": 4, "stages": 2},
    "lstm": {"window": 4, "units": 4},
    "conv_gru": {"channels": 2, "sizes": (3, 3)},
    "glm": {"lags": 4, "window": 4, "history": 4, "history_basis": 3},
    "cnn": {"lags": 4, "basis": 3, "channels": 2, "sizes": (3, 3)},
}
EVERY = pytest.mark.parametrize("name", MODELS)


@SPECS
def test_the_average_of_an_ln_model_is_its_filter(spec):
    fit, filters = fits.linear(spec)
    average = model_sta(fit, key=jax.random.key(0), bins=16384)
    assert average.shape == (4, 2, *spec.frame)
    for cell in range(2):
        # 80 values, each off by about 1 / sqrt(2 * 16384) of the noise's s.d.
        assert fits.along(average[:, cell], filters[cell]) > 0.99


def test_its_size_is_that_of_the_closed_form():
    """exp(w z): the noise before a spike is Gaussian with its mean moved to w."""
    fit, filters = fits.linear(fits.FIELD, "exp")
    average = model_sta(fit, key=jax.random.key(0), bins=65536)
    wanted = 1.5 * filters.swapaxes(0, 1)
    np.testing.assert_allclose(average, wanted, atol=0.05 * np.abs(wanted).max())


def test_lags_beyond_the_filter_show_nothing_and_the_key_decides():
    fit, _ = fits.linear(fits.FIELD)
    one, again, other = (
        model_sta(fit, key=jax.random.key(k), bins=4096, lags=7) for k in (0, 0, 1)
    )
    assert np.array_equal(one, again) and not np.array_equal(one, other)
    assert np.abs(one[4:]).max() < 0.1 * np.abs(one[:4]).max()


def test_the_local_average_of_an_ln_model_is_its_filter_times_the_slope():
    fit, filters = fits.linear(fits.IMAGE)
    stimulus = fits.noise(fits.IMAGE, 30)
    moments = [3, 17, 29]
    field = local_sta(fit, stimulus, 1, moments)
    u = fits.drive(fit, filters, stimulus)[moments, 1]
    slope = float(fit.params["output"]["gain"][1]) / (1 + np.exp(-u)) / 1.5
    wanted = slope[:, None, None, None] * filters[1][None]
    np.testing.assert_allclose(field, wanted, rtol=2e-5, atol=1e-6)
    longer = local_sta(fit, stimulus, 1, [17], lags=6)
    np.testing.assert_allclose(longer[0, :4], field[1], rtol=1e-6)
    assert not longer[0, 4:].any()


@EVERY
def test_a_local_average_is_the_slope_of_the_rate(name):
    fit = fits.drawn(name, fits.IMAGE, **MODELS[name])
    lead = history(fit.model)
    stimulus = fits.noise(fits.IMAGE, lead + 3)
    moment = lead + 1
    (field,) = local_sta(fit, stimulus, 0, [moment])
    assert field.shape == (memory(fit.model), 5, 4)
    step = 0.02 * np.random.default_rng(5).standard_normal(field.shape)
    rate = jax.jit(lambda x: rates(fit, x)[moment, 0])

    def moved(sign: float) -> float:
        other = stimulus.astype(np.float64)
        other[moment + 1 - len(field) : moment + 1] += sign * step[::-1]
        return float(rate(jnp.asarray(other, jnp.float32)))

    slope = (moved(1) - moved(-1)) / 2
    # float32 rates differ by a few 1e-8; a kink of the CNN in between bends a little.
    assert slope == pytest.approx(float((field * step).sum()), rel=0.02, abs=3e-6)


@EVERY
def test_every_model_has_an_average(name):
    fit = fits.drawn(name, fits.IMAGE, **MODELS[name])
    average = model_sta(fit, key=jax.random.key(0), bins=512)
    assert average.shape == (memory(fit.model), 2, 5, 4)
    assert np.isfinite(average).all() and average.any()


def test_where_nothing_has_a_slope_the_probes_that_need_one_say_so():
    """A table's average is there, and its rate changes: in steps."""
    fit = fits.drawn("lookup_table", fits.IMAGE, lags=4, window=4)
    noise = fits.noise(fits.IMAGE, 12)
    assert np.ptp(fits.said(fit, noise)[3:, 0]) > 0.1
    assert model_sta(fit, key=jax.random.key(0), bins=512).any()
    flat = "lookup_table: the rate of cell 0 has no slope here .*model_sta"
    with pytest.raises(BadSetting, match=flat):
        local_sta(fit, noise, 0, [5, 9])
    with pytest.raises(BadSetting, match=flat):
        exciting_input(fit, 0, key=jax.random.key(0), steps=3)


def test_local_averages_add_up_to_the_average():
    """Stein's lemma: what noise shows on the whole is the mean of the local slopes."""
    fit = fits.drawn("lnln", fits.FIELD, lags=4, subunits=3)
    noise = fits.noise(fits.FIELD, 2003)
    mean = local_sta(fit, noise, 0, range(3, 2003)).mean(0)
    rate = fits.said(fit, noise)[3:, 0].mean()
    average = model_sta(fit, key=jax.random.key(0), bins=16384)[:, 0]
    off = np.abs(average - 1.5**2 * mean / rate).max()
    assert off < 0.05 * np.abs(average).max()


def test_the_loudest_moments_lie_apart_and_have_a_history():
    fit, _ = fits.linear(fits.FIELD)
    noise = fits.noise(fits.FIELD, 200)
    found = loudest(fit, noise, 0, 5)
    rate = fits.said(fit, noise)[:, 0]
    assert found[0] == 3 + int(rate[3:].argmax())
    assert list(rate[found]) == sorted(rate[found], reverse=True)
    assert min(np.diff(sorted(found))) >= 4 and min(found) >= 3
    assert len(loudest(fit, noise[:10], 0, 5)) < 5


def test_what_cannot_be_asked_is_one_line():
    fit, _ = fits.linear(fits.IMAGE)
    noise = fits.noise(fits.IMAGE, 9)
    for probe in (local_sta, attribution):
        with pytest.raises(BadSetting, match="moment 2: ln needs 3 bins before it"):
            probe(fit, noise, 0, [2])
        with pytest.raises(BadSetting, match="name a bin from 3 to 8"):
            probe(fit, noise, 0, [9])
        with pytest.raises(BadSetting, match="no moment"):
            probe(fit, noise, 0, [])
        with pytest.raises(BadSetting, match="cell 2: the model has cells 0 to 1"):
            probe(fit, noise, 2, [5])
        with pytest.raises(ShapeMismatch, match=r"\(4, 5\)"):
            probe(fit, noise.swapaxes(1, 2), 0, [5])
    with pytest.raises(BadSetting, match="lags 0"):
        local_sta(fit, noise, 0, [5], lags=0)
    with pytest.raises(BadSetting, match="bins 0"):
        model_sta(fit, key=jax.random.key(0), bins=0)
