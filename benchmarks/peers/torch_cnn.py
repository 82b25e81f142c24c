"""Deep retina's network in torch, on windows: eager, channels_last, torch.compile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from benchmarks import inputs
from benchmarks.peers.placed import about, chosen
from benchmarks.worker import Work, versions

EPSILON = 1e-3  # of the batch norms, as in torch-deep-retina


class DeepRetina(nn.Module):
    """(bins, lags, height, width), lag 0 first, to (bins, cell)."""

    def __init__(self, settings: dict[str, Any], drawn: dict[str, torch.Tensor]):
        super().__init__()
        channels, cells = settings["channels"], settings["cells"]
        one, two = settings["sizes"]
        first, second = (settings["frame"] - lost for lost in (one - 1, one + two - 2))
        self.noise = settings["noise"]
        self.conv1 = nn.Conv2d(settings["lags"], channels, one)
        self.norm1 = nn.BatchNorm1d(channels * first**2, eps=EPSILON, momentum=0.01)
        self.conv2 = nn.Conv2d(channels, channels, two)
        self.norm2 = nn.BatchNorm1d(channels * second**2, eps=EPSILON, momentum=0.01)
        self.dense = nn.Linear(channels * second**2, cells, bias=False)
        self.norm3 = nn.BatchNorm1d(cells, eps=EPSILON, momentum=0.01)
        with torch.no_grad():
            self.conv1.weight.copy_(drawn["kernel1"].permute(3, 2, 0, 1))
            self.conv2.weight.copy_(drawn["kernel2"].permute(3, 2, 0, 1))
            # Stored place by place; torch has channel by channel.
            dense = drawn["dense"].reshape(second**2, channels, cells)
            self.dense.weight.copy_(dense.permute(2, 1, 0).reshape(cells, -1))
            self.conv1.bias.zero_()
            self.conv2.bias.zero_()

    def bend(self, norm: nn.Module, x: torch.Tensor) -> torch.Tensor:
        """Normalised per unit, noise, rectified; in the shape of x."""
        y = norm(x.flatten(1)).reshape(x.shape)
        if self.noise:
            y = y + self.noise * torch.randn_like(y)
        return functional.relu(y)

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        x = self.bend(self.norm1, self.conv1(windows))
        x = self.bend(self.norm2, self.conv2(x))
        return functional.softplus(self.norm3(self.dense(x.flatten(1))))


def poisson(rate: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """Negative log likelihood per expected spike, as `retina.fit` has it."""
    return (rate - counts * torch.log(rate + 1e-8)).mean() / counts.mean()


def descent(
    forward: Callable[..., torch.Tensor],
    adam: torch.optim.Optimizer,
    loss_of: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] = poisson,
) -> Callable[[Any, torch.Tensor], torch.Tensor]:
    """A step of Adam on what it is given and its counts; the loss is that before it."""

    def step(given: Any, counts: torch.Tensor) -> torch.Tensor:
        adam.zero_grad(set_to_none=True)
        loss = loss_of(forward(given), counts)
        loss.backward()
        adam.step()
        return loss.detach()

    return step


def training(
    net: nn.Module, forward: Callable[..., Any], given: Any, counts: torch.Tensor
) -> Callable[[], dict[str, Any]]:
    """The same step again and again."""
    step = descent(forward, torch.optim.Adam(net.parameters(), 1e-3))
    return lambda: {"loss": step(given, counts).item()}


def compiled(net: nn.Module, settings: dict[str, Any]) -> Callable[..., Any]:
    """The network as it is trained: by itself, or compiled where settings say so."""
    return torch.compile(net) if settings.get("compile") else net


def direct(settings: dict[str, Any]) -> Work:
    device = chosen(settings)
    made = inputs.deep_retina(settings)
    drawn = {k: torch.from_numpy(v).to(device) for k, v in made.items()}
    net = DeepRetina(settings, drawn)
    windows = drawn["stimulus"].unfold(0, settings["lags"], 1)  # the last axis: lags
    windows = windows.flip(-1).permute(0, 3, 1, 2).contiguous()
    if settings.get("channels_last"):
        net = net.to(memory_format=torch.channels_last)
        windows = windows.contiguous(memory_format=torch.channels_last)
    step = training(net, compiled(net, settings), windows, drawn["counts"])
    return Work(step, versions("torch"), about=about(device))
