"""Valid convolution by way of the spectrum, in matrix products, as ours does it.

Arrays lie as (place along each axis, channel, sample): a transform along one axis is a
matrix times what lies there, and hands the complex parts on to the next, so that
nothing is ever transposed. Between the transforms every frequency mixes its channels.
Padding, and the places that wrap around, are left out of the matrices.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn


def waves(rows: int, columns: int, sign: int) -> np.ndarray:
    """(rows, columns) of exp(sign 2 pi i row column / columns)."""
    turns = np.outer(np.arange(rows), np.arange(columns)) / columns
    return np.exp(sign * 2j * np.pi * turns)


def parts(matrix: np.ndarray) -> np.ndarray:
    """A complex (m, k) as real (part, part, m, k)."""
    real, imaginary = matrix.real, matrix.imag
    return np.array([[real, -imaginary], [imaginary, real]])


def there(size: int, places: slice, first: bool) -> torch.Tensor:
    """(frequency, part) <- (part, place); of real numbers, half, on the first axis."""
    matrix = waves(size, size, -1)[:, places]
    if first:
        half = matrix[: size // 2 + 1]
        found = np.stack([half.real, half.imag], 1).reshape(2 * len(half), -1)
    else:
        found = parts(matrix).transpose(2, 0, 1, 3).reshape(2 * size, -1)
    return torch.from_numpy(found.astype(np.float32))


def home(size: int, valid: int, first: bool) -> torch.Tensor:
    """(part, place) <- (frequency, part); to real numbers on the first axis."""
    matrix = waves(size, size, 1)[:valid] / size
    if first:
        # A frequency and its mirror image give the same real numbers: counted twice.
        twice = np.full(size // 2 + 1, 2.0)
        twice[0] = 1
        if size % 2 == 0:
            twice[-1] = 1
        half = matrix[:, : len(twice)] * twice
        found = np.stack([half.real, -half.imag], 2).reshape(valid, -1)
    else:
        found = parts(matrix).transpose(0, 2, 3, 1).reshape(2 * valid, -1)
    return torch.from_numpy(found.astype(np.float32))


def each(matrix: torch.Tensor, batch: torch.Tensor) -> torch.Tensor:
    return torch.bmm(matrix.expand(len(batch), -1, -1), batch)


class Convolution(nn.Module):
    """A correlation along two or three axes, where the kernel lies wholly within.

    shape: of what it is given; taps: of the kernel; padding: zeros on either side.
    """

    def __init__(
        self, shape: Sequence[int], taps: Sequence[int], padding: Sequence[int] = ()
    ):
        super().__init__()
        padding = padding or [0] * len(shape)
        sizes = [n + 2 * pad for n, pad in zip(shape, padding, strict=True)]
        self.valid = [n - k + 1 for n, k in zip(sizes, taps, strict=True)]
        self.axes = range(1, len(shape))
        for axis, size in enumerate(sizes):
            pad, first = padding[axis], axis == 0
            matrices = {
                "to": there(size, slice(pad, pad + shape[axis]), first),
                "of": there(size, slice(taps[axis]), first),
                "home": home(size, self.valid[axis], first),
            }
            for name, matrix in matrices.items():
                self.register_buffer(f"{name}{axis}", matrix, persistent=False)

    def spectrum(self, x: torch.Tensor, name: str = "to") -> torch.Tensor:
        """(place, ..., channel, sample) -> (frequency, part channel, sample)."""
        z = getattr(self, f"{name}0") @ x.flatten(1)
        done = len(z) // 2
        for axis in self.axes:
            matrix = getattr(self, f"{name}{axis}")
            z = each(matrix, z.reshape(done, matrix.shape[1], -1))
            done *= len(matrix) // 2
        return z.reshape(done, -1, x.shape[-1])

    def forward(self, spectrum: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
        """kernel: (tap, ..., out, in). returns: (place, ..., out, sample)."""
        a, b = self.spectrum(kernel, "of").chunk(2, 1)
        # The conjugate, as a correlation has it: a - ib as it acts on the parts.
        mixing = torch.cat([torch.cat([a, b], 2), torch.cat([-b, a], 2)], 1)
        z = torch.bmm(mixing, spectrum)
        done = len(z)
        for axis in reversed(self.axes):
            matrix = getattr(self, f"home{axis}")
            done //= matrix.shape[1] // 2
            z = each(matrix, z.reshape(done, matrix.shape[1], -1))
        z = self.home0 @ z.reshape(self.home0.shape[1], -1)
        return z.reshape(*self.valid, *kernel.shape[-2:-1], spectrum.shape[-1])
