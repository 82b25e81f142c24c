"""A small recording of Poisson cells, in which nothing is odd."""

from __future__ import annotations

import numpy as np

from retina.types import Block, Cell, Recording

FRAME_S, CELLS, TRIALS = 0.05, 3, 6
NAMES = ("a", "b", "c")


def drawn(role: str, frames: int, trials: int, seed: int, lag: int = 2) -> Block:
    """Poisson spikes of three cells that hear the frame `lag` bins before."""
    rng = np.random.default_rng(seed)
    shown = rng.standard_normal(frames).astype(np.float32)
    past = np.concatenate([np.zeros(lag, np.float32), shown])[:frames]
    rate = np.exp(0.8 * past)[:, None] * np.array([1.0, 0.7, 1.5])
    onsets = np.arange(frames + 1) * FRAME_S
    spikes = []
    for _ in range(trials):
        counts = rng.poisson(rate)
        spikes.append(
            tuple(
                np.sort(
                    np.repeat(onsets[:-1], counts[:, cell])
                    + rng.uniform(0, FRAME_S, counts[:, cell].sum())
                )
                for cell in range(CELLS)
            )
        )
    group = "frozen" if role == "test" else ""
    return Block(role, role, shown, onsets, tuple(spikes), lead=20, group=group)


def drawn_recording() -> Recording:
    """Two hundred seconds of full-field noise, and six repeats of thirty."""
    blocks = (
        drawn("train", 4000, 1, 0),
        drawn("validation", 600, 1, 1),
        drawn("test", 600, TRIALS, 2),
    )
    cells = tuple(Cell(name) for name in NAMES)
    return Recording("drawn", "none", cells, blocks, FRAME_S, "contrast")
