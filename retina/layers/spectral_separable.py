"""Separable space-time convolution of a clip by way of its spatial spectrum.

Per frequency of space what is left is a short convolution in time that mixes channels:
matrix products again, whose number does not grow with the pixels of a kernel, and no
map of a pair of channels is ever made.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from retina.layers.spectral import back_home, embedded, spectrum_of

WIDE = 64  # rows of one product: below, several lags enter it together


def spectral_separable(x: jax.Array, space: jax.Array, time: jax.Array) -> jax.Array:
    """What frames add to each bin, those after the clip's end included.

    x:       (bins, H, W, in).
    space:   (K, K', in, out), a valid correlation. time: (taps, in, out), lag 0 first.
    returns: (bins + taps - 1, H - K + 1, W - K' + 1, out).

    >>> x, space = jnp.ones((2, 5, 4, 1)), jnp.ones((3, 3, 1, 6))
    >>> spectral_separable(x, space, jnp.ones((4, 1, 6))).shape
    (5, 3, 2, 6)
    """
    bins, height, width, inputs = x.shape
    rows, columns, _, outputs = space.shape
    taps = time.shape[0]
    seen = spectrum_of(x)  # (frequency, 2 in, bin)
    around = jnp.pad(seen, ((0, 0), (0, 0), (taps - 1, taps - 1)))
    flat = jnp.fft.rfft2(space.transpose(3, 2, 1, 0), (width, height))
    flat = flat.transpose(3, 2, 0, 1).reshape(-1, outputs, 1, inputs)
    courses = time.transpose(2, 0, 1)[None]
    # (frequency, 2 out, tap, 2 in); conjugate in space, where it is a correlation.
    mixing = embedded(flat.real * courses, -flat.imag * courses)

    def share(first: int, last: int) -> jax.Array:
        """Of the lags from first to last - 1, stacked."""
        ends = [taps - 1 - lag for lag in range(first, last)]
        past = [around[:, :, end : end + bins + taps - 1] for end in ends]
        part = mixing[:, :, first:last].reshape(*mixing.shape[:2], -1)
        return jnp.einsum("fok,fkt->fot", part, jnp.concatenate(past, axis=1))

    lags = max(1, WIDE // (2 * inputs))
    shares = [share(n, min(n + lags, taps)) for n in range(0, taps, lags)]
    mixed = sum(shares[1:], shares[0])
    return back_home(mixed, (height, width), (height - rows + 1, width - columns + 1))
