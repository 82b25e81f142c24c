"""Responses that are no counts: what is said of them, and what is refused."""

from __future__ import annotations

import dataclasses
from typing import Any

import h5py
import jax
import numpy as np
import pytest

import retina
from retina.data.load import load
from retina.data.split import split
from retina.errors import BadResponse, BadSetting
from retina.fitting.simulate import simulate
from retina.types import Clip, Fit

from . import layouts
from .conftest import unsummed


@pytest.fixture
def graded(cache):
    return split(load(layouts.EULER.card(cache)))


def fit_of(made, name="mean"):
    """A model at its start: what is asked here does not depend on how well it fits."""
    model = retina.model(name, made.spec)
    params = model.stage.init(jax.random.key(0))
    null = np.concatenate([c.response[:, c.skip :] for c in made.train], 1).mean((0, 1))
    return Fit(model, params, (params,), null, {}, (), {})


def test_they_are_told(graded):
    assert any("responses are graded" in note for note in graded.notes)
    assert "units/s per cell" in repr(graded)


def test_likelihoods_of_counts_are_refused_and_the_others_named(graded):
    fit = fit_of(graded)
    scored = retina.score(fit, graded.test, draws=10)
    assert "bits_per_spike" not in scored.metrics and "cc_norm" in scored.metrics
    for name in ("bits_per_spike", "deviance"):
        with pytest.raises(BadSetting, match="graded.*Ask for cc_norm, feve, pearson"):
            retina.score(fit, graded.test, [name], draws=10)


def test_nothing_per_spike_and_nothing_drawn(graded):
    fit = fit_of(graded)
    cost = retina.cost(fit.model, fit.params, graded)
    assert cost.flops_per_spike is None and cost.flops_per_synaptic_event is None
    with pytest.raises(BadSetting, match="graded responses"):
        simulate(fit.model, fit.params, graded.test[0].stimulus, key=jax.random.key(0))


def test_a_mean_over_trials_is_no_count_for_deviance_alone():
    """Bits per spike is linear in the response: the mean gives what the trials give."""
    rng = np.random.default_rng(0)
    counts = rng.poisson(1.0, (4, 200, 2)).astype(np.float32)
    stimulus = rng.standard_normal(200).astype(np.float32)
    trials = Clip("a", stimulus, counts, group="frozen")
    mean = dataclasses.replace(trials, response=counts.mean(0, keepdims=True))
    spec = retina.Spec((), 2, 0.1)
    made = retina.Split(spec, (trials,), (), (trials,))
    fit = fit_of(made)
    fit = dataclasses.replace(fit, null_rate=np.array([0.5, 2.0]))
    one, other = (
        retina.score(fit, [clip], ["bits_per_spike"], draws=10)
        .metrics["bits_per_spike"]
        .per_cell
        for clip in (trials, mean)
    )
    # Sums of 800 float32 numbers.
    np.testing.assert_allclose(one, other, rtol=1e-5)
    retina.score(fit, [trials], ["deviance"], draws=10)
    with pytest.raises(BadSetting, match="no whole numbers.*bits_per_spike"):
        retina.score(fit, [mean], ["deviance"], draws=10)


def test_negative_responses_are_refused(cache):
    card = layouts.EULER.card(cache)
    with h5py.File(cache / "small" / "responses.h5", "r+") as store:
        traces: Any = store["session_2_ventral2/natural_spikes"]
        traces[...] -= 1
    card.write_text(unsummed(card.read_text()))
    with pytest.raises(BadResponse, match="negative.*must be 0 or more"):
        load(card)
