"""Cells whose true rate is known, made with numpy alone: no model is used here."""

from __future__ import annotations

import dataclasses

import numpy as np

from retina.types import Cell, Clip, Spec, Split

BIN_S = 0.05


@dataclasses.dataclass(frozen=True, eq=False)
class Truth:
    """rate = exp(bias + filter * stimulus), the filter's lag 0 being the bin itself.

    kernel: (lag, cell, *frame). bias: (cell,), log counts per bin.
    """

    kernel: np.ndarray
    bias: np.ndarray

    def drive(self, stimulus: np.ndarray) -> np.ndarray:
        """(time, *frame) -> (time, cell); before the clip the stimulus is 0."""
        lags, cells = self.kernel.shape[:2]
        x = stimulus.reshape(len(stimulus), -1).astype(np.float64)
        total = np.tile(self.bias, (len(x), 1))
        for lag in range(lags):
            weights = self.kernel[lag].reshape(cells, -1).T
            total[lag:] += x[: len(x) - lag] @ weights
        return total

    def rate(self, stimulus: np.ndarray) -> np.ndarray:
        """(time, cell), expected counts per bin."""
        return np.exp(self.drive(stimulus))


def truth(frame: tuple[int, ...] = (), cells: int = 2, strength: float = 0.6) -> Truth:
    """A filter of 4 lags, as strong at lag 3 as at lag 0; in space one pixel per cell.

    strength: s.d. of the drive under white noise of s.d. 1.
    """
    course = np.array([1.0, 0.5, -0.5, -1.0])
    course *= strength / np.linalg.norm(course)
    pixels = int(np.prod(frame))
    kernel = np.zeros((len(course), cells, pixels))
    for cell in range(cells):
        place = pixels // 2 + cell if pixels > 1 else 0
        kernel[:, cell, place % pixels] = course * (-1) ** cell
    bias = np.log(0.5) + 0.2 * np.arange(cells)
    return Truth(kernel.reshape(len(course), cells, *frame), bias)


def clip(
    true: Truth, bins: int, seed: int, *, trials: int = 1, skip: int = 4, name: str = ""
) -> Clip:
    """White noise of s.d. 1 and Poisson counts of the true rate."""
    generator = np.random.default_rng(seed)
    frame = true.kernel.shape[2:]
    stimulus = generator.standard_normal((bins, *frame)).astype(np.float32)
    rate = true.rate(stimulus)
    counts = generator.poisson(rate, (trials, *rate.shape)).astype(np.float32)
    return Clip(name or f"clip{seed}", stimulus, counts, skip=skip, group=name)


def split(
    true: Truth, *, train: int = 1500, blocks: int = 2, held_out: int = 800
) -> Split:
    """Train blocks, one validation block, one test block with a single trial."""
    cells = true.kernel.shape[1]
    return Split(
        spec=Spec(true.kernel.shape[2:], cells, BIN_S),
        train=tuple(clip(true, train, seed) for seed in range(blocks)),
        validation=(clip(true, held_out, 90),),
        test=(clip(true, held_out, 91),),
        cells=tuple(Cell(f"cell{n}") for n in range(cells)),
    )
