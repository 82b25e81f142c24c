"""What comes of a fit: its parameters, its accuracy, its price, and both as a point."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from retina.arrays import plural
from retina.recording import one_of

Tree = Any


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
    event:    what one count of the recording is; of "spike" alone a cell is a ganglion
              cell.
    synapse_claims: False where the figures per synapse are for orientation alone.
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
    event: str = "spike"
    synapse_claims: bool = True

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
