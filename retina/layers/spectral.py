"""Valid convolution of a clip by way of its spatial spectrum, in matrix products alone.

A discrete Fourier transform along one side is a small matrix times a large one, which
is what a CPU does best; between the transforms every frequency mixes its channels. The
order (row, column, channel, time) needs no transposition in between: each product
takes the axis that stands first and leaves the rest as it lies.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np


def spectral(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """(time, H, W, in) with (K, K', in, out) -> (time, H - K + 1, W - K' + 1, out).

    The circular correlation over the whole frame, of which only the places that do not
    wrap around are transformed back.

    >>> spectral(jnp.ones((2, 5, 4, 1)), jnp.ones((3, 3, 1, 6))).shape
    (2, 3, 2, 6)
    """
    height, width = x.shape[1:3]
    rows, columns = kernel.shape[:2]
    mixing = _mixing(kernel, height, width)
    mixed = jnp.einsum("foi,fit->fot", mixing, spectrum_of(x))
    return back_home(mixed, (height, width), (height - rows + 1, width - columns + 1))


def spectrum_of(x: jax.Array) -> jax.Array:
    """(time, H, W, in) -> (frequency, 2 in, time), real parts before imaginary ones."""
    time, height, width, inputs = x.shape
    to, _ = _transforms(height, width, 1, 1)
    half = height // 2 + 1  # rows of a real frame's spectrum that are not redundant
    frames = x.transpose(1, 2, 3, 0)
    spectrum = jnp.asarray(to.rows) @ frames.reshape(height, -1)
    spectrum = each(jnp.asarray(to.columns), spectrum.reshape(half, 2 * width, -1))
    return spectrum.reshape(half * width, 2 * inputs, time)


def back_home(
    spectrum: jax.Array, frame: tuple[int, int], wanted: tuple[int, int]
) -> jax.Array:
    """(frequency, 2 out, time) -> (time, *wanted, out), a frame's first places."""
    height, width = frame
    half = height // 2 + 1
    channels, time = spectrum.shape[1] // 2, spectrum.shape[2]
    _, back = _transforms(height, width, *wanted)
    y = each(
        jnp.asarray(back.columns), spectrum.reshape(half, 2 * width, channels * time)
    )
    y = jnp.asarray(back.rows) @ y.reshape(2 * half, -1)
    return y.reshape(*wanted, channels, time).transpose(3, 0, 1, 2)


def each(matrix: jax.Array, batch: jax.Array) -> jax.Array:
    """One matrix times each of a batch: XLA runs a large product per entry only if
    the matrix is repeated."""
    repeated = jnp.broadcast_to(matrix[None], (batch.shape[0], *matrix.shape))
    return jnp.einsum("bmk,bkn->bmn", repeated, batch)


def _mixing(kernel: jax.Array, height: int, width: int) -> jax.Array:
    """(frequency, 2 out, 2 in): its spectrum, complex numbers as 2 x 2 real ones."""
    spectrum = jnp.fft.rfft2(kernel.transpose(3, 2, 1, 0), (width, height))
    spectrum = spectrum.transpose(3, 2, 0, 1).reshape(-1, *kernel.shape[:1:-1])
    return embedded(spectrum.real, -spectrum.imag)  # conjugate: a correlation


def embedded(real: jax.Array, imaginary: jax.Array) -> jax.Array:
    """(frequency, out, ..., in) complex as (frequency, 2 out, ..., 2 in) real."""
    upper = jnp.concatenate([real, -imaginary], axis=-1)
    lower = jnp.concatenate([imaginary, real], axis=-1)
    return jnp.concatenate([upper, lower], axis=1)


class _Pair:
    """Real matrices of one direction: along the rows, then along the columns."""

    def __init__(self, rows: np.ndarray, columns: np.ndarray):
        self.rows = rows.astype(np.float32)
        self.columns = columns.astype(np.float32)


@functools.cache
def _transforms(height: int, width: int, high: int, wide: int) -> tuple[_Pair, _Pair]:
    """From frames to spectra, and from spectra to the first high x wide places.

    Index orders, complex parts as an axis of their own: rows (u, part) <- (row,) and
    columns (column', part) <- (part, column) on the way there; columns (part, place)
    <- (column', part) and rows (place,) <- (u, part) on the way back.
    """
    half = height // 2 + 1
    there = fourier(height, range(half), -1)
    rows = np.stack([np.real(there), np.imag(there)], axis=1).reshape(2 * half, height)
    across = real_form(fourier(width, range(width), -1))
    columns = across.transpose(0, 1, 3, 2).reshape(2 * width, 2 * width)
    to = _Pair(rows, columns)

    across = real_form(fourier(width, range(wide), 1) / width)
    columns = across.transpose(1, 0, 2, 3).reshape(2 * wide, 2 * width)
    # A frequency and its mirror image give the same real numbers: counted twice.
    twice = np.full(half, 2.0)
    twice[0] = 1
    if height % 2 == 0:
        twice[-1] = 1
    home = fourier(height, range(high), 1)[:, :half] * twice / height
    rows = np.stack([np.real(home), -np.imag(home)], axis=2).reshape(high, 2 * half)
    return to, _Pair(rows, columns)


def fourier(size: int, wanted: range, sign: int) -> np.ndarray:
    angles = np.outer(np.array(wanted), np.arange(size)) / size
    return np.exp(sign * 2j * np.pi * angles)


def real_form(matrix: np.ndarray) -> np.ndarray:
    """(m, k) complex as (m, part, k, part) real."""
    real, imaginary = np.real(matrix), np.imag(matrix)
    upper = np.stack([real, -imaginary], axis=-1)
    return np.stack([upper, np.stack([imaginary, real], axis=-1)], axis=1)
