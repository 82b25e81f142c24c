"""The bipolar cell network: one for a full field, one at each cell on an image."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from retina import build
from retina.fitting.loss import rates_of
from retina.types import Spec
from tests.fitting import synthetic

SIZES = {"types": 5, "amacrines": 4, "lags": 6}


def test_the_start_tells_on_from_off_and_finds_the_pace():
    """Cells of opposite sign, biphasic: they listen to types of opposite sign."""
    course = np.array([0.5, 1.0, 0.3, -0.4, -0.2, 0.0])
    true = synthetic.Truth(np.stack([course, -course], 1), np.log([0.5, 0.5]))
    split = synthetic.split(true, train=600, held_out=200)
    model = build.model("bcn", split.spec, **SIZES)
    assert model.warm_start is not None
    params = model.warm_start(model.stage.init(jax.random.key(0)), split.train)
    weights = np.asarray(params["positive_sum"]["weights"])
    off = weights[:, :2].sum(1) / weights.sum(1)
    assert off[0] < 0.2 and off[1] > 0.8
    clip = split.train[1]
    x, counts = jnp.asarray(clip.stimulus), jnp.asarray(clip.response[0])
    rate = jax.jit(lambda x: rates_of(model, params, x, counts))(x)[100:]
    counts = np.asarray(counts)[100:]
    for n in range(2):
        # Chance gives an s.d. of 0.045 on 500 bins.
        assert np.corrcoef(rate[:, n], counts[:, n])[0, 1] > 0.2


def test_on_an_image_each_cell_has_a_network_of_its_own():
    spec = Spec((6, 5), 3, 0.05)
    model = build.model("bcn", spec, window=3, **SIZES)
    params = model.stage.init(jax.random.key(0))
    corner = jnp.array([[0, 0], [3, 0], [3, 2]], jnp.int32)
    params = params | {"views": params["views"] | {"corner": corner}}
    x = np.random.default_rng(0).standard_normal((30, 6, 5)).astype(np.float32)
    counts = jnp.zeros((30, 3))
    rates = jax.jit(lambda x: rates_of(model, params, x, counts))
    before = np.asarray(rates(x))
    x[:, :3, :3] += 1
    after = rates(x)
    moved = np.abs(after - before).max(0)
    assert moved[0] > 1e-3 and not moved[1:].any()
    # Their numbers are the same: as many as in a full field.
    alone = build.model("bcn", Spec((), 3, 0.05), **SIZES)
    shapes = jax.tree.map(jnp.shape, alone.stage.init(jax.random.key(0)))
    own = jax.tree.map(jnp.shape, params)
    assert shapes["bipolar_network"] == own["bipolar_network"]
