"""A convolutional network of the family of `cnn`, fitted in torch on shuffled windows.

20 lags projected on five time courses (the first singular vectors of the spike-
triggered averages, fixed) -> 8 of 9 x 9 -> 8 of 5 x 5, batch norm per channel, ReLU,
dense, softplus; AdamW, 256 windows a batch. The projected movies are made once. With
`epochs` the rate falls to zero along a cosine and the fit ends there. Test movies are
predicted by the weights that were best on validation.

`channels_last`, `compile` and `spectral` take the same steps in another way; the time
courses are the channels of the first layer. Spectra of the projected movies are made
once as well. Judged is always the plain network.
"""

from __future__ import annotations

import copy
import itertools
import math
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from benchmarks.peers.placed import about, chosen
from benchmarks.peers.recording import Recording, Stopwatch
from benchmarks.peers.torch_cnn import compiled, descent
from benchmarks.peers.torch_products import Convolution
from benchmarks.worker import Work, versions

LAGS, BATCH = 20, 256
View = Callable[[torch.Tensor], torch.Tensor]


def courses(recording: Recording, count: int) -> np.ndarray:
    """(lag, count), lag 0 first, from the averages of the first trials."""
    trials = slice(0, 40)
    stimulus = recording.standard(recording.stimulus[trials])
    counts = recording.counts[trials]
    start, end = max(recording.skip, LAGS - 1), stimulus.shape[1]
    pixels = stimulus.reshape(*stimulus.shape[:2], -1)
    average = [
        (np.swapaxes(counts[:, start:], 1, 2) @ pixels[:, start - lag : end - lag]).sum(
            0
        )
        for lag in range(LAGS)
    ]
    vectors, _, _ = np.linalg.svd(np.stack(average).reshape(LAGS, -1), False)
    return vectors[:, :count].astype(np.float32)


def projected(trial: np.ndarray, basis: np.ndarray) -> torch.Tensor:
    """(time, height, width) -> (bin, course, height, width).

    Without the first LAGS - 1 bins.
    """
    kernel = torch.from_numpy(basis[::-1].T.copy())[:, None, :, None]
    seen = functional.conv2d(torch.from_numpy(trial).flatten(1)[None], kernel)
    return seen.transpose(0, 1).unflatten(-1, trial.shape[1:]).contiguous()


def network(shape: tuple[int, ...], cells: int, channels: int, null) -> nn.Sequential:
    courses_, high, wide = shape
    one = min(9, high, wide)
    two = min(5, high - one + 1, wide - one + 1)
    places = (high - one - two + 2) * (wide - one - two + 2)
    last = nn.Linear(channels * places, cells)
    with torch.no_grad():  # the mean count in every bin, as ours starts
        last.weight.mul_(0.1)
        last.bias.copy_(torch.log(torch.expm1(torch.from_numpy(null))))
    return nn.Sequential(
        nn.Conv2d(courses_, channels, one),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        nn.Conv2d(channels, channels, two),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        nn.Flatten(),
        last,
        nn.Softplus(),
    )


