"""The recording as the peers get it, and bits per spike as `retina` counts them."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

FIRST_LOOK_S = 10.0


class Recording:
    """Arrays (trial, time, ...) of what is fitted and what is judged, standardised."""

    def __init__(self, settings: dict[str, Any]):
        kept = np.load(Path(settings["folder"]) / "recording.npz")
        self.skip = int(kept["train_skip"])
        self.mean, self.sd = float(kept["mean"]), float(kept["sd"])
        self.stimulus, self.counts = kept["train_stimulus"], kept["train_counts"]
        self.judged, self.heard = kept["validation_stimulus"], kept["validation_counts"]
        self.judged_from = int(kept["validation_skip"])
        self.null = self.counts[:, self.skip :].mean((0, 1), dtype=np.float64)
        self.frozen = kept["frozen_stimulus"], kept["frozen_counts"]
        self.running = kept["running_stimulus"]
        self._running = kept["running_counts"], int(kept["running_skip"])

    def standard(self, stimulus: np.ndarray) -> np.ndarray:
        return (stimulus.astype(np.float32) - self.mean) / self.sd

    def bits(self, rate: np.ndarray) -> np.ndarray:
        """(cell,) of rates (trial, time, cell) whose last bin is the block's last."""
        return self._bits(rate, self.heard, self.judged_from)

    def running_bits(self, rate: np.ndarray) -> np.ndarray:
        """The same of the test trials that were shown once."""
        return self._bits(rate, *self._running)

    def _bits(self, rate: np.ndarray, heard: np.ndarray, first: int) -> np.ndarray:
        scored = heard.shape[1] - first
        rate = rate[:, -scored:].astype(np.float64) + 1e-8
        counts = heard[:, -scored:].astype(np.float64)
        gain = counts * np.log(rate / self.null) - (rate - self.null)
        return gain.sum((0, 1)) / (np.log(2) * counts.sum((0, 1)))

    def correlation(self, rate: np.ndarray) -> np.ndarray:
        """(cell,) of the last bins of a repeated movie, (time, cell), with its mean."""
        heard = self.frozen[1].mean(0)
        return np.array(
            [
                np.corrcoef(ours, theirs)[0, 1]
                for ours, theirs in zip(rate[-len(heard) :].T, heard.T, strict=True)
            ]
        )


class Stopwatch:
    """Seconds of a fit, with what its judgements took left out, and its curve."""

    def __init__(self, settings: dict[str, Any], judge: Callable[[], np.ndarray]):
        self.limit, self.aim = settings["limit_s"], settings["aims"][-1]
        self.judge = judge
        self.curve: list[list[float]] = []
        self.per_cell: list[list[float]] = []
        self.next = FIRST_LOOK_S
        self.begun, self.stood = time.perf_counter(), 0.0

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.begun - self.stood

    @property
    def due(self) -> bool:
        """Whether it is time to look; a judgement may cost a minute."""
        return self.seconds >= min(self.next, self.limit)

    @property
    def over(self) -> bool:
        return self.seconds > self.limit

    def look(self) -> bool:
        """Judge; whether the fit may end: the aim is reached or the time is up."""
        now, begun = self.seconds, time.perf_counter()
        per_cell = self.judge()
        bits = float(np.nanmean(per_cell))
        self.per_cell.append(per_cell.tolist())
        self.curve.append([now, bits])
        self.stood += time.perf_counter() - begun
        self.next = now + max(FIRST_LOOK_S, 0.25 * now)
        return bits >= self.aim or now > self.limit

    @property
    def best(self) -> bool:
        """Whether the last judgement is the best so far."""
        return self.curve[-1][1] == max(bits for _, bits in self.curve)

    def state(self) -> dict[str, Any]:
        return {"seconds": self.seconds, "curve": self.curve, "per_cell": self.per_cell}

    def go_on(self, state: dict[str, Any]) -> None:
        """As if all that `state` tells of had been done here."""
        self.begun, self.stood = time.perf_counter() - state["seconds"], 0.0
        self.curve, self.per_cell = state["curve"], state["per_cell"]
        if self.curve:
            last = self.curve[-1][0]
            self.next = last + max(FIRST_LOOK_S, 0.25 * last)

    def told(self) -> dict[str, Any]:
        """The curve, and the cells' bits where it is highest."""
        highest = int(np.argmax([bits for _, bits in self.curve]))
        return {
            "curve": self.curve,
            "spent_s": self.curve[-1][0],
            "limit_s": self.limit,
            "per_cell": self.per_cell[highest],
        }
