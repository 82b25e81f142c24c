"""A recording: cells, and what they said to which stimulus, as it was recorded.

Every record is frozen and checks its shapes when it is made.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from retina.arrays import check_counts, check_finite, plural, require, shape
from retina.errors import BadResponse, BadStimulus, ShapeMismatch

GRADED = "graded"
ROLES = ("train", "validation", "test")


def one_of(event: str) -> str:
    """What a response is counted in, in a word: "spike", "quantum" or "unit"."""
    return "unit" if event == GRADED else event


@dataclasses.dataclass(frozen=True)
class Cell:
    """One recorded cell. `name` is the recording's own label."""

    name: str
    type: str = ""


@dataclasses.dataclass(frozen=True, eq=False)
class Block:
    """A continuous stretch of stimulus with what the cells said, as recorded.

    name:     unique in its recording.
    role:     "train", "validation" or "test".
    stimulus: (frame, *frame shape), integer or float; one row per frame shown.
    onsets_s: (frame + 1,) seconds: the onset of each frame and the end of the last.
    spikes:   per trial, per cell: sorted spike times in seconds on the clock of
              onsets_s; or None where only counts were published.
    counts:   (trial, bin, cell), events per bin of `count_s` seconds from onsets_s[0];
              or None where spike times are known. Exactly one of the two is given.
    lead:     frames at the start that serve as history and are never fitted or scored.
    group:    test blocks of one group are scored together ("frozen", "running").
    """

    name: str
    role: str
    stimulus: np.ndarray
    onsets_s: np.ndarray
    spikes: tuple[tuple[np.ndarray, ...], ...] | None = None
    counts: np.ndarray | None = None
    count_s: float | None = None
    lead: int = 0
    group: str = ""

    def __post_init__(self) -> None:
        where = f"block {self.name!r}: "
        frames = len(self.stimulus)
        require(
            self.role in ROLES,
            ValueError,
            f"{where}role {self.role!r} is none of {', '.join(ROLES)}",
        )
        require(
            self.onsets_s.shape == (frames + 1,),
            ShapeMismatch,
            f"{where}stimulus has {frames} frames, so onsets_s must have "
            f"{frames + 1} entries (each onset, then the end), not "
            f"{self.onsets_s.shape}",
        )
        require(
            bool(np.all(np.diff(self.onsets_s) > 0)),
            BadStimulus,
            f"{where}onsets_s does not increase",
        )
        check_finite(self.stimulus, where)
        require(
            (self.spikes is None) != (self.counts is None),
            BadResponse,
            f"{where}give either spikes or counts",
        )
        require(
            0 <= self.lead < frames,
            ShapeMismatch,
            f"{where}lead {self.lead} is not within its {frames} frames",
        )
        if self.counts is not None:
            check_counts(self.counts, where)
            require(
                self.count_s is not None and self.count_s > 0,
                BadResponse,
                f"{where}counts need count_s, the width of their bins in seconds",
            )
            shown = float(self.onsets_s[-1] - self.onsets_s[0])
            covered = self.counts.shape[1] * float(self.count_s or 0)
            require(
                abs(shown - covered) < float(self.count_s or 0) * (1 - 1e-6),
                ShapeMismatch,
                f"{where}stimulus lasts {shown:.3f} s ({frames} frames) but the "
                f"response covers {covered:.3f} s ({self.counts.shape[1]} bins)",
            )
        require(self.trials > 0, BadResponse, f"{where}response has no trials")
        for trial in self.spikes or ():
            require(
                len(trial) == self.cells,
                ShapeMismatch,
                f"{where}one trial has spikes of {self.cells} cells, another of "
                f"{len(trial)}",
            )
            for train in trial:
                require(
                    train.ndim == 1 and bool(np.all(np.diff(train) >= 0)),
                    BadResponse,
                    f"{where}spike times must be one sorted row of seconds per cell",
                )

    @property
    def trials(self) -> int:
        rows = self.counts if self.counts is not None else self.spikes
        return len(rows)  # type: ignore[arg-type]

    @property
    def cells(self) -> int:
        if self.counts is not None:
            return self.counts.shape[-1]
        return len(self.spikes[0])  # type: ignore[index]

    def __repr__(self) -> str:
        return (
            f"Block({self.name!r}, {self.role}: {plural(len(self.stimulus), 'frame')} "
            f"of {shape(self.stimulus.shape[1:])}, {plural(self.trials, 'trial')}, "
            f"{plural(self.cells, 'cell')})"
        )


@dataclasses.dataclass(frozen=True, eq=False)
class Recording:
    """One retina, one preparation.

    frame_s: nominal seconds per frame.
    coding:  "contrast" where the stimulus already has mean 0 and unit scale by its
             design (a +-1 checkerboard); "light" where it is to be standardised.
    mean_rstar_per_s: mean light in R*/photoreceptor/s, None where it is not known.
             Contrast c then is the light mean (1 + c); light x, counted from darkness
             at 0, is mean x / (its training mean).
    pixel_um: side of a pixel of the frame on the retina, None where it is not known.
    event:   what one count is: "spike" or "quantum" (a released vesicle); "graded"
             where nothing is counted: a response of 0 or more in units of its own.
    truth:   for simulations, {block name: {"hazard": ..., "expected": ...}}.
    publish: False where the licence forbids to publish results.
    """

    name: str
    species: str
    cells: tuple[Cell, ...]
    blocks: tuple[Block, ...]
    frame_s: float
    coding: str = "light"
    event: str = "spike"
    native_bin_s: float | None = None
    notes: tuple[str, ...] = ()
    truth: Mapping[str, Mapping[str, np.ndarray]] | None = None
    publish: bool = True
    mean_rstar_per_s: float | None = None
    pixel_um: float | None = None

    def __post_init__(self) -> None:
        require(bool(self.blocks), ShapeMismatch, f"{self.name}: no blocks")
        for block in self.blocks:
            require(
                block.stimulus.shape[1:] == self.frame,
                ShapeMismatch,
                f"{self.name}: block {block.name!r} has frames of shape "
                f"{block.stimulus.shape[1:]}, the first block {self.frame}",
            )
            require(
                block.cells == len(self.cells),
                ShapeMismatch,
                f"{self.name}: block {block.name!r} holds {block.cells} cells, "
                f"the recording names {len(self.cells)}",
            )
        for what, names in (
            ("cells", [cell.name for cell in self.cells]),
            ("blocks", [block.name for block in self.blocks]),
        ):
            twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
            require(
                not twice,
                BadResponse,
                f"{self.name}: two {what} are named {', '.join(map(repr, twice))}: "
                "give each a name of its own",
            )

    @property
    def frame(self) -> tuple[int, ...]:
        return self.blocks[0].stimulus.shape[1:]

    def role(self, role: str) -> tuple[Block, ...]:
        return tuple(block for block in self.blocks if block.role == role)

    def __repr__(self) -> str:
        each = (plural(len(self.role(role)), f"{role} block") for role in ROLES)
        return (
            f"Recording({self.name!r}: {plural(len(self.cells), 'cell')}, frames of "
            f"{shape(self.frame)} and {self.frame_s:.4g} s, {', '.join(each)})"
        )
