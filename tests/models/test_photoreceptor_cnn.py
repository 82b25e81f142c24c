"""The convolutional model behind photoreceptors: units, causality, what is measured."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from retina import build
from retina.circuit.phototransduction import phototransduction
from retina.costs.flops import count_step
from retina.errors import BadSetting
from retina.stage import chain
from tests.fitting import synthetic

MEAN = 1e4
SMALL = {"lags": 5, "channels": 2, "sizes": (3, 3), "basis": 3}


def _split():
    return synthetic.split(synthetic.truth((6, 5), 2), train=400, held_out=300)


def _model(spec, **settings):
    return build.model("photoreceptor_cnn", spec, **(SMALL | settings))


def test_without_a_unit_of_light_it_says_where_to_write_one():
    spec = dataclasses.replace(_split().spec, dataset="mine")
    with pytest.raises(BadSetting, match="mine does not say how bright it was: write"):
        _model(spec)
    card = dataclasses.replace(spec, mean_rstar_per_s=MEAN)
    asked = _model(spec, mean_rstar_per_s=MEAN)
    assert _model(card).stage.about == asked.stage.about


def test_each_pixel_has_the_photoreceptor_of_the_circuit():
    spec = _split().spec
    model = _model(spec, mean_rstar_per_s=MEAN)
    params = model.stage.init(jax.random.key(0))
    front = chain(*(stage for _, stage in model.stage.parts[:2]))
    x = np.random.default_rng(0).uniform(-1, 1, (12, 6, 5)).astype(np.float32)
    own = {n: params[n] for n in front.parameters}
    found = front.apply(own, front.start(own), jnp.asarray(x))[1]
    alone = phototransduction(30, spec.bin_s, adapted=MEAN)
    lit = jnp.asarray(MEAN * (1 + x.reshape(12, 30)))
    start = alone.start(own["photoreceptors"])
    wanted = alone.apply(own["photoreceptors"], start, lit)[1]
    # Float32: sums of numbers of order 100 in another order.
    np.testing.assert_allclose(found.reshape(12, 30), wanted, rtol=1e-4)


def test_current_is_standardised_by_training_data_and_never_moves_again():
    split = _split()
    model = _model(split.spec, mean_rstar_per_s=MEAN)
    assert model.warm_start is not None
    params = model.warm_start(model.stage.init(jax.random.key(0)), split.train)
    described = model.stage.parameters["standardise"]
    assert not any(one.trainable for one in described.values())
    front = chain(*(stage for _, stage in model.stage.parts[:3]))
    own = {n: params[n] for n in front.parameters}
    shown = jnp.asarray(split.train[1].stimulus)
    seen = np.asarray(front.apply(own, front.start(own), shown)[1])[10:]
    # Another block of the same noise: a few per cent off.
    assert abs(seen.mean()) < 0.1 and abs(seen.std() - 1) < 0.1
    other = dataclasses.replace(split.train[0], stimulus=0 * split.train[0].stimulus)
    calm = model.warm_start(model.stage.init(jax.random.key(0)), (other,))
    assert np.all(np.isfinite(calm["standardise"]["sd"]))


def test_the_price_of_the_photoreceptors_is_that_of_a_pixel_times_pixels():
    spec = _split().spec
    model = _model(spec, mean_rstar_per_s=MEAN)
    _, step = count_step(model, model.stage.init(jax.random.key(0)))
    one = phototransduction(1, spec.bin_s, adapted=MEAN)
    _, each = count_step(one, one.init(jax.random.key(0)), jnp.zeros(1))
    assert step.by_part["photoreceptors"].flops == 30 * each.flops
    # What the model's docstring says, at 30 Hz.
    video = phototransduction(1, 1 / 30, adapted=MEAN)
    _, each = count_step(video, video.init(jax.random.key(0)), jnp.zeros(1))
    assert each.flops == 194
