"""Small kernels in a row against the one large kernel they are equal to."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from retina.errors import BadSetting
from retina.layers.convolution import conv2d, output_shape
from retina.layers.stacked import collapse, stacked_conv2d

# Frames larger than the kernel, as large, smaller on one side or on both.
CASES = [
    ((9, 8, 2), 5),
    ((7, 7, 2), 7),
    ((9, 4, 2), 7),
    ((1, 1, 3), 5),
]


@pytest.mark.parametrize(("shape", "size"), CASES, ids=str)
def test_a_stack_collapses_to_one_convolution(shape, size):
    stack, single = stacked_conv2d(shape, 3, size), conv2d(shape, 3, size)
    params = stack.init(jax.random.key(0))
    *_, last = params
    params[last]["bias"] = jnp.array([1.0, -2.0, 3.0])
    x = jax.random.normal(jax.random.key(1), (2, *shape))
    y = jax.jit(stack.apply)(params, stack.start(params), x)[1]
    assert y.shape[1:] == output_shape(shape, 3, size)
    one = collapse(params)
    assert jax.tree.structure(one) == jax.tree.structure(single.parameters)
    np.testing.assert_allclose(single.apply(one, (), x)[1], y, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("size", "layers"), [(3, 1), (11, 5), (15, 7), (23, 11)])
def test_as_many_layers_as_the_size_asks_for(size, layers):
    """More than nine, so that conv2d10 must not come before conv2d2."""
    stack = stacked_conv2d((30, 30, 4), 2, size)
    shapes = jax.eval_shape(stack.init, jax.random.key(0))
    assert len(shapes) == layers
    assert sum("bias" in layer for layer in shapes.values()) == 1
    weights = 9 * 4 * 2 + (layers - 1) * 9 * 2 * 2 + 2
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == weights


def test_the_order_of_many_layers_is_kept():
    shape = (23, 23, 1)
    stack = stacked_conv2d(shape, 2, 23)
    params = jax.jit(stack.init)(jax.random.key(0))  # jit sorts the names
    x = jax.random.normal(jax.random.key(1), (1, *shape))
    y = jax.jit(stack.apply)(params, stack.start(params), x)[1]
    single = conv2d(shape, 2, 23).apply(collapse(params), (), x)[1]
    np.testing.assert_allclose(single, y, rtol=1e-3, atol=1e-3 * float(abs(y).max()))


@pytest.mark.parametrize("size", [1, 4])
def test_sizes_that_cannot_be_stacked_are_refused(size):
    with pytest.raises(BadSetting, match=f"sizes {size}: odd"):
        stacked_conv2d((9, 9, 2), 3, size)