class Spectral(nn.Module):
    """The layers of a `network`; takes spectra, (bin, frequency, part course)."""

    def __init__(self, net: nn.Sequential, frame: tuple[int, ...]):
        super().__init__()
        self.net = net
        self.one = Convolution(frame, net[0].kernel_size)
        self.two = Convolution(self.one.valid, net[3].kernel_size)

    def spectra(self, frames: torch.Tensor) -> torch.Tensor:
        """(bin, course, height, width), of the movie."""
        return self.one.spectrum(frames.permute(2, 3, 1, 0)).permute(2, 0, 1)

    def forward(self, spectra: torch.Tensor) -> torch.Tensor:
        conv1, norm1, bend, conv2, norm2, _, _, dense, soft = self.net
        x = self.one(spectra.permute(1, 2, 0), conv1.weight.permute(2, 3, 0, 1))
        x = self.two.spectrum(bend(self.normal(norm1, x, conv1.bias)))
        x = self.two(x, conv2.weight.permute(2, 3, 0, 1))
        x = bend(self.normal(norm2, x, conv2.bias))
        # A linear layer has its inputs channel by channel.
        drive = dense.weight @ x.flatten(0, 1).transpose(0, 1).flatten(0, 1)
        return soft(drive.T + dense.bias)

    @staticmethod
    def normal(norm: nn.Module, x: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        """Per channel of (row, column, channel, bin), as it lies."""
        y = x.flatten(0, 1) + bias[:, None]
        return norm(y[..., None]).reshape(x.shape)


def laid(
    net: nn.Sequential, frame: tuple[int, ...], settings: dict[str, Any]
) -> tuple[nn.Module, View, View]:
    """The network that is trained, what it keeps of a trial, and a batch of that."""
    if settings.get("spectral"):
        spectral = Spectral(net, frame).to(net[0].weight.device)
        return spectral, spectral.spectra, lambda batch: batch
    if settings.get("channels_last"):
        net.to(memory_format=torch.channels_last)
        # Kept with its channels last, so that no batch has to be laid out anew.
        return (
            net,
            lambda frames: frames.permute(0, 2, 3, 1),
            lambda batch: batch.permute(0, 3, 1, 2),
        )
    return net, lambda frames: frames, lambda batch: batch


class Fitting:
    """One fit, from the recording to what is told of it."""

    def __init__(self, settings: dict[str, Any], recording: Recording, device):
        torch.manual_seed(0)
        self.watch = Stopwatch(settings, self.judged)
        self.recording, self.device = recording, device
        self.basis = courses(recording, settings["basis"])
        shape = (settings["basis"], *recording.stimulus.shape[2:])
        cells, channels = recording.counts.shape[-1], settings["channels"]
        self.net = network(shape, cells, channels, recording.null).to(device)
        trained, view, self.batch_of = laid(self.net, shape[1:], settings)
        self.movie = self.joined(recording.stimulus, view)
        self.held_out = [*self.shown(recording.judged)]
        counts = torch.from_numpy(recording.counts[:, LAGS - 1 :]).float().to(device)
        every = torch.arange(counts[..., 0].numel())
        self.where = every[every % counts.shape[1] >= recording.skip - LAGS + 1]
        self.counts = counts.flatten(0, 1)
        self.size = min(BATCH, len(self.where))
        self.epochs = settings.get("epochs")
        steps = (self.epochs or 0) * (len(self.where) // self.size)
        adam = torch.optim.AdamW(
            self.net.parameters(),
            settings["rate"],
            weight_decay=settings.get("decay", 0.0),
        )
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            adam,
            lambda step: 0.5 + 0.5 * math.cos(math.pi * step / steps) if steps else 1.0,
        )
        self.descend = descent(
            compiled(trained, settings),
            adam,
            lambda rate, counts: functional.poisson_nll_loss(rate, counts, False),
        )
        self.compiles = bool(settings.get("compile"))
        self.best: dict[str, torch.Tensor] = {}

    def shown(self, stimulus: np.ndarray) -> Iterator[torch.Tensor]:
        for trial in stimulus:
            standard = self.recording.standard(trial)
            yield projected(standard, self.basis).to(self.device)

    def joined(self, stimulus: np.ndarray, view: View) -> torch.Tensor:
        """(bin of any trial, ...), which is gigabytes: never held twice."""
        movie = torch.empty(0)
        for n, trial in enumerate(self.shown(stimulus)):
            one = view(trial)
            if not n:
                movie = one.new_empty((len(stimulus) * len(one), *one.shape[1:]))
            movie[n * len(one) : (n + 1) * len(one)] = one
        return movie

    def predicted(self, trials: Iterable[torch.Tensor]) -> np.ndarray:
        self.net.eval()
        with torch.no_grad():
            rate = torch.stack([self.net(trial) for trial in trials])
        self.net.train()
        return rate.cpu().numpy()

    def judged(self) -> np.ndarray:
        return self.recording.bits(self.predicted(self.held_out))

    def batches(self) -> Iterator[torch.Tensor]:
        for _ in range(self.epochs) if self.epochs else itertools.count():
            shuffled = self.where[torch.randperm(len(self.where))]
            # Without those that are left over: another size is compiled anew.
            yield from shuffled[: len(shuffled) // self.size * self.size].split(
                self.size
            )

    def run(self) -> dict[str, Any]:
        began: dict[str, float] = {}
        for some in self.batches():
            begun = time.perf_counter()
            loss = self.descend(self.batch_of(self.movie[some]), self.counts[some])
            self.schedule.step()
            if not began:
                began["first_loss"] = loss.item()
                if self.compiles:
                    began["compile_s"] = time.perf_counter() - begun
            if self.watch.due and self.look():
                return self.told(settled=False) | began
        self.look()
        return self.told(settled=True) | began

    def look(self) -> bool:
        ends = self.watch.look()
        if self.watch.best:
            self.best = copy.deepcopy(self.net.state_dict())
        return ends

    def told(self, settled: bool) -> dict[str, Any]:
        self.net.load_state_dict(self.best)
        running, frozen = (
            self.predicted(self.shown(one))
            for one in (self.recording.running, self.recording.frozen[0][None])
        )
        return self.watch.told() | {
            "settled": settled,
            "running": self.recording.running_bits(running).tolist(),
            "frozen_r": self.recording.correlation(frozen[0]).tolist(),
        }


def fitted(settings: dict[str, Any]) -> Work:
    """settings: "basis", "channels", "rate", "decay", "epochs", and those above."""
    device = chosen(settings)
    recording = Recording(settings)
    return Work(
        lambda: Fitting(settings, recording, device).run(),
        versions("torch"),
        about=about(device),
    )
