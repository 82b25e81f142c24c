"""What a mechanism does for a prediction, beside what it would do if it were there."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import Any

from retina.errors import RetinaError
from retina.metrics.compare import Difference, holm
from retina.search.grid import Pair
from retina.search.job import Job
from retina.types import Fit, Split

SURE = 0.05  # of an error among all that an experiment compares; convention


@dataclasses.dataclass(frozen=True)
class Effect:
    """The model with a mechanism against the one without, on one group of test clips.

    recording: with minus without, both fitted to what was recorded.
    p_holm:    of it, corrected for all that the experiment compares on these clips.
    control:   the same of spikes sampled from the fit that has the mechanism; None
               where no control was asked for, or its fits failed. It holds the
               mechanism at the strength that was fitted: where the fit left it at
               nothing, the control cannot show it either.
    among:     how many the experiment compares on these clips.
    """

    dataset: str
    group: str
    recording: Difference
    p_holm: float
    control: Difference | None = None
    among: int = 1

    @property
    def smallest(self) -> float:
        """The smallest effect that could have been shown; nan without a control.

        Half the width of the control's interval, widened to the first of `among`
        corrected comparisons; that of the recording where it is the wider, as it knows
        what no simulation does.
        """
        if self.control is None:
            return math.nan
        both = (self.control.ci95, self.recording.ci95)
        sure = [NormalDist().inv_cdf(1 - SURE / 2 / n) for n in (1, self.among)]
        return max((high - low) / 2 for low, high in both) * sure[1] / sure[0]

    @property
    def verdict(self) -> str:
        """What may be said of the mechanism."""
        low, high = self.recording.ci95
        if self.p_holm < SURE and self.recording.decided:
            return "buys" if low > 0 else "costs"
        if self.control is None or self.recording.decided:
            return "cannot be told"  # without a control, or among so many comparisons
        simulated = self.control.median
        if self.control.ci95[0] > 0 and high < simulated:
            return f"no effect, though {simulated:.2g} could have been shown"
        if self.control.ci95[0] <= 0 or simulated < self.smallest:
            return "untestable here"
        return "cannot be told"  # it may be as large as what was simulated


def effects(
    pairs: Sequence[Pair],
    done: Callable[[Job], bool],
    of: Callable[[Job], tuple[Fit, Split]],
    refused: Callable[[Pair, RetinaError], None],
) -> tuple[Effect, ...]:
    """Every pair whose fits are there, by the paired bootstrap of bits per spike.

    done:    whether a job is finished.
    of:      a job's fit, and what it was fitted to.
    refused: told of a pair that cannot be compared, and why; the others go on.
    """
    found = []
    for pair in pairs:
        if not (done(pair.has) and done(pair.lacks)):
            continue
        whole = bool(pair.control) and all(map(done, pair.control))
        try:
            recorded = _differences(of, pair.has, pair.lacks)
            control = _differences(of, *pair.control) if whole else {}
        except RetinaError as error:
            refused(pair, error)
            continue
        found += [
            Effect(pair.has.recording, group, one, math.nan, control.get(group))
            for group, one in recorded.items()
        ]
    return _corrected(found)


def as_rows(found: Sequence[Effect]) -> list[dict[str, Any]]:
    """Effects as plain data for JSON; an undefined number is None."""
    return [
        {
            "dataset": one.dataset,
            "group": one.group,
            "metric": one.recording.metric,
            "with": one.recording.names[0],
            "without": one.recording.names[1],
            "recording": _row(one.recording) | {"p_holm": one.p_holm},
            "control": None if one.control is None else _row(one.control),
            "smallest": None if math.isnan(one.smallest) else one.smallest,
            "verdict": one.verdict,
        }
        for one in found
    ]


def _differences(
    of: Callable[[Job], tuple[Fit, Split]], has: Job, lacks: Job
) -> dict[str, Difference]:
    """Group of test clips -> with minus without."""
    from retina.search.compare import MANY, compare

    (without, split), (having, _) = of(lacks), of(has)
    made = compare({lacks.label: without, has.label: having}, split, draws=MANY)
    return {one.group: one.difference for one in made}


def _corrected(found: list[Effect]) -> tuple[Effect, ...]:
    places = [(one.dataset, one.group) for one in found]
    made = list(found)
    for place in dict.fromkeys(places):
        at = [i for i, other in enumerate(places) if other == place]
        corrected = holm([found[i].recording.p for i in at])
        for i, p in zip(at, corrected, strict=True):
            made[i] = dataclasses.replace(found[i], p_holm=float(p), among=len(at))
    return tuple(made)


def _row(one: Difference) -> dict[str, Any]:
    return {
        "median": one.median,
        "ci95": list(one.ci95),
        "wins": one.wins,
        "cells": one.cells,
    }
