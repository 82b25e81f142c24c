"""A recording on a model's clock: what is fitted, chosen on, and tested.

Axes, always in this order: (trial, time, cell) for responses, (time, *frame) for
stimuli.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from retina.arrays import check_counts, check_finite, plural, require, shape
from retina.errors import BadSetting, ShapeMismatch
from retina.recording import ROLES, Cell, one_of


@dataclasses.dataclass(frozen=True)
class Spec:
    """All that a model must know about a data set before it sees any of it.

    frame:         shape of one stimulus frame; () for a full field.
    cells:         how many cells it predicts.
    bin_s:         the model's clock, seconds per bin.
    bins_per_frame: bins that each frame is held for; models that hear their own spikes
                   run what comes before once per frame: see `retina.clocks`.
    stimulus_mean, stimulus_sd: of the training stimulus; the model's door subtracts and
                   divides. 0 and 1 where the stimulus is contrast by design.
    mean_rstar_per_s: see `Recording`; models with a photoreceptor need it.
    pixel_um:      side of a pixel on the retina; None where the card does not say it.
    """

    frame: tuple[int, ...]
    cells: int
    bin_s: float
    stimulus_mean: float = 0.0
    stimulus_sd: float = 1.0
    dataset: str = ""
    event: str = "spike"
    mean_rstar_per_s: float | None = None
    bins_per_frame: int = 1
    pixel_um: float | None = None

    def __post_init__(self) -> None:
        for name in ("cells", "bin_s", "stimulus_sd", "bins_per_frame"):
            value = getattr(self, name)
            require(value > 0, BadSetting, f"{name} {value:g}: above 0")


@dataclasses.dataclass(frozen=True, eq=False)
class Clip:
    """A block on the model's clock.

    stimulus: (time, *frame), the frame on the screen during each bin, as stored.
    response: (trial, time, cell) float32, counts per bin.
    skip:     bins at the start that are history only: never fitted, never scored.
    """

    name: str
    stimulus: np.ndarray
    response: np.ndarray
    skip: int = 0
    group: str = ""

    def __post_init__(self) -> None:
        where = f"clip {self.name!r}: "
        require(
            self.response.ndim == 3,
            ShapeMismatch,
            f"{where}response must be (trial, time, cell), not {self.response.shape}",
        )
        require(
            len(self.stimulus) == self.response.shape[1],
            ShapeMismatch,
            f"{where}stimulus has {len(self.stimulus)} bins, the response "
            f"{self.response.shape[1]}",
        )
        require(
            0 <= self.skip <= len(self.stimulus),
            ShapeMismatch,
            f"{where}skip {self.skip} is not within its {len(self.stimulus)} bins",
        )
        check_finite(self.stimulus, where)
        check_counts(self.response, where)

    @property
    def bins(self) -> int:
        """Bins that are scored."""
        return len(self.stimulus) - self.skip

    def __repr__(self) -> str:
        trials, bins, cells = self.response.shape
        return (
            f"Clip({self.name!r}: {plural(bins, 'bin')} of "
            f"{shape(self.stimulus.shape[1:])}, {plural(trials, 'trial')}, "
            f"{plural(cells, 'cell')})"
        )


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """A recording on one clock, divided into what is fitted, chosen on, and tested.

    species: as the recording's card says it; None for a split that was made by hand.
    frame_s: the recording's seconds per frame, likewise.
    """

    spec: Spec
    train: tuple[Clip, ...]
    validation: tuple[Clip, ...]
    test: tuple[Clip, ...]
    cells: tuple[Cell, ...] = ()
    notes: tuple[str, ...] = ()
    publish: bool = True
    species: str | None = None
    frame_s: float | None = None

    def __post_init__(self) -> None:
        for clip in (*self.train, *self.validation, *self.test):
            require(
                clip.stimulus.shape[1:] == self.spec.frame,
                ShapeMismatch,
                f"clip {clip.name!r}: frames {clip.stimulus.shape[1:]}, "
                f"spec {self.spec.frame}",
            )
            require(
                clip.response.shape[2] == self.spec.cells,
                ShapeMismatch,
                f"clip {clip.name!r}: {clip.response.shape[2]} cells, "
                f"spec {self.spec.cells}",
            )

    def __repr__(self) -> str:
        spec = self.spec
        parts = [
            f"{role} {plural(len(clips), 'clip')} of {sum(c.bins for c in clips)} bins"
            for role, clips in zip(
                ROLES, (self.train, self.validation, self.test), strict=True
            )
        ]
        return (
            f"Split({spec.dataset!r}: {plural(spec.cells, 'cell')}, bins of "
            f"{shape(spec.frame)} and {spec.bin_s:.4g} s, {', '.join(parts)}, "
            f"{self.rate_hz:.3g} {one_of(spec.event)}s/s per cell)"
        )

    @property
    def rate_hz(self) -> float:
        """Events per second of a cell in the fitted bins, mean over cells."""
        shown = [clip.response[:, clip.skip :] for clip in self.train]
        size = sum(counts.size for counts in shown)
        events = sum(float(counts.sum(dtype=np.float64)) for counts in shown)
        return events / size / self.spec.bin_s if size else float("nan")
