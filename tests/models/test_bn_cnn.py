"""Published sizes and costs, the start, and a stacked fit made plain."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from retina import build
from retina.costs.flops import count_step
from retina.errors import BadSetting
from retina.fitting.loss import rates_of
from retina.fitting.start import mean_counts
from retina.models.bn_cnn import collapse
from retina.types import Spec
from tests.fitting import synthetic

KEY = jax.random.key(0)


@pytest.mark.parametrize(
    ("stacked", "parameters", "macs"),
    [(False, 138_362, 98_573_984), (True, 67_834, 15_127_456)],
)
def test_published_size_and_cost(stacked, parameters, macs):
    """50 x 50 pixels, 40 lags, 5 cells: 197.1 and 30.3 million FLOPs in products."""
    model = build.model("bn_cnn", Spec((50, 50), 5, 0.01), stacked=stacked)
    shapes = jax.eval_shape(model.stage.init, KEY)
    described = jax.tree.leaves(model.stage.parameters)
    sizes = zip(described, jax.tree.leaves(shapes), strict=True)
    assert sum(leaf.size for one, leaf in sizes if one.trainable) == parameters
    _, step = count_step(model, shapes)
    assert step.macs == macs
    # What is left: two operations per normalised unit, the biases, the output.
    units, biases = 8 * 36**2 + 8 * 26**2 + 5, 8 * (36**2 + 26**2)
    rest = step.flops - 2 * macs - step.by_part["softplus"].flops
    assert rest == 2 * units + biases


@pytest.mark.parametrize("frame", [(8, 7), ()], ids=str)
def test_a_stacked_fit_collapses_to_the_plain_model(frame):
    stacked = build.model(
        "bn_cnn", Spec(frame, 3, 0.05), lags=3, channels=2, sizes=(5, 5), stacked=True
    )
    params = jax.jit(stacked.stage.init)(KEY)
    x = jax.random.normal(jax.random.key(1), (8, *frame))
    for number, name in enumerate(["batch_norm", "batch_norm2", "batch_norm3"]):
        own, spread = params[name], 2.0 + number
        mean = jnp.full_like(own["mean"], -0.3)
        params[name] = own | {"mean": mean, "variance": spread * own["variance"]}
    plain, one = collapse(stacked, params)
    assert dict(plain.settings) == dict(stacked.settings) | {"stacked": False}
    again = build.model("bn_cnn", plain.spec, **dict(plain.settings))
    assert plain.stage.about == again.stage.about
    assert jax.tree.structure(one) == jax.tree.structure(plain.stage.parameters)
    counts = jnp.zeros((8, 3))
    wanted = jax.jit(lambda p: rates_of(stacked, p, x, counts))(params)
    found = jax.jit(lambda p: rates_of(plain, p, x, counts))(one)
    assert np.ptp(wanted) > 0.1
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


def test_only_a_stacked_model_collapses():
    plain = build.model("bn_cnn", Spec((), 3, 0.05), lags=3)
    with pytest.raises(BadSetting, match="only a bn_cnn with stacked=True"):
        collapse(plain, plain.stage.init(KEY))


def test_the_first_rate_is_the_mean_count():
    """Also where the stimulus has a mean, and is far from white."""
    split = synthetic.split(synthetic.truth(), train=400)
    model = build.model("bn_cnn", split.spec, lags=6, channels=4)
    assert model.warm_start is not None
    params = model.warm_start(model.stage.init(KEY), split.train)
    clip = split.train[1]
    x, counts = jnp.asarray(clip.stimulus), jnp.asarray(clip.response[0])
    rate = jax.jit(lambda x: rates_of(model, params, x, counts))(x)[6:]
    mean = mean_counts(split.train)
    np.testing.assert_allclose(rate.mean(0), mean, rtol=0.03)
    np.testing.assert_allclose(rate, np.broadcast_to(mean, rate.shape), rtol=0.5)


def test_noise_below_zero_is_refused():
    with pytest.raises(BadSetting, match="noise -0.1"):
        build.model("bn_cnn", Spec((), 3, 0.05), noise=-0.1)
