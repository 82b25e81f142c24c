"""The way through the spectrum, and its gradients, against XLA's own convolution."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from retina.layers.conv3d import stacked
from retina.layers.spectral3d import spectral3d

# (time, H, W), (K, K', L, out): one block of time and several, whole and with a rest;
# one lag; sides even and odd; kernels as large as the frame.
CASES = [
    ((5, 9, 8), (3, 4, 5, 4)),
    ((12, 8, 9), (5, 2, 4, 3)),
    ((11, 7, 7), (3, 3, 4, 2)),
    ((6, 6, 5), (3, 3, 1, 2)),
    ((1, 6, 5), (2, 3, 7, 2)),
    ((9, 6, 5), (6, 5, 3, 1)),
]


@pytest.mark.parametrize(("shape", "size"), CASES, ids=str)
def test_value_and_gradients_are_those_of_the_stacked_convolution(shape, size):
    keys = jax.random.split(jax.random.key(0), 3)
    time, *image = shape
    x = jax.random.normal(keys[0], (time + size[2] - 1, *image))
    kernel = jax.random.normal(keys[1], size)
    made = stacked(x, kernel)
    pull = jax.random.normal(keys[2], made.shape)

    def through(function):
        return jax.jit(
            jax.value_and_grad(
                lambda x, w: jnp.sum(function(x, w) * pull), argnums=(0, 1)
            )
        )(x, kernel)

    found = jax.jit(spectral3d)(x, kernel)
    assert found.shape == made.shape
    gap = np.linalg.norm(found - made) / np.linalg.norm(made)
    assert gap < 1e-5
    for fast, slow in zip(through(spectral3d)[1], through(stacked)[1], strict=True):
        gap = np.linalg.norm(fast - slow) / np.linalg.norm(slow)
        assert gap < 1e-4


def test_a_convolution_written_out():
    """Lag 0 is the newest frame; in space a correlation, not flipped."""
    draw = np.random.default_rng(0).standard_normal
    x, kernel = draw((6, 5, 4)), draw((2, 3, 3, 2))
    made = stacked(jnp.asarray(x, jnp.float32), jnp.asarray(kernel, jnp.float32))
    for t in range(4):
        seen = x[t : t + 3][::-1, 1:3, 0:3]
        wanted = np.einsum("lhw,hwlo->o", seen, kernel)
        np.testing.assert_allclose(made[t, 1, 0], wanted, rtol=1e-4, atol=1e-5)
