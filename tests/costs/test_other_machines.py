"""What skipping zeros and multiplying few bits save, counted by hand."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from retina.costs.bits import bit_operations
from retina.costs.flops import count_step
from retina.costs.sparse import dropped_macs, zero_macs
from retina.stage import Model, Params, memoryless, recurrent
from retina.types import Spec

SPEC = Spec((4, 5), 2, 0.01)


def _model(function, params: Params) -> Model:
    stage = memoryless(function, init=lambda key: params, about=("made",))
    return Model("made", SPEC, stage)


def test_a_zero_weight_skips_each_product_that_it_enters():
    weights = jnp.asarray([[1.0, 0, 0], [0, 2, 3], [0, 0, 0], [1, 1, 0]])
    params = {"w": weights.astype(jnp.float32)}
    model = _model(lambda p, x: x.T @ (2 * p["w"]), params)
    # Each of 7 zeros meets the 5 columns of a frame.
    assert zero_macs(model, params) == 7 * 5
    _, step = count_step(model, params)
    assert step.macs == 5 * 4 * 3


def test_zeros_of_the_model_do_not_begin_to_count_with_the_first_pruned_weight():
    """Half of the weights meet a zero that is no parameter, whatever was fitted."""
    mask = jnp.asarray([[1.0, 0, 1], [0, 1, 0], [1, 0, 1], [0, 1, 0]], jnp.float32)
    params = {"w": -jnp.ones((4, 3), jnp.float32)}
    model = _model(lambda p, x: x.T @ (mask * p["w"]), params)
    assert zero_macs(model, params) == 6 * 5
    assert dropped_macs(model, params) == 0
    one = {"w": params["w"].at[0, 0].set(0)}
    assert dropped_macs(model, one) == 5
    # What the model drops cannot be dropped again.
    assert dropped_macs(model, {"w": one["w"].at[0, 1].set(0)}) == 5


def test_a_tap_at_the_edge_meets_fewer_samples():
    """A 3 x 3 kernel padded by one: its corner meets 3 x 4 samples of 4 x 5."""
    kernel = np.ones((3, 3, 1, 2), np.float32)
    kernel[0, 0, 0, 0] = kernel[1, 1, 0, 1] = 0
    params = {"k": jnp.asarray(kernel)}

    def convolved(p, x):
        return lax.conv_general_dilated(
            x[None, :, :, None],
            p["k"],
            (1, 1),
            [(1, 1), (1, 1)],
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )

    model = _model(convolved, params)
    assert zero_macs(model, params) == 3 * 4 + 4 * 5
    everything = {"k": jnp.zeros_like(params["k"])}
    assert zero_macs(model, everything) == count_step(model, params)[1].macs


def test_a_loop_skips_in_every_turn_and_what_is_late_is_no_weight():
    params = {"w": jnp.eye(4, dtype=jnp.float32)}

    def step(p, state, x):
        def turn(state, _):
            return p["w"] @ state + x[:, 0], None

        state, _ = lax.scan(turn, state, None, length=3)
        return state, state @ state[:, None]

    stage = recurrent(step, start=lambda p, key=None: jnp.zeros(4), about=("made",))
    assert zero_macs(Model("made", SPEC, stage), params) == 3 * 12


@pytest.mark.parametrize(
    ("function", "bits"),
    [
        (lambda p: p["a"], 8),
        (lambda p: 0.5 * p["a"].T.reshape(4, 4), 8),
        (lambda p: p["a"] * p["b"], 12),  # the product of 8 and 4 bits
        (lambda p: p["a"] @ p["b"], 14),  # of four such products a sum
        (lambda p: p["a"] + 1.0, 32),  # a sum of two scales is any number
        (lambda p: p["c"], 32),
        (lambda p: jnp.tanh(p["a"]), 32),
    ],
)
def test_bits_follow_from_how_a_factor_is_made(function, bits):
    params = {name: jnp.ones((4, 4), jnp.float32) for name in "abc"}
    model = _model(lambda p, x: function(p) @ x, params)
    known = {"a": 8, "b": 4}
    assert bit_operations(model, params, known) == 4 * 4 * 5 * bits * 32
    assert bit_operations(model, params, {}) == 4 * 4 * 5 * 32 * 32
