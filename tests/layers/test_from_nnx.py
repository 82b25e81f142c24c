"""The adapter against flax's own modules, called as flax calls them."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from retina.layers.conv_gru import conv_gru
from retina.layers.from_nnx import from_nnx
from retina.parameter import to_free

CELLS = [nnx.GRUCell, nnx.LSTMCell, nnx.OptimizedLSTMCell, nnx.SimpleCell]


@pytest.mark.parametrize("kind", CELLS)
def test_a_cell_gives_what_flax_gives(kind):
    """From one key, over a few bins: the same weights, carries and outputs."""
    key = jax.random.key(3)
    stage = from_nnx(lambda rngs: kind(3, 5, rngs=rngs), name="cell", burn_in_s=1.0)
    params = stage.init(key)
    x = jax.random.normal(jax.random.key(1), (6, 3))
    state, y = stage.apply(params, stage.start(params), x)

    cell = kind(3, 5, rngs=nnx.Rngs(key))
    carry = cell.initialize_carry((3,), nnx.Rngs(0))
    wanted = []
    for x_t in x:
        carry, y_t = cell(carry, x_t)
        wanted.append(y_t)
    # The same float32 operations, compiled and not.
    np.testing.assert_allclose(y, np.stack(wanted), rtol=1e-5, atol=1e-6)
    for one, other in zip(jax.tree.leaves(state), jax.tree.leaves(carry), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_its_params_are_plain_dicts_of_float32_arrays():
    stage = from_nnx(lambda rngs: nnx.LSTMCell(3, 5, rngs=rngs), name="cell")
    params = stage.init(jax.random.key(0))

    def plain(tree) -> bool:
        if type(tree) is dict:
            return all(plain(branch) for branch in tree.values())
        return isinstance(tree, jax.Array) and tree.dtype == jnp.float32

    assert plain(params)
    # Four gates, each 3 + 5 inputs and one bias of 5 units.
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == 4 * (3 + 5 + 1) * 5
    assert jax.tree.leaves(to_free(stage.parameters, params))


def test_slopes_are_those_of_flax():
    key = jax.random.key(2)
    stage = from_nnx(lambda rngs: nnx.GRUCell(3, 5, rngs=rngs), name="cell")
    x = jax.random.normal(jax.random.key(1), (3,))
    h = jnp.full(5, 0.3)

    def ours(params):
        return jnp.sum(stage.step(params, h, x)[1] ** 2)

    def theirs(cell):
        return jnp.sum(cell(h, x)[1] ** 2)

    mine = jax.grad(ours)(stage.init(key))
    flax = nnx.to_pure_dict(nnx.grad(theirs)(nnx.GRUCell(3, 5, rngs=nnx.Rngs(key))))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), mine, flax)
    assert any(np.any(leaf != 0) for leaf in jax.tree.leaves(mine))


def test_a_layer_without_memory_takes_one_bin_or_a_clip():
    stage = from_nnx(lambda rngs: nnx.Linear(3, 2, rngs=rngs), name="dense")
    params = stage.init(jax.random.key(0))
    x = jax.random.normal(jax.random.key(1), (4, 3))
    wanted = x @ params["kernel"] + params["bias"][None]
    np.testing.assert_allclose(stage.apply(params, (), x)[1], wanted, rtol=1e-5)
    np.testing.assert_allclose(stage.step(params, (), x[0])[1], wanted[0], rtol=1e-5)


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda rngs: nnx.BatchNorm(3, rngs=rngs), "BatchStat"),
        (lambda rngs: nnx.Dropout(0.5, rngs=rngs), "Rng"),
    ],
)
def test_a_module_that_holds_more_than_parameters_is_refused(make, kind):
    with pytest.raises(ValueError, match=kind):
        from_nnx(make, name="no")


def test_a_convolutional_gru_of_one_place_is_a_gru():
    """And with a kernel of one place, each place of a map is a GRU on its own."""
    cell = nnx.GRUCell(3, 4, rngs=nnx.Rngs(0))
    kernel, inner = cell.dense_i.kernel[...], cell.dense_h.kernel[...]
    bias = jax.random.normal(jax.random.key(5), (12,))
    cell.dense_i.bias = nnx.Param(bias)
    x = jax.random.normal(jax.random.key(1), (5, 2, 3, 3))
    h = jnp.zeros((2, 3, 4))
    wanted = []
    for x_t in x:
        h, _ = cell(h, x_t)
        wanted.append(h)

    # Stored kernels are divided by what they are scaled with: 1 / sqrt(fan in).
    params = {
        "input": (kernel * np.float32(np.sqrt(3)))[None, None],
        "state": (inner * np.float32(np.sqrt(4)))[None, None],
        "bias": bias,
    }
    whole = conv_gru((2, 3, 3), 4, 1, burn_in_s=1.0)
    y = whole.apply(params, whole.start(params), x)[1]
    np.testing.assert_allclose(y, np.stack(wanted), rtol=1e-5, atol=1e-6)
    single = conv_gru((1, 1, 3), 4, 9, burn_in_s=1.0)
    y = single.apply(params, single.start(params), x[:, 1:, 2:])[1]
    np.testing.assert_allclose(y, np.stack(wanted)[:, 1:, 2:], rtol=1e-5, atol=1e-6)


def test_a_convolutional_gru_hears_as_far_as_its_kernel():
    stage = conv_gru((5, 6, 1), 2, 3, burn_in_s=1.0)
    params = stage.init(jax.random.key(0))
    x = np.zeros((3, 5, 6, 1), np.float32)
    x[0, 2, 3] = 1
    y = np.asarray(stage.apply(params, stage.start(params), jnp.asarray(x))[1])
    rows, columns = np.mgrid[:5, :6]
    far = np.maximum(abs(rows - 2), abs(columns - 3))
    for bin_, reach in ((0, 1), (1, 2)):
        heard = np.any(y[bin_] != 0, axis=-1)
        assert np.array_equal(heard, far <= reach)
