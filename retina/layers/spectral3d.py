"""Valid convolution over space and time by way of its spectrum, in matrix products.

Neighbouring bins share all but one of the frames they look back on. In the frequencies
of time and space a clip's convolution is one product per frequency, so that the
arithmetic falls by an order of magnitude; the way back is three matrix products, each
restricted to the places and bins that are wanted.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np

from retina.layers.spectral import each, fourier, real_form


def spectral3d(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """(time + L - 1, H, W) with (K, K', L, out) -> (time, H - K + 1, W - K' + 1, out).

    Lag 0 first in the kernel; a correlation in space. Time goes in overlapping blocks
    of about twice the lags, each circular and cut to the bins that do not wrap around.

    >>> spectral3d(jnp.ones((9, 5, 4)), jnp.ones((3, 3, 2, 6))).shape
    (8, 3, 2, 6)
    """
    height, width = x.shape[1:]
    rows, columns, lags, outputs = kernel.shape
    high, wide = height - rows + 1, width - columns + 1
    time = x.shape[0] - lags + 1
    blocks = -(-time // lags)
    hop = -(-time // blocks)
    span = hop + lags - 1
    half = width // 2 + 1  # columns of a real frame's spectrum that are not redundant
    home = _home(span, hop, height, high, width, wide)

    # What varies fastest is short and of even length: channels, not blocks.
    stimulus = _blocks(x, blocks, hop, span)[..., None]
    weights = _weights(kernel, span, height, width)[:, :, :, :, None]
    real = stimulus[0] * weights[0] - stimulus[1] * weights[1]
    imaginary = stimulus[0] * weights[1] + stimulus[1] * weights[0]
    y = jnp.stack([real, imaginary]).reshape(2 * span, -1)
    y = jnp.asarray(home.time) @ y
    y = each(jnp.asarray(home.rows), y.reshape(hop, 2 * height, -1))
    y = each(jnp.asarray(home.columns), y.reshape(hop * high, 2 * half, -1))
    y = y.reshape(hop, high, wide, blocks, outputs).transpose(3, 0, 1, 2, 4)
    return y.reshape(blocks * hop, high, wide, outputs)[:time]


def _blocks(x: jax.Array, blocks: int, hop: int, span: int) -> jax.Array:
    """Spectra of the blocks of a clip: (part, frequency, row, column, block)."""
    short = (blocks - 1) * hop + span - x.shape[0]
    frames = jnp.fft.rfft2(jnp.pad(x, ((0, short), (0, 0), (0, 0))))
    cut = [frames[b * hop : b * hop + span] for b in range(blocks)]
    spectrum = jnp.fft.fft(jnp.stack(cut, axis=-1), axis=0)
    return jnp.stack([spectrum.real, spectrum.imag])


def _weights(kernel: jax.Array, span: int, height: int, width: int) -> jax.Array:
    """The kernel's spectrum: (part, frequency, row, column, out)."""
    lags = kernel.shape[2]
    flat = jnp.fft.rfft2(kernel.transpose(3, 2, 0, 1), (height, width))
    # Conjugate in space, where it is a correlation; a convolution in time.
    across = jnp.asarray(fourier(span, range(span), -1)[:, :lags].astype(np.complex64))
    spectrum = jnp.einsum("fl,oluv->fuvo", across, jnp.conj(flat))
    return jnp.stack([spectrum.real, spectrum.imag])


class _Home:
    """Real matrices from spectra to the wanted bins, then rows, then columns."""

    def __init__(self, time: np.ndarray, rows: np.ndarray, columns: np.ndarray):
        self.time = time.astype(np.float32)
        self.rows = rows.astype(np.float32)
        self.columns = columns.astype(np.float32)


@functools.cache
def _home(span: int, hop: int, height: int, high: int, width: int, wide: int) -> _Home:
    """Index orders: time (bin, part) <- (part, frequency), rows (place, part) <-
    (part, frequency), columns (place,) <- (part, frequency)."""

    def matrix(size: int, wanted: range) -> np.ndarray:
        there = real_form(fourier(size, wanted, 1) / size)
        return there.transpose(0, 1, 3, 2).reshape(2 * len(wanted), 2 * size)

    time = matrix(span, range(span - hop, span))
    rows = matrix(height, range(high))
    # A frequency and its mirror image give the same real numbers: counted twice.
    half = width // 2 + 1
    twice = np.full(half, 2.0)
    twice[0] = 1
    if width % 2 == 0:
        twice[-1] = 1
    last = fourier(width, range(wide), 1)[:, :half] * twice / width
    return _Home(time, rows, np.concatenate([last.real, -last.imag], axis=1))
