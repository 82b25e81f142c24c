"""Loss and validation score against numpy, written out bin by bin."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from retina import build
from retina.fitting.loss import poisson, rates_of, validator
from retina.fitting.predict import streamed
from retina.metrics.bits_per_spike import bits_per_spike
from retina.types import Clip, Spec

SPEC = Spec((), 3, 0.05)
NULL = np.array([0.4, 0.9, 0.2])


def _clips(silent: bool = False) -> tuple[Clip, ...]:
    """Unequal lengths, trials and skips; two are of one shape and run together."""
    generator = np.random.default_rng(2)
    shapes = [(40, 1, 0), (55, 3, 7), (55, 3, 7), (55, 3, 2)]
    clips = []
    for number, (bins, trials, skip) in enumerate(shapes):
        response = generator.poisson(0.6, (trials, bins, 3)).astype(np.float32)
        response[..., 2] *= not silent
        # Before `skip` lies history alone: what is there may not enter the score.
        response[:, :skip] *= 3
        stimulus = generator.standard_normal(bins).astype(np.float32)
        clips.append(Clip(f"c{number}", stimulus, response, skip=skip))
    return tuple(clips)


def _made(name: str, **settings):
    model = build.model(name, SPEC, lags=5, rank=None, **settings)
    params = model.stage.init(jax.random.key(4))
    if name == "glm":
        drawn = 0.3 * jax.random.normal(jax.random.key(5), (4, 3))
        params["history_output"]["history"] = drawn
    return model, params


MODELS = pytest.mark.parametrize(
    ("name", "settings"),
    [("ln", {}), ("glm", {"history": 4, "history_basis": 4})],
    ids=["ln", "glm"],
)


def test_the_loss_is_nats_per_expected_spike_of_the_population():
    generator = np.random.default_rng(0)
    rate = generator.gamma(2, 0.3, (20, 3)).astype(np.float32)
    counts = generator.poisson(rate).astype(np.float32)
    loss = poisson(jnp.asarray(rate), jnp.asarray(counts), jnp.asarray(NULL, "f4"))
    wanted = sum(
        rate[t, n] - counts[t, n] * np.log(rate[t, n])
        for t in range(20)
        for n in range(3)
    ) / (20 * NULL.sum())
    # float32 sums of 60 terms; the floor of 1e-8 counts under the logarithm is less.
    assert float(loss) == pytest.approx(wanted, rel=1e-5)


def test_the_loss_is_least_at_the_counts_and_finite_at_silence():
    counts = jnp.asarray([[0.0, 1.0, 4.0]])
    null = jnp.asarray(NULL, jnp.float32)
    at = poisson(counts, counts, null)
    for factor in (0.9, 1.1):
        assert poisson(counts * factor + 1e-3, counts, null) > at
    assert np.isfinite(poisson(jnp.zeros((1, 3)), counts, null))


@MODELS
def test_counts_are_heard_one_bin_late_and_none_before_the_first(name, settings):
    """Checked against the stage itself, fed bin by bin."""
    model, params = _made(name, **settings)
    clip = _clips()[1]
    counts = clip.response[1]
    state, made = model.stage.start(params), []
    step = jax.jit(model.stage.step)
    before = np.zeros(3, np.float32)
    for x, now in zip(clip.stimulus, counts, strict=True):
        heard = (x, jnp.asarray(before)) if model.stage.uses_response else x
        state, rate = step(params, state, jax.tree.map(jnp.asarray, heard))
        made.append(np.asarray(rate))
        before = now
    whole = jax.jit(lambda x, y: rates_of(model, params, x, y))(clip.stimulus, counts)
    # The two views add up to 9 float32 products in another order.
    np.testing.assert_allclose(np.stack(made), whole, rtol=2e-5, atol=2e-6)


@MODELS
def test_validation_is_bits_per_spike_over_all_clips(name, settings):
    model, params = _made(name, **settings)
    gain, spikes, pairs = np.zeros(3), np.zeros(3), []
    for clip in _clips():
        for trial in clip.response:
            rate = streamed(model, params, clip.stimulus[None], trial[None])[0]
            rate, counts = rate.astype(np.float64)[clip.skip :], trial[clip.skip :]
            for r, y in zip(rate, counts, strict=True):
                gain += y * np.log(r / NULL) - (r - NULL)
                spikes += y
            pairs.append((rate, counts))
    wanted = gain / (np.log(2) * spikes)
    found = validator(model, _clips(), NULL)(params)
    assert found.shape == (3,) and found.dtype == np.float64
    # Sums of some 150 float32 terms that partly cancel.
    np.testing.assert_allclose(found, wanted, rtol=2e-4, atol=2e-5)
    laid = [np.concatenate(side) for side in zip(*pairs, strict=True)]
    metric = bits_per_spike(laid[0], laid[1][None], NULL)
    np.testing.assert_allclose(found, metric, rtol=2e-4, atol=2e-5)


def test_the_mean_rate_gains_nothing():
    model = build.model("mean", SPEC)
    bits = validator(model, _clips(), NULL)({"rate": jnp.asarray(NULL, jnp.float32)})
    np.testing.assert_allclose(bits, 0, atol=1e-6)


def test_a_cell_silent_in_validation_has_no_score_and_spoils_no_other():
    model, params = _made("ln")
    bits = validator(model, _clips(silent=True), NULL)(params)
    assert np.isnan(bits[2])
    expected = validator(model, _clips(), NULL)(params)
    np.testing.assert_allclose(bits[:2], expected[:2], rtol=1e-6)


def test_a_rate_that_overflows_is_the_worst_and_not_left_out():
    """inf - inf is nan, and nan means "silent": it would be averaged away."""
    model = build.model("ln", SPEC, lags=5, rank=None, output_kind="exp")
    params = model.stage.init(jax.random.key(4))
    params["output"]["bias"] = jnp.asarray([0.0, 200.0, 0.0], jnp.float32)
    bits = validator(model, _clips(), NULL)(params)
    assert bits[1] == -np.inf
    assert np.all(np.isfinite(bits[[0, 2]]))


def test_no_trial_of_a_validation_clip_is_left_out():
    """Clips of one shape, of which one was shown more often."""
    model = build.model("mean", SPEC)
    params = {"rate": jnp.asarray([0.2, 0.5, 1.0])}
    one, more = (_clips()[n] for n in (0, 1))
    same = dataclasses.replace(
        more, stimulus=more.stimulus[:40], response=more.response[:, :40], skip=0
    )
    apart = [
        dataclasses.replace(same, response=same.response[n : n + 1]) for n in range(3)
    ]
    found, wanted = (
        validator(model, clips, NULL)(params) for clips in ((one, same), (one, *apart))
    )
    np.testing.assert_allclose(found, wanted, rtol=1e-5)  # float32 sums of 40 bins
