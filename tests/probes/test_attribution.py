"""Integrated gradients: complete, and equal to the closed form where there is one."""

from __future__ import annotations

import numpy as np
import pytest

from retina import attribution
from retina.errors import BadSetting
from retina.probes.attribution import parts
from retina.probes.rates import history
from tests.probes import fits

MODELS = {
    "ln": {"lags": 4, "rank": 2, "basis": 4, "window": 4},
    "lnln": {"lags": 4, "subunits": 3, "size": 3},
    "cnn": {"lags": 4, "basis": 3, "channels": 2, "sizes": (3, 3)},
    "recursive_ln": {"window": 4, "stages": 2},
    "lstm": {"window": 4, "units": 4},
    "glm": {"lags": 4, "window": 4, "history": 4, "history_basis": 3},
}


@pytest.mark.parametrize("name", MODELS)
def test_they_add_up_to_the_rise_of_the_rate_at_every_part(name):
    fit = fits.drawn(name, fits.IMAGE, **MODELS[name])
    lead = history(fit.model)
    noise = fits.noise(fits.IMAGE, lead + 4)
    moments = [lead + 1, lead + 3]
    said = fits.said(fit, noise)[moments, 1]
    grey = np.full((lead + 5, 5, 4), 0.4, np.float32)
    quiet = float(fits.said(fit, grey)[lead, 1])
    names = parts(fit)
    every = ("door", "spatial", "temporal", "output")
    for part in every if name == "ln" else names[-3:-2]:
        found = attribution(fit, noise, 1, moments, part=part, steps=64)
        assert found.part == part
        np.testing.assert_allclose(found.rate, said, rtol=1e-4)
        assert found.reference == pytest.approx(quiet, rel=1e-4)
        rise = found.rate - found.reference
        total = found.values.reshape(2, -1).sum(1)
        # The midpoint rule over 64 steps; kinks of a CNN leave a little more.
        np.testing.assert_allclose(total, rise, atol=5e-3 * np.abs(rise).max())


def test_of_an_ln_model_each_pixel_has_its_share_of_the_drive():
    """One line through the nonlinearity: the rise is shared out as the drive is."""
    fit, filters = fits.linear(fits.IMAGE)
    noise = fits.noise(fits.IMAGE, 9)
    found = attribution(fit, noise, 0, [7], part="door", steps=200)
    z = (noise[4:8][::-1] - 0.4) / 1.5
    share = (filters[0] * z).sum(0)
    wanted = share / share.sum() * (found.rate - found.reference)
    assert found.values.shape == (1, 5, 4)
    np.testing.assert_allclose(found.values[0], wanted, atol=1e-4)


def test_a_subunit_that_nobody_reads_accounts_for_nothing():
    fit = fits.drawn("lnln", fits.FIELD, lags=4, subunits=3)
    weights = fit.params["dense"]["weights"].at[1].set(0)
    fit.params["dense"] = fit.params["dense"] | {"weights": weights}
    found = attribution(fit, fits.noise(fits.FIELD, 30), 0, [9, 20, 29])
    assert found.part == "relu" and found.values.shape == (3, 1, 1, 3)
    assert not found.values[..., 1].any() and found.values[..., [0, 2]].any()


def test_parts_have_names():
    fit = fits.drawn("lnln", fits.FIELD, lags=4, subunits=3)
    noise = fits.noise(fits.FIELD, 9)
    assert parts(fit)[-3:] == ["relu", "dense", "output"]
    with pytest.raises(
        BadSetting, match="no part 'rellu' of lnln: did you mean 'relu'"
    ):
        attribution(fit, noise, 0, [5], part="rellu")
    with pytest.raises(BadSetting, match="mean is one stage"):
        attribution(fits.drawn("mean", fits.FIELD), noise, 0, [5])
    with pytest.raises(BadSetting, match="steps 0"):
        attribution(fit, noise, 0, [5], steps=0)
