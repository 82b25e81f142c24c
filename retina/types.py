"""The records that travel from a data set's card to the frontier.

Every one is frozen and checks its shapes when it is made. Axes, always in this order:
(trial, time, cell) for responses, (time, *frame) for stimuli.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from retina.arrays import check_counts, check_finite, plural, require, shape
from retina.errors import BadResponse, BadStimulus, ShapeMismatch

Tree = Any
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


@dataclasses.dataclass(frozen=True, eq=False)
class Fit:
    """A fitted model: what `reduce`, `score`, `cost` and the store take.

    params:     of the seed that was best on validation; in each parameter's own unit.
    seeds:      params of every seed, in order (one entry where one seed was fitted).
    null_rate:  (cell,) training mean, expected counts per bin: the null of bits/spike.
    validation: bits per spike on the validation clips: {"median": ..., "per_cell": ...,
                "seeds": [...]}.
    curve:      per evaluation: {"step", "train_loss", "validation_bits", "seconds"}.
    training:   {"optimiser", "steps", "best_step", "fit_s", "compile_s", "key", ...}:
                all seconds to the last evaluation, and those in which the process that
                ended the fit compiled.
    parent:     the run this one was reduced from, started from, or whose core it keeps,
                or "".
    """

    model: Any
    params: Tree
    seeds: tuple[Tree, ...]
    null_rate: np.ndarray
    validation: Mapping[str, Any]
    curve: tuple[Mapping[str, float], ...]
    training: Mapping[str, Any]
    parent: str = ""

    def __repr__(self) -> str:
        spec = self.model.spec
        return (
            f"Fit({self.model.name} on {spec.dataset!r}: {plural(spec.cells, 'cell')}, "
            f"validation median {self.validation.get('median', float('nan')):.4f} "
            f"bits/{one_of(spec.event)}, "
            f"{plural(self.training.get('steps', 0), 'step')}, "
            f"{plural(len(self.seeds), 'seed')})"
        )


@dataclasses.dataclass(frozen=True)
class Metric:
    """One accuracy figure: per cell, its median, and a 95 % interval of the median.

    per_cell: (cell,), nan where the metric is undefined by the data alone; where the
              fit has several seeds, the median over them (best-of-many would gain by
              being tried more often).
    ci95:     (low, high) of the median, time blocks bootstrapped; nan where impossible.
    seeds:    the median over cells of each fitted seed.
    """

    per_cell: tuple[float, ...]
    median: float
    ci95: tuple[float, float]
    undefined: int = 0
    seeds: tuple[float, ...] = ()

    def __repr__(self) -> str:
        low, high = self.ci95
        return (
            f"Metric(median {self.median:.4g} [{low:.4g}, {high:.4g}], "
            f"{plural(len(self.per_cell), 'cell')})"
        )


@dataclasses.dataclass(frozen=True)
class Score:
    """Accuracy of one fit on one group of test clips.

    history: "none" for a model of the stimulus alone; otherwise "teacher_forced" (a
             likelihood: the recorded counts are fed back) or "free_running".
    others:  the same fit on the other test groups, or with the other history.
    publish: False where the recording's licence forbids it; tables and figures say so.
    cell_names: of the cells scored, in their order.
    bin_s:   seconds per scored bin; None in records that are older than this entry.
    """

    dataset: str
    model: str
    group: str
    bins: int
    cells: int
    trials: int
    metrics: Mapping[str, Metric]
    history: str = "none"
    notes: tuple[str, ...] = ()
    others: tuple[Score, ...] = ()
    publish: bool = True
    cell_names: tuple[str, ...] = ()
    bin_s: float | None = None

    def __repr__(self) -> str:
        medians = ", ".join(f"{n} {m.median:.4g}" for n, m in self.metrics.items())
        more = f", and {len(self.others)} more" if self.others else ""
        return (
            f"Score({self.model} on {self.dataset!r}, {self.group}: {medians}; "
            f"{plural(self.cells, 'cell')}, {self.scored}, "
            f"{plural(self.trials, 'trial')}{more})"
        )

    @property
    def scored(self) -> str:
        """How many bins of what length: no figure compares with one of other bins."""
        each = "" if self.bin_s is None else f" of {1000 * self.bin_s:.4g} ms"
        return plural(self.bins, "bin") + each


@dataclasses.dataclass(frozen=True)
class Interval:
    """A range that stands for what is not known of a constant, not for statistics."""

    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class Cost:
    """What one model costs, exactly. FLOPs: a multiply-add is two.

    counts:   per clock: {"bin": Counts}, and what comes on top once per "frame", or
              once per "period" of a model that `reduce clock` made. Figures per bin are
              then the mean, and need not be whole. See `retina.costs.clocks`.
    rates_hz: ticks per second of each clock.
    fan_ins, fan_outs, wire_um: see `retina.costs.wiring`; None for what has no places.
    flops_per_bit: FLOP/s over the bits/s that the model tells of the recorded spikes;
              known where it was scored too, as by `retina.measure`.
    Figures that need recorded spikes or a species are None where those are unknown.
    sparse_flops_per_bin: of a machine that skips products with a zero weight.
    bit_operations_per_bin: multiply-adds times the bits of both factors, 32 of each
              that is a float: of a machine with multipliers of every width.
    Neither changes any other figure; None in a record of an older version.
    """

    model: str
    dataset: str
    flops_per_bin: float
    flops_per_s: float
    flops_per_s_per_cell: float
    flops_per_s_alone: float | None
    flops_per_s_marginal: float | None
    flops_per_spike: float | None
    flops_per_synaptic_event: Interval | None
    flops_per_s_per_synapse: Interval | None
    total_ops_per_bin: float
    params: int
    param_bytes: int
    state_bytes: int
    bytes_per_bin: float
    fan_in: int
    depth: int
    transcendentals_per_bin: float
    counts: Mapping[str, Any]
    rates_hz: Mapping[str, float]
    by_part: Mapping[str, Mapping[str, float]]
    notes: tuple[str, ...] = ()
    sparse_flops_per_bin: float | None = None
    bit_operations_per_bin: float | None = None
    fan_ins: Mapping[int, int] = dataclasses.field(default_factory=dict)
    fan_outs: Mapping[int, int] = dataclasses.field(default_factory=dict)
    wire_um: float | None = None
    flops_per_bit: float | None = None

    @property
    def arithmetic_intensity(self) -> float:
        """FLOPs per byte that one bin moves; nan where it moves none."""
        moved = self.bytes_per_bin
        return self.flops_per_bin / moved if moved else float("nan")

    @property
    def parallel_width(self) -> float:
        """Operations that can run at once, on average: all of a bin over its depth.

        A sum counts as one step of the depth, however many values it has.
        """
        return self.total_ops_per_bin / self.depth if self.depth else 0.0

    @property
    def connections(self) -> int:
        """Distinct pairs of a value and a sum that it enters."""
        return sum(values * sums for values, sums in self.fan_ins.items())

    def __repr__(self) -> str:
        return (
            f"Cost({self.model} on {self.dataset!r}: {self.flops_per_bin:,} FLOPs per "
            f"bin, {self.params:,} parameters)"
        )


@dataclasses.dataclass(frozen=True)
class Point:
    """One model on one recording: price and accuracy, ready for the frontier.

    validation_bits:  bits per spike on validation of the seed that was kept, the best.
    validation_seeds: of every seed; what is chosen by their median is not chosen for
                      its luck.
    """

    run: str
    model: str
    dataset: str
    score: Score
    cost: Cost
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    validation_bits: float | None = None
    validation_seeds: tuple[float, ...] = ()

    def value(self, name: str) -> float | Interval | None:
        """A cost by its field name, or the median of a metric by its name."""
        if name in self.score.metrics:
            return self.score.metrics[name].median
        return getattr(self.cost, name)

    def __repr__(self) -> str:
        return f"Point({self.run!r}: {self.score}, {self.cost})"
