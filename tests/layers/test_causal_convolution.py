"""A causal convolution against the sum written out."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from retina import build
from retina.layers.causal_convolution import causal_convolution
from retina.types import Spec


@pytest.mark.parametrize(("taps", "dilation"), [(4, 1), (3, 3), (1, 2)])
def test_the_sum_written_out(taps: int, dilation: int):
    """Kernel row k is k * dilation bins ago; before the clip there is nothing."""
    stage = causal_convolution(2, 3, taps, dilation=dilation)
    params = stage.init(jax.random.key(0))
    params["bias"] = jax.random.normal(jax.random.key(1), (3,))
    x = np.asarray(jax.random.normal(jax.random.key(2), (15, 2)))
    y = stage.apply(params, stage.start(params), x)[1]
    kernel = np.float64(params["kernel"]) * np.sqrt(2 / (2 * taps))
    for t in range(len(x)):
        wanted = np.float64(params["bias"])
        for k in range(taps):
            if t >= k * dilation:
                wanted = wanted + x[t - k * dilation] @ kernel[k]
        np.testing.assert_allclose(y[t], wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("taps", "dilation", "depth"), [(5, 2, 3), (4, 1, 2)])
def test_layers_see_as_far_back_as_their_lags_add_up_to(taps, dilation, depth):
    """And hold only what each needs: a row of its own inputs per bin of its reach."""
    spec = Spec((), 2, 0.01)
    settings = {"taps": taps, "dilation": dilation, "depth": depth, "width": 3}
    stage = build.model("tcn", spec, **settings).stage
    lags = [(taps - 1) * dilation**layer for layer in range(depth)]
    assert stage.lags == sum(lags)
    params = jax.eval_shape(stage.init, jax.random.key(0))
    state = jax.eval_shape(stage.start, params)
    held = [part["past"].shape for part in state.values() if part]
    assert held == [(lag + 1, 1 if n == 0 else 3) for n, lag in enumerate(lags)]
