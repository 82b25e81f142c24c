"""Separable space-time convolution of clips by way of their spectrum, in products.

In the frequencies of time and space a convolution is one small product per frequency,
and a frequency's share of a kernel is made of few numbers. Every transform is a matrix
times what lies there, in the order (time, row, column, channel, clip): each takes the
axis whose turn it is, together with the parts of complex numbers, without a
transposition; padding, and the places that wrap around, are left out of the matrices.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from retina.layers.spectral import each, fourier

SHORT = 16  # bins of a block at least


def spectral_separable(
    x: jax.Array, space: jax.Array, time: jax.Array, pad: tuple[int, int] = (0, 0)
) -> jax.Array:
    """Valid in time: the first output is that of the first full history.

    x:       (clip, bins + taps - 1, H, W, in).
    space:   (K, K', in, out), a correlation. time: (taps, in, out), lag 0 first.
    pad:     rows and columns of zeros on each side of a frame.
    returns: (clip, bins, H + 2 pad - K + 1, W + 2 pad' - K' + 1, out).

    >>> x, space = jnp.ones((2, 5, 5, 4, 1)), jnp.ones((3, 3, 1, 6))
    >>> spectral_separable(x, space, jnp.ones((4, 1, 6))).shape
    (2, 2, 3, 2, 6)
    """
    clips, frames, height, width, inputs = x.shape
    rows, columns, _, outputs = space.shape
    taps = time.shape[0]
    bins = frames - taps + 1
    # Overlapping blocks of a long clip, each circular: a third of one is lost.
    blocks = -(-bins // max(2 * (taps - 1), SHORT))
    hop = -(-bins // blocks)
    span = hop + taps - 1
    if blocks > 1:
        x = jnp.pad(x, ((0, 0), (0, blocks * hop - bins), *[(0, 0)] * 3))
        x = jnp.stack([x[:, b * hop : b * hop + span] for b in range(blocks)], axis=1)
        x = x.reshape(clips * blocks, *x.shape[2:])
    to, of, back = _transforms(span, taps, height, rows, width, columns, pad)

    seen = _rows_of_spectra(to, x.transpose(1, 2, 3, 4, 0))
    seen = each(jnp.asarray(to.columns), seen)
    seen = seen.reshape(-1, 2 * inputs, x.shape[0])  # (frequency, part in, clip)
    mixed = jnp.einsum("foi,fic->foc", _mixing(of, space, time), seen)

    high, wide = back.places
    y = each(
        jnp.asarray(back.columns),
        mixed.reshape(-1, back.columns.shape[1], outputs * x.shape[0]),
    )
    y = each(
        jnp.asarray(back.rows),
        y.reshape(-1, back.rows.shape[1], wide * outputs * x.shape[0]),
    )
    y = jnp.asarray(back.time) @ y.reshape(back.time.shape[1], -1)
    y = y.reshape(hop, high, wide, outputs, clips, blocks).transpose(4, 5, 0, 1, 2, 3)
    return y.reshape(clips, blocks * hop, high, wide, outputs)[:, :bins]


class _Matrices(NamedTuple):
    """Real matrices of one direction, and the places and bins it leads to."""

    time: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    places: tuple[int, int] = (0, 0)


def _rows_of_spectra(to: _Matrices, x: jax.Array) -> jax.Array:
    """(time, row, column, *rest) -> (frequency and row's, part column, rest)."""
    _, height, width = x.shape[:3]
    y = jnp.asarray(to.time) @ x.reshape(x.shape[0], -1)
    y = each(jnp.asarray(to.rows), y.reshape(len(to.time) // 2, 2 * height, -1))
    return y.reshape(-1, 2 * width, x[0, 0, 0].size)


def _mixing(of: _Matrices, space: jax.Array, time: jax.Array) -> jax.Array:
    """(frequency, part out, part in): spectra of kernels, each number as 2 x 2."""
    kernel = time[:, None, None] * space[None]
    seen = _rows_of_spectra(of, kernel.transpose(0, 1, 2, 4, 3))
    outputs, inputs = space.shape[:1:-1]
    half = seen.shape[1] // 2
    seen = seen.reshape(seen.shape[0], 2, half, outputs, inputs)
    # Both columns of the 2 x 2 form, a number and i times it, while they are few.
    turned = jnp.stack([-seen[:, 1], seen[:, 0]], axis=1)
    seen = jnp.stack([seen, turned], axis=4).reshape(seen.shape[0], 2 * half, -1)
    return each(jnp.asarray(of.columns), seen).reshape(-1, 2 * outputs, 2 * inputs)


@functools.cache
def _transforms(
    span: int,
    taps: int,
    height: int,
    rows: int,
    width: int,
    columns: int,
    pad: tuple[int, int],
) -> tuple[_Matrices, _Matrices, _Matrices]:
    """From frames to spectra, from kernels to spectra, and from spectra to outputs.

    Index orders: time (frequency, part) <- (bin,), rows (frequency, part) <- (part,
    row), columns (frequency, part) <- (part, column); the way back is the reverse.
    """
    tall, broad = height + 2 * pad[0], width + 2 * pad[1]
    half = span // 2 + 1  # frequencies of a real signal that are not redundant
    seen = range(pad[0], pad[0] + height), range(pad[1], pad[1] + width)
    wanted = range(tall - rows + 1), range(broad - columns + 1)

    def over_time(bins: int) -> np.ndarray:
        there = fourier(span, range(half), -1)[:, :bins]
        return np.stack([np.real(there), np.imag(there)], 1).reshape(2 * half, bins)

    def there(size: int, places: range, sign: int) -> np.ndarray:
        return _real(fourier(size, range(size), sign)[:, places])

    def home(size: int, places: range) -> np.ndarray:
        return _real(fourier(size, range(size), 1)[places] / size, back=True)

    # A frequency and its mirror image give the same real numbers: counted twice.
    twice = np.full(half, 2.0)
    twice[0] = 1
    if span % 2 == 0:
        twice[-1] = 1
    last = fourier(span, range(span), 1)[taps - 1 :, :half] * twice / span
    last = np.stack([np.real(last), -np.imag(last)], 2).reshape(-1, 2 * half)
    places = len(wanted[0]), len(wanted[1])
    to = over_time(span), there(tall, seen[0], -1), there(broad, seen[1], -1)
    # The kernel is conjugate in space, where it is a correlation.
    of = over_time(taps), there(tall, range(rows), 1), there(broad, range(columns), 1)
    back = last, home(tall, wanted[0]), home(broad, wanted[1])
    return _matrices(*to), _matrices(*of), _matrices(*back, places)


def _matrices(time, rows, columns, places: tuple[int, int] = (0, 0)) -> _Matrices:
    time, rows, columns = (m.astype(np.float32) for m in (time, rows, columns))
    return _Matrices(time, rows, columns, places)


def _real(matrix: np.ndarray, back: bool = False) -> np.ndarray:
    """A complex (m, k) as a real (m part, part k); on the way back (part m, k part)."""
    real, imaginary = np.real(matrix), np.imag(matrix)
    parts = np.array([[real, -imaginary], [imaginary, real]])  # (part, part, m, k)
    order = (0, 2, 3, 1) if back else (2, 0, 1, 3)
    return parts.transpose(order).reshape(2 * matrix.shape[0], 2 * matrix.shape[1])
