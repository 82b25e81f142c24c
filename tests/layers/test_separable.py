"""Separable convolution against the kernel multiplied out, and the published counts."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from retina.costs.flops import count_step, trace_step
from retina.costs.memory import memory
from retina.layers.basis import sines_and_cosines
from retina.layers.separable import WAYS, separable
from retina.models.core_readout import core_readout
from retina.types import Spec


def _multiplied_out(params, x: np.ndarray, taps: int, padding: int) -> np.ndarray:
    """Every lag, pixel and pair in turn, in float64; before the clip x is 0."""
    basis = sines_and_cosines(taps).astype(np.float64)
    space = np.asarray(params["space"], np.float64)
    rows, columns, inputs, channels = space.shape
    space = space / np.sqrt(rows * columns * inputs)
    time = np.einsum("lk,kio->lio", basis, np.asarray(params["time"], np.float64))
    kernel = np.einsum("rcio,lio->lrcio", space, time / np.linalg.norm(basis))
    x = np.pad(x, ((taps - 1, 0), (padding, padding), (padding, padding), (0, 0)))
    bins = len(x) - taps + 1
    high, wide = x.shape[1] - rows + 1, x.shape[2] - columns + 1
    y = np.zeros((bins, high, wide, channels))
    for lag in range(taps):
        for r in range(rows):
            for c in range(columns):
                seen = x[taps - 1 - lag :][:bins, r : r + high, c : c + wide]
                y += seen @ kernel[lag, r, c]
    return y


@pytest.mark.parametrize(("inputs", "padding", "taps"), [(1, 0, 7), (3, 1, 4)])
def test_it_is_the_kernel_multiplied_out(inputs: int, padding: int, taps: int):
    stage = separable((6, 5, inputs), 2, 3, taps, padding=padding)
    params = stage.init(jax.random.key(0))
    x = np.random.default_rng(0).standard_normal((40, 6, 5, inputs)).astype(np.float32)
    wanted = _multiplied_out(params, x.astype(np.float64), taps, padding)
    assert np.std(wanted) > 0.2
    apply = jax.jit(stage.apply)
    y = apply(params, stage.start(params), jnp.asarray(x))[1]
    np.testing.assert_allclose(y, wanted, atol=1e-5)


def test_a_clip_shorter_than_the_kernel_and_one_longer_than_a_block_agree():
    stage = separable((3, 3, 1), 2, 2, 9)
    params = stage.init(jax.random.key(0))
    x = jax.random.normal(jax.random.key(1), (45, 3, 3, 1))
    apply = jax.jit(stage.apply)
    whole = apply(params, stage.start(params), x)[1]
    state, pieces = stage.start(params), []
    for first in range(0, 45, 5):
        state, y = apply(params, state, x[first : first + 5])
        pieces.append(y)
    np.testing.assert_allclose(jnp.concatenate(pieces), whole, atol=1e-5)


def test_the_slope_of_the_clip_is_that_of_the_steps():
    """The fast gradient of the convolution, inside the loop over input channels."""
    stage = separable((5, 4, 2), 2, 3, 3, padding=1)
    params = stage.init(jax.random.key(0))
    x = jax.random.normal(jax.random.key(1), (6, 5, 4, 2))

    def scanned(params, x):
        def step(s, x_t):
            return stage.step(params, s, x_t)

        return jax.lax.scan(step, stage.start(params), x)[1]

    def clip(params, x):
        return stage.apply(params, stage.start(params), x)[1]

    one, two = (
        jax.jit(jax.grad(lambda p, x, f=f: jnp.sum(jnp.sin(f(p, x))), argnums=(0, 1)))
        for f in (scanned, clip)
    )
    leaves = map(jax.tree.leaves, (one(params, x), two(params, x)))
    for a, b in zip(*leaves, strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5)
        assert np.any(a != 0)


@pytest.mark.parametrize(
    ("inputs", "shape", "taps", "pad"),
    [(1, (7, 6), 40, (0, 0)), (3, (6, 7), 5, (1, 0))],
)
def test_every_way_is_the_same_convolution(inputs, shape, taps, pad):
    """In value and in slope, relative to the largest: one block of time, and four."""
    draw = np.random.default_rng(0).standard_normal
    shapes = (2, taps + 30, *shape, inputs), (3, 2, inputs, 5), (taps, inputs, 5)
    given = tuple(jnp.asarray(draw(shape, np.float32)) for shape in shapes)

    def both(way):
        def loss(*arrays):
            y = way(*arrays, pad)
            return jnp.sum(jnp.sin(y / 10)), y

        run = jax.jit(jax.grad(loss, (0, 1, 2), has_aux=True))
        return jax.tree.leaves(run(*given))

    spectrum, maps = (both(WAYS[name]) for name in ("spectrum", "maps"))
    for a, b in zip(spectrum, maps, strict=True):
        assert a.shape == b.shape
        assert np.max(np.abs(a - b)) < 1e-5 * np.max(np.abs(b))


def test_the_temporal_basis_has_the_peers_functions():
    """Sines and cosines over the window, as open-retina writes them down."""
    taps, count = 21, 7
    time = np.arange(taps) - taps  # oldest first
    mask = 1 / (1 + np.exp(-time - 19))
    basis = sines_and_cosines(taps)[::-1]
    for k in range(count):
        cosine = mask * np.cos(2 * np.pi * k * time / taps)
        np.testing.assert_allclose(basis[:, count + k], cosine, atol=1e-6)
    for k in range(1, count):
        sine = mask * np.sin(2 * np.pi * k * time / taps)
        np.testing.assert_allclose(basis[:, k - 1], sine, atol=1e-6)
    assert np.linalg.matrix_rank(basis) == 2 * count


def test_what_a_step_costs_and_holds():
    """Pixels once per pair, then taps once per pair, then one sum per tap and map."""
    stage = separable((8, 7, 3), 4, 3, 5)
    params = jax.eval_shape(stage.init, jax.random.key(0))
    frame = jax.ShapeDtypeStruct((8, 7, 3), jnp.float32)
    _, step = count_step(stage, params, frame)
    places, pairs = 6 * 5, 3 * 4
    assert step.macs == places * pairs * (9 + 5)
    assert step.flops - 2 * step.macs == places * 4 * (5 - 1)
    held = jax.eval_shape(stage.start, params)
    assert held.shape == (4, 6, 5, 4)
    # One input channel: nothing is summed over, so each tap is one product.
    one = separable((8, 7, 1), 4, 3, 5)
    params = jax.eval_shape(one.init, jax.random.key(0))
    _, step = count_step(one, params, jax.ShapeDtypeStruct((8, 7, 1), jnp.float32))
    assert step.macs == places * 4 * 9
    assert step.flops - 2 * step.macs == places * 4 * (5 + 5 - 1)


STANFORD = Spec((50, 50), 5, 0.01)
SETTINGS: dict[str, Any] = {
    "hidden_channels": (16, 32),
    "temporal_sizes": (21, 11),
    "sizes": (15, 11),
}


def test_parameters_are_as_many_as_open_retina_counts():
    """69,177 at its setting for the Stanford recordings, part by part.

    Its sines of 0 periods are replaced by those of one period more: see the basis.
    """
    model = core_readout(STANFORD, **SETTINGS)
    params = jax.eval_shape(model.stage.init, jax.random.key(0))
    parts = {
        name: sum(leaf.size for leaf in jax.tree.leaves(part))
        for name, part in params.items()
        if jax.tree.leaves(part)
    }
    assert parts == {
        "separable": 16 * (15 * 15 + 2 * 7),
        "norm": 2 * 16,
        "bias": 16,
        "separable2": 16 * 32 * (11 * 11 + 2 * 3),
        "norm2": 2 * 32,
        "bias2": 32,
        "gaussian_mask": 5 * (2 + 1 + 32),
        "output": 2 * 5,
    }
    assert sum(parts.values()) == 69_177


def test_a_bin_costs_an_eleventh_of_the_kernels_multiplied_out():
    """1.29e8 FLOP where torch's counter gives open-retina 1.442e9 (at 130 bins)."""
    model = core_readout(STANFORD, **SETTINGS)
    params = jax.eval_shape(model.stage.init, jax.random.key(0))
    _, step = count_step(model, params)
    met = 30 * 11 - 2 * (2 + 1)  # per side, less what would meet the padding
    first, second = 36 * 36 * 16, 30 * 30 * 32
    macs = first * 225 + met**2 * 16 * 32 + second * 16 * 11 + 30 * 30 * 32 * 5
    assert step.macs == macs
    assert 2 * macs < step.flops < 1.02 * 2 * macs
    assert 1.28e8 < step.flops < 1.3e8
    # Running sums: 20 rows of the first maps and 10 of the second.
    held = 4 * (20 * first + 10 * second)
    traced = trace_step(model, params)
    assert held <= memory(traced).state_bytes <= held + 1000
