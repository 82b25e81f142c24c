"""The verb `measure`: a fit's accuracy and price, as one point."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from retina.data.groups import by_group
from retina.types import Cost, Fit, Point, Score, Split

NOISE = 1e-6  # bits per spike: less is rounding, and no bit has a price


def measure(
    fit: Fit,
    split: Split,
    run: str = "",
    names: Sequence[str] | None = None,
    *,
    bin_s: float | None = None,
) -> Point:
    """Score a fit on the test clips and count what it costs.

    fit:     from `retina.fit`, or read back with `retina.store.load`.
    split:   the one it was fitted on; only its test clips are scored.
    run:     what to call the point in a table.
    names:   metrics; by default those that `retina.score` chooses.
    bin_s:   of the scored bins, as `retina.score` takes it.
    returns: Point, ready for `retina.frontier`. The accuracy of a model with spike
             history is the mean of many sampled runs, and its cost is that of them all.
    raises:  Leak where test stimulus was shown in training or validation; what
             `retina.score` raises.

    README.md has an example, which a test runs.
    """
    from retina.costs.cost import cost
    from retina.data import leak
    from retina.data.caveats import caveats
    from retina.fitting.score import score

    leak.refuse(split)
    # A score stands on the function whose cost is counted: `score` checks that the
    # streaming step and the clip view agree before it returns.
    accuracy = score(fit, split.test, names, bin_s=bin_s)
    # The fit's notes are those of its split, and what it found out itself.
    noted = dict.fromkeys((*split.notes, *fit.training.get("notes", ())))
    price = cost(fit.model, fit.params, split)
    said = (*unfinished(fit.training), *_cold(fit), *caveats([*noted]))
    accuracy = dataclasses.replace(
        accuracy,
        publish=split.publish,
        cell_names=tuple(cell.name for cell in split.cells),
        notes=(*accuracy.notes, *_together(accuracy, price), *said),
    )
    bits = told_bits_per_s(accuracy, split)
    if bits:
        price = dataclasses.replace(price, flops_per_bit=price.flops_per_s / bits)
    return Point(
        run=run,
        model=fit.model.name,
        dataset=split.spec.dataset,
        score=accuracy,
        cost=price,
        settings=dict(fit.model.settings),
        validation_bits=fit.validation.get("median"),
        validation_seeds=tuple(fit.validation.get("seeds", ())),
    )


def told_bits_per_s(score: Score, split: Split) -> float | None:
    """Bits per second that a model tells of the recorded spikes, summed over cells.

    score:   with bits_per_spike, on one test group of the split.
    returns: each cell's bits per spike times its recorded rate in that group; None
             without the metric, or where all cells together are told nothing. A cell
             that fired no spike is told nothing.

    It is what the model predicts beyond the mean rate, not what the cells transmit:
    that is more.
    """
    metric = score.metrics.get("bits_per_spike")
    if metric is None:
        return None
    clips = by_group(split.test)[score.group]
    counts = [clip.response[:, clip.skip :] for clip in clips]
    seconds = sum(c.shape[0] * c.shape[1] for c in counts) * split.spec.bin_s
    spikes = np.sum([c.sum((0, 1), dtype="float64") for c in counts], axis=0)
    total = sum(
        bits * number
        for bits, number in zip(metric.per_cell, spikes, strict=True)
        if not math.isnan(bits)  # a silent cell; -inf is a model that is no use
    )
    told = float(total)
    return told / seconds if told > NOISE * float(spikes.sum()) else None


def unfinished(training: Mapping[str, Any]) -> tuple[str, ...]:
    """What is to be told of a fit that would have gone on, by its `Fit.training`.

    >>> unfinished({"converged": False, "steps": 250})
    ('not converged: stopped after 250 steps',)
    """
    if training.get("converged", True):
        return ()
    why = training.get("stopped") or f"stopped after {training['steps']} steps"
    return (f"not converged: {why}",)


def of_which(fits: Mapping[str, Fit], names: Sequence[str]) -> tuple[str, ...]:
    """`unfinished` of some of several fits, each with its name."""
    return tuple(
        f"{name}: {note}" for name in names for note in unfinished(fits[name].training)
    )


def _together(score: Score, price: Cost) -> tuple[str, ...]:
    """That a free-running score takes many runs, and what one alone costs."""
    from retina.costs.cost import RUNS

    if score.history != "free_running":
        return ()
    one = price.flops_per_bin / RUNS
    return (
        f"its price is that of all {RUNS}; one alone takes {one:,.10g} FLOPs per bin",
    )


def _cold(fit: Fit) -> tuple[str, ...]:
    given_s, burn_in_s = fit.training.get("warm_up_s"), fit.training.get("burn_in_s", 0)
    if given_s is None or given_s >= burn_in_s:
        return ()
    return (
        f"fitted on clips warmed up for {given_s:g} s of the {burn_in_s:g} s that the "
        "slowest state remembers",
    )
