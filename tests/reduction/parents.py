"""Fits that nobody fitted, to be reduced: models of drawn parameters."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from retina import build
from retina.fitting.loss import rates_of
from retina.stage import Model, Tree
from retina.types import Fit, Split
from tests.fitting import synthetic

IMAGE, FIELD = (7, 6), ()
KEY = jax.random.key(1)
# The same sums in another order; see tests/contract/test_models.py.
CLOSE = 2e-5


def recording(frame: tuple[int, ...] = IMAGE, train: int = 300) -> Split:
    true = synthetic.truth(frame, 3, 1.0)
    return synthetic.split(true, train=train, blocks=1, held_out=200)


def drawn(name: str, split: Split, **settings: Any) -> Fit:
    model = build.model(name, split.spec, **settings)
    params = model.stage.init(jax.random.key(0))
    null = np.full(split.spec.cells, 0.5)
    return Fit(model, params, (params,), null, {"mean": 0.1}, (), {})


def rates(model: Model, params: Tree, split: Split, bins: int = 50) -> np.ndarray:
    """(time, cell), what a model says to the first bins of training."""
    clip = split.train[0]
    x, counts = clip.stimulus[:bins], clip.response[0, :bins]
    run = jax.jit(lambda p, x, y: rates_of(model, p, x, y))
    return np.asarray(run(params, jnp.asarray(x), jnp.asarray(counts)))
