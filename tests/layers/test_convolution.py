"""Each way to convolve, and its gradients, against XLA's own."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from retina.layers.convolution import _ways, conv2d, fold, output_shape, plain

# (time, H, W, in), (K, K', out), stride. Strides that divide the frame and that do not,
# kernels as large as the frame, of one pixel, smaller than the stride, and not square.
CASES = [
    ((5, 9, 8, 1), (3, 3, 4), 1),
    ((3, 12, 31, 2), (5, 4, 3), 1),
    ((4, 6, 40, 3), (6, 2, 5), 1),
    ((2, 5, 5, 2), (1, 1, 3), 1),
    ((3, 7, 6, 2), (7, 6, 2), 1),
    ((4, 11, 10, 2), (5, 5, 3), 2),
    ((3, 13, 17, 1), (4, 3, 2), 3),
    ((2, 12, 9, 2), (3, 3, 2), 3),
    ((2, 11, 8, 1), (2, 2, 3), 3),
]


@pytest.mark.parametrize(("shape", "kernel", "stride"), CASES, ids=str)
def test_value_and_gradients_are_those_of_the_plain_convolution(shape, kernel, stride):
    keys = jax.random.split(jax.random.key(0), 3)
    x = jax.random.normal(keys[0], shape)
    weights = jax.random.normal(keys[1], (*kernel[:2], shape[-1], kernel[2]))
    made = plain(x, weights, stride)
    high, wide = (
        (n - k) // stride + 1 for n, k in zip(shape[1:3], kernel[:2], strict=True)
    )
    assert made.shape == (shape[0], high, wide, kernel[2])
    pull = jax.random.normal(keys[2], made.shape)

    def through(function):
        return jax.jit(
            jax.value_and_grad(
                lambda x, w: jnp.sum(function(x, w) * pull), argnums=(0, 1)
            )
        )(x, weights)

    ways = _ways(stride)
    one, two = through(ways["spectral"]), through(ways["xla"])
    # A sum of products of either sign: rounding is of the size of the products' norm.
    size = float(np.linalg.norm(made) * np.linalg.norm(pull))
    np.testing.assert_allclose(one[0], two[0], rtol=1e-5, atol=1e-6 * size)
    for fast, slow in zip(one[1], two[1], strict=True):
        assert fast.shape == slow.shape
        # float32 sums of up to time x H' x W' products, in another order.
        gap = np.linalg.norm(fast - slow) / np.linalg.norm(slow)
        assert gap < 1e-4


def test_a_convolution_written_out():
    """Correlation, not flipped: output (r, c) sees rows r.. and columns c.. ."""
    generator = np.random.default_rng(0)
    x = generator.standard_normal((2, 6, 7, 2)).astype(np.float32)
    kernel = generator.standard_normal((3, 2, 2, 4)).astype(np.float32)
    made = np.asarray(plain(jnp.asarray(x), jnp.asarray(kernel), 2))
    for r in range(made.shape[1]):
        for c in range(made.shape[2]):
            seen = x[:, 2 * r : 2 * r + 3, 2 * c : 2 * c + 2]
            wanted = np.einsum("thwi,hwio->to", seen, kernel)
            np.testing.assert_allclose(made[:, r, c], wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("shape", "kernel", "stride"), CASES[5:], ids=str)
def test_a_folded_convolution_is_the_strided_one(shape, kernel, stride):
    keys = jax.random.split(jax.random.key(0), 2)
    x = jax.random.normal(keys[0], shape)
    weights = jax.random.normal(keys[1], (*kernel[:2], shape[-1], kernel[2]))
    folded = plain(*fold(x, weights, stride))
    np.testing.assert_allclose(folded, plain(x, weights, stride), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_the_shape_that_is_foretold_is_the_shape_that_comes(stride):
    for shape in [(9, 8, 2), (5, 11, 1), (1, 1, 3), (3, 2, 1)]:
        stage = conv2d(shape, 4, 3, stride=stride)
        params = stage.init(jax.random.key(0))
        y = stage.apply(params, (), jnp.zeros((2, *shape)))[1]
        assert y.shape[1:] == output_shape(shape, 4, 3, stride)
