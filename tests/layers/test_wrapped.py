"""A model seen through something keeps what belongs to it."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from retina import build
from retina.types import Spec
from tests.fitting import synthetic

SMALL = (("lags", 3), ("channels", 2), ("sizes", (3, 3)))
KEY = jax.random.key(0)


@pytest.mark.parametrize("name", ["pruned", "quantised", "cropped"])
def test_batch_statistics_move_and_weights_do_not(name):
    """Of bn_cnn: what is fitted is not what the training pass gives back."""
    model = build.model(name, Spec((6, 5), 2, 0.05), of="bn_cnn", settings=SMALL)
    params = model.stage.init(KEY)
    x = 2 + jax.random.normal(jax.random.key(1), (2, 8, 6, 5))
    assert model.training is not None and model.penalty is not None
    rate, after = jax.jit(model.training)(params, x, KEY)
    assert rate.shape == (2, 6, 2)
    for part, own in params.items():
        for leaf, value in own.items():
            described = model.stage.parameters[part][leaf]
            moved = not np.array_equal(after[part][leaf], value)
            fixed = not described.trainable and not leaf.endswith("_kept")
            assert moved == fixed, (part, leaf)
    assert np.isfinite(model.penalty(params))


def test_a_cropped_model_starts_from_what_it_sees():
    split = synthetic.split(synthetic.truth((7, 6), 3, 1.0), train=400, blocks=1)
    box = (1, 2, 5, 4)
    cropped = build.model(
        "cropped", split.spec, settings=(("lags", 4), ("window", 9)), box=box
    )
    assert cropped.warm_start is not None
    started = cropped.warm_start(cropped.stage.init(KEY), split.train)
    assert jax.tree.structure(started) == jax.tree.structure(cropped.stage.parameters)
    assert started["spatial"]["filters"].shape[2:] == (5, 4)
    frame = jnp.asarray(split.train[0].stimulus[10])
    hidden = frame.at[0].set(9).at[6].set(9).at[:, :2].set(9)
    stage = cropped.stage
    rates = [stage.step(started, stage.start(started), x)[1] for x in (frame, hidden)]
    np.testing.assert_array_equal(*rates)
    seen = frame.at[1:6, 2:6].set(9)
    assert not np.allclose(stage.step(started, stage.start(started), seen)[1], rates[0])
