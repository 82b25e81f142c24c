"""A convolutional network of the family of `cnn`, fitted in torch on shuffled windows.

20 lags projected on five time courses (the first singular vectors of the spike-
triggered averages, fixed) -> 8 of 9 x 9 -> 8 of 5 x 5, batch norm per channel, ReLU,
dense, softplus; AdamW, 256 windows a batch. The projected movies are made once. With
`epochs` the rate falls to zero along a cosine and the fit ends there. Test movies are
predicted by the weights that were best on validation.
"""

from __future__ import annotations

import copy
import itertools
import math
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from benchmarks.peers.placed import about, chosen
from benchmarks.peers.recording import Recording, Stopwatch
from benchmarks.worker import Work, versions

LAGS, BATCH = 20, 256


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


def projected(stimulus: np.ndarray, basis: np.ndarray) -> torch.Tensor:
    """(trial, time, height, width) -> (trial, bin, course, height, width).

    Without the first LAGS - 1 bins of each trial.
    """
    frames = torch.from_numpy(stimulus)
    kernel = torch.from_numpy(basis[::-1].T.copy())[:, None, :, None]
    trials = [functional.conv2d(one.flatten(1)[None], kernel) for one in frames]
    return torch.stack([one.transpose(0, 1) for one in trials]).unflatten(
        -1, frames.shape[2:]
    )


def network(shape: tuple[int, ...], cells: int, channels: int, null) -> nn.Module:
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


def fitted(settings: dict[str, Any]) -> Work:
    device = chosen(settings)
    recording = Recording(settings)

    def step() -> dict[str, Any]:
        torch.manual_seed(0)
        watch = Stopwatch(settings, lambda: judged())
        basis = courses(recording, settings["basis"])
        movie = projected(recording.standard(recording.stimulus), basis).to(device)
        counts = torch.from_numpy(recording.counts).float().to(device)
        bins = np.arange(max(recording.skip, LAGS - 1), counts.shape[1])
        where = np.stack(np.meshgrid(np.arange(len(counts)), bins, indexing="ij"), -1)
        where = torch.from_numpy(where.reshape(-1, 2)).to(device)
        cells = counts.shape[-1]
        shape = tuple(movie.shape[2:])
        net = network(shape, cells, settings["channels"], recording.null)
        adam = torch.optim.AdamW(
            net.parameters(), settings["rate"], weight_decay=settings.get("decay", 0.0)
        )
        epochs = settings.get("epochs")
        steps = (epochs or 0) * -(-len(where) // BATCH)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            adam,
            lambda step: 0.5 + 0.5 * math.cos(math.pi * step / steps) if steps else 1.0,
        )
        held_out = projected(recording.standard(recording.judged), basis).to(device)

        def predicted(trials: torch.Tensor) -> np.ndarray:
            net.eval()
            with torch.no_grad():
                rate = torch.stack([net(trial) for trial in trials])
            net.train()
            return rate.cpu().numpy()

        def judged() -> np.ndarray:
            return recording.bits(predicted(held_out))

        best: dict[str, torch.Tensor] = {}

        def look() -> bool:
            nonlocal best
            ends = watch.look()
            if watch.best:
                best = copy.deepcopy(net.state_dict())
            return ends

        def told(settled: bool) -> dict[str, Any]:
            net.load_state_dict(best)
            running, frozen = (
                predicted(projected(recording.standard(one), basis).to(device))
                for one in (recording.running, recording.frozen[0][None])
            )
            return watch.told() | {
                "settled": settled,
                "running": recording.running_bits(running).tolist(),
                "frozen_r": recording.correlation(frozen[0]).tolist(),
            }

        for _ in range(epochs) if epochs else itertools.count():
            for batch in where[torch.randperm(len(where))].split(BATCH):
                trial, at = batch.T
                rate = net(movie[trial, at - LAGS + 1])
                loss = functional.poisson_nll_loss(rate, counts[trial, at], False)
                adam.zero_grad(set_to_none=True)
                loss.backward()
                adam.step()
                schedule.step()
                if watch.due and look():
                    return told(settled=False)
        look()
        return told(settled=True)

    return Work(step, versions("torch"), about=about(device))
