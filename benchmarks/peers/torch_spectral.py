"""The same network in torch, convolved in the Fourier domain by matrix products.

The first layer is one convolution over time and space of the contiguous clip: blocks of
time overlap by the kernel's length (overlap-save), the spectra of the stimulus are made
once, and each step multiplies them with the kernels' and goes back at the outputs that
are valid. The second layer is the same in space alone. Complex numbers are pairs of
real ones throughout, so that every transform is one large real product.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks import inputs
from benchmarks.peers.placed import about, chosen
from benchmarks.peers.torch_cnn import DeepRetina, compiled, training
from benchmarks.peers.torch_products import Convolution, waves
from benchmarks.worker import Work, versions

HOP = 32  # outputs in time of one block


def real(matrix: np.ndarray) -> torch.Tensor:
    """A complex matrix as it acts on (part, column) pairs: (2 rows, 2 columns)."""
    blocks = np.block([[matrix.real, -matrix.imag], [matrix.imag, matrix.real]])
    return torch.from_numpy(blocks.astype(np.float32))


def half(size: int, valid: int) -> torch.Tensor:
    """From the half spectrum of a real row to its first values: (valid, 2 half)."""
    kept = size // 2 + 1
    twice = np.full(kept, 2.0)
    twice[0] = 1
    if size % 2 == 0:
        twice[-1] = 1
    back = waves(valid, size, 1)[:, :kept] * twice / size
    return torch.from_numpy(np.hstack([back.real, -back.imag]).astype(np.float32))


def pair(x: torch.Tensor) -> torch.Tensor:
    """Complex to a leading axis of two."""
    return torch.stack([x.real, x.imag])


class SpectralRetina(DeepRetina):
    """The weights of `DeepRetina`; takes the stimulus's spectra in place of windows."""

    def __init__(self, settings: dict[str, Any], drawn: dict[str, torch.Tensor]):
        super().__init__(settings, drawn)
        frame, self.lags = settings["frame"], settings["lags"]
        one, two = settings["sizes"]
        first = frame - one + 1
        self.frame, self.first = frame, first
        self.bins, self.window = settings["bins"], HOP + self.lags
        back = {
            "in_time": real(waves(HOP, self.window, 1) / self.window),
            "in_rows": real(waves(first, frame, 1) / frame),
            "in_columns": half(frame, first),
        }
        for name, matrix in back.items():
            self.register_buffer(name, matrix)
        self.in_space = Convolution((first, first), (two, two))

    def spectra(self, stimulus: torch.Tensor) -> torch.Tensor:
        """(bins + lags - 1, frame, frame) -> (2, time, row, column, block), once."""
        blocks = -(-self.bins // HOP)
        more = blocks * HOP + self.lags - len(stimulus)
        padded = torch.cat([stimulus, stimulus.new_zeros(more, *stimulus.shape[1:])])
        cut = padded.unfold(0, self.window, HOP)  # (block, row, column, time)
        spectrum = torch.fft.fftn(torch.fft.rfft(cut, dim=2), dim=(1, 3))
        return pair(spectrum.permute(3, 1, 2, 0)).contiguous()

    def conv_in_time(self, spectra: torch.Tensor) -> torch.Tensor:
        """(2, time, row, column, block) -> (block * hop, channel, row, column)."""
        channels, frame, kept = self.conv1.out_channels, self.frame, spectra.shape[3]
        blocks = spectra.shape[-1]
        kernel = self.conv1.weight.flip(1)  # oldest first, as the stimulus is
        shape = (self.window, frame, frame)
        spectrum = pair(torch.fft.rfftn(kernel, shape).conj())
        a, b = spectrum.permute(0, 2, 3, 4, 1)[..., None]  # time, row, column, channel
        x, y = spectra[..., None, :]
        both = torch.stack([x * a - y * b, x * b + y * a])
        z = self.in_time @ both.reshape(2 * self.window, -1)
        # (part, hop, row, column, channel, block): next the rows, then the columns.
        z = z.reshape(2, HOP, frame, -1).transpose(0, 1).reshape(HOP, 2 * frame, -1)
        z = self.in_rows @ z
        z = z.reshape(HOP, 2, self.first, kept, -1).transpose(1, 2)
        z = self.in_columns @ z.reshape(HOP * self.first, 2 * kept, -1)
        z = z.reshape(HOP, self.first, self.first, channels, blocks)
        return z.permute(4, 0, 3, 1, 2).reshape(-1, channels, self.first, self.first)

    def conv_in_space(self, x: torch.Tensor) -> torch.Tensor:
        """(bins, channel, row, column) -> the same, valid outputs."""
        spectrum = self.in_space.spectrum(x.permute(2, 3, 1, 0))
        kernel = self.conv2.weight.permute(2, 3, 0, 1)
        return self.in_space(spectrum, kernel).permute(3, 2, 0, 1)

    def forward(self, spectra: torch.Tensor) -> torch.Tensor:
        x = self.conv_in_time(spectra)[: self.bins]
        x = self.bend(self.norm1, x + self.conv1.bias[:, None, None])
        x = self.conv_in_space(x) + self.conv2.bias[:, None, None]
        x = self.bend(self.norm2, x)
        return nn.functional.softplus(self.norm3(self.dense(x.flatten(1))))


def spectral(settings: dict[str, Any]) -> Work:
    device = chosen(settings)
    made = inputs.deep_retina(settings)
    drawn = {k: torch.from_numpy(v).to(device) for k, v in made.items()}
    net = SpectralRetina(settings, drawn).to(device)
    given = net.spectra(drawn["stimulus"])
    step = training(net, compiled(net, settings), given, drawn["counts"])
    return Work(step, versions("torch"), about=about(device))
