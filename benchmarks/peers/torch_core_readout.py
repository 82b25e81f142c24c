"""open-retina's core and readout: its own module, and the same in plain torch.

All hold the weights of `inputs.core_readout`.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from benchmarks import inputs
from benchmarks.peers.placed import about, chosen
from benchmarks.peers.torch_cnn import compiled, training
from benchmarks.peers.torch_products import Convolution
from benchmarks.worker import Work, versions

SPREAD = 2.0  # pixels, s.d. of the masks


def basis(taps: int) -> torch.Tensor:
    """(taps, sines of 1, 2, ... and cosines of 0, 1, ... periods), oldest lag first."""
    periods = taps // 3
    time = torch.arange(taps) - float(taps)
    fade = 1 / (1 + torch.exp(-time - int(taps * 0.95)))
    phase = 2 * math.pi / taps * time[:, None]
    sines = torch.sin(phase * torch.arange(1, periods))
    cosines = torch.cos(phase * torch.arange(periods))
    return fade[:, None] * torch.cat([sines, cosines], 1)


class Layer(nn.Module):
    """Separable convolution, scale and offset, bias, ELU.

    way: "separable": in space, then in time; "full": the kernel multiplied out;
         "spectral": multiplied with the maps in the spectrum of time and space.
    """

    basis: torch.Tensor

    def __init__(self, space, sines, cosines, padding: int, way: str):
        super().__init__()
        self.way, self.padding = way, padding
        self.products: Convolution | None = None  # of the spectral way
        taps_in_basis = torch.cat([sines, cosines])  # (course, in, out)
        self.space = nn.Parameter(space.permute(3, 2, 0, 1).contiguous())
        self.time = nn.Parameter(taps_in_basis)
        channels = space.shape[-1]
        self.scale = nn.Parameter(torch.ones(channels, 1, 1, 1))
        self.offset = nn.Parameter(torch.zeros(channels, 1, 1, 1))
        self.bias = nn.Parameter(torch.zeros(channels, 1, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        course = torch.einsum("tk,kio->oit", self.basis, self.time)
        pad = (0, self.padding, self.padding)
        if self.products is not None:
            # The clips' own spectra are made before the clock runs: see `plain`.
            seen = x if x.ndim == 3 else self.spectra(x)
            kernel = torch.einsum("oit,oixy->txyoi", course, self.space)
            y = self.products(seen, kernel).permute(4, 3, 0, 1, 2)
        elif self.way == "full":
            kernel = torch.einsum("oit,oixy->oitxy", course, self.space)
            y = functional.conv3d(x, kernel, padding=pad)
        else:
            y = self.separable(x, course, pad)
        return functional.elu(y * self.scale + self.offset + self.bias)

    def spectra(self, x: torch.Tensor) -> torch.Tensor:
        assert self.products is not None
        return self.products.spectrum(x.permute(2, 3, 4, 1, 0))

    def separable(self, x, course, pad) -> torch.Tensor:
        out, inputs = self.space.shape[:2]
        # Every pair of an input and an output channel has a kernel of its own.
        pairs = self.space.transpose(0, 1).reshape(
            inputs * out, 1, 1, *self.space.shape[2:]
        )
        maps = functional.conv3d(x, pairs, padding=pad, groups=inputs)
        maps = maps.unflatten(1, (inputs, out)).transpose(1, 2).flatten(1, 2)
        return functional.conv3d(maps, course[..., None, None], groups=out)


class CoreReadout(nn.Module):
    """(clip, 1, time, height, width) to (clip, time - history, cell)."""

    def __init__(self, settings: dict[str, Any], drawn: dict[str, torch.Tensor]):
        super().__init__()
        taps, sizes = settings["temporal_sizes"], settings["sizes"]
        shape = settings["batch"][1:]
        self.layers = nn.ModuleList()
        for n, (lags, size) in enumerate(zip(taps, sizes, strict=True), 1):
            weights = (drawn[f"{name}{n}"] for name in ("space", "sines", "cosines"))
            padding = 0 if n == 1 else size // 2
            layer = Layer(*weights, padding, settings["way"])
            layer.register_buffer("basis", basis(lags))
            if settings["way"] == "spectral":
                pads = (0, padding, padding)
                layer.products = Convolution(shape, (lags, size, size), pads)
                shape = layer.products.valid
            self.layers.append(layer)
        cells = settings["cells"]
        self.place = nn.Parameter(drawn["place"].float())
        self.log_variance = nn.Parameter(torch.full((cells,), math.log(SPREAD**2)))
        self.features = nn.Parameter(drawn["features"])
        self.bias = nn.Parameter(torch.zeros(cells))
        self.gain = nn.Parameter(torch.ones(cells))

    def masks(self, high: int, wide: int) -> torch.Tensor:
        rows = torch.arange(high)[None] - self.place[:, :1]
        columns = torch.arange(wide)[None] - self.place[:, 1:]
        far = rows[:, :, None] ** 2 + columns[:, None] ** 2
        far = far * torch.exp(-self.log_variance)[:, None, None]
        return torch.softmax(-0.5 * far.flatten(1), 1).reshape(far.shape)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = layer(x)
        masks = self.masks(*x.shape[-2:])
        seen = torch.einsum("bctxy,nxy->bctn", x, masks)
        drive = torch.einsum("bctn,nc->btn", seen, self.features)
        return self.gain * functional.softplus(drive + self.bias)


def drawn_for(settings: dict[str, Any], device) -> dict[str, torch.Tensor]:
    made = inputs.core_readout(settings)
    return {k: torch.from_numpy(v).to(device) for k, v in made.items()}


def plain(settings: dict[str, Any]) -> Work:
    device = chosen(settings)
    drawn = drawn_for(settings, device)
    net = CoreReadout(settings, drawn).to(device)
    clips = drawn["stimulus"][:, None]
    if settings["way"] == "spectral":
        clips = net.layers[0].spectra(clips)
    if settings.get("channels_last"):
        clips = clips.contiguous(memory_format=torch.channels_last_3d)
    step = training(net, compiled(net, settings), clips, drawn["counts"])
    return Work(step, versions("torch"), about=about(device))


def openretina(settings: dict[str, Any]) -> Work:
    """`SimpleCoreWrapper` and `GaussianMaskReadout` as they are published."""
    from openretina.modules.core.base_core import SimpleCoreWrapper
    from openretina.modules.readout.factorized_gaussian import GaussianMaskReadout

    device = chosen(settings)
    drawn = drawn_for(settings, device)
    taps, sizes, channels = (
        settings[name] for name in ("temporal_sizes", "sizes", "channels")
    )
    core = SimpleCoreWrapper(
        channels=(1, *(channels for _ in taps)),
        temporal_kernel_sizes=tuple(taps),
        spatial_kernel_sizes=tuple(sizes),
        gamma_input=0.0,
        gamma_temporal=40.0,
        gamma_in_sparse=0.0,
        gamma_hidden=0.0,
        cut_first_n_frames=0,
        input_padding=0,
        hidden_padding=(0, sizes[1] // 2, sizes[1] // 2),
    )
    core.eval()  # its batch norms at the statistics they start with, 0 and 1
    for n, layer in enumerate(core.features, 1):
        convolution = layer.conv
        layer.norm.eps = 0.0
        with torch.no_grad():
            space = drawn[f"space{n}"].permute(3, 2, 0, 1)
            convolution.weight_spatial.copy_(space[:, :, None])
            convolution.cos_weights.copy_(drawn[f"cosines{n}"].permute(2, 1, 0))
            # Theirs begin at 0 periods, which is zero at every lag.
            convolution.sin_weights.zero_()
            convolution.sin_weights[..., 1:] = drawn[f"sines{n}"].permute(2, 1, 0)
    clips = drawn["stimulus"][:, None]
    with torch.no_grad():
        shape = tuple(core(clips[:1]).shape[1:])
    readout = GaussianMaskReadout(
        shape,  # type: ignore[arg-type]
        settings["cells"],
        gaussian_mean_scale=6.0,
        gaussian_var_scale=4.0,
        scale=True,
    )
    with torch.no_grad():
        # Places in pixels, so that the masks are those of the others.
        rows, columns = (torch.arange(float(n)) for n in shape[2:])
        grid = torch.stack(torch.meshgrid(rows, columns, indexing="ij"), -1)
        readout.grid.copy_(grid.expand_as(readout.grid))
        readout.mask_mean.copy_(drawn["place"] / 6.0)
        readout.mask_log_var.fill_(math.log(SPREAD**2) / 4.0)
        readout.features.copy_(drawn["features"].T[None, :, None])
        readout.scale_param.fill_(1.0)
        readout.bias.zero_()
    net = nn.Sequential(core, readout)
    step = training(net, net, clips, drawn["counts"])
    return Work(step, versions("openretina", "torch"), about=about(device))
