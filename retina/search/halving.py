"""Successive halving: many fits are begun, the best of them go on, again and again.

What goes on does so from its checkpoint, and ends as if it had never stopped.
source: Jamieson & Talwalkar 2016, arXiv 1502.07943.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator

import numpy as np

from retina.data import card as cards
from retina.data import identity
from retina.search import grid, rungs, work
from retina.search.execute import Tell, execute
from retina.search.experiment import Experiment, Search
from retina.search.failing import Failure
from retina.search.job import Job
from retina.search.places import Order
from retina.search.rungs import Reached
from retina.search.space import draw, points, size


@dataclasses.dataclass(frozen=True)
class Tried:
    """A fit on a rung; bits: per spike on validation there, None without any."""

    run: str
    label: str
    step: int
    bits: float | None
    kept: bool


@dataclasses.dataclass(frozen=True)
class Rung:
    """What was tried with so many optimiser steps, in the order of being begun."""

    steps: int
    tried: tuple[Tried, ...]


def ladder(count: int, search: Search) -> list[tuple[int, int]]:
    """(steps, fits) of each rung; after the last come the finalists.

    >>> ladder(30, Search(method="halving", steps=100, factor=3))
    [(100, 30), (300, 10), (900, 3)]
    """
    found, steps = [], search.steps
    while count > search.finalists:
        found.append((steps, count))
        count = max(count // search.factor, search.finalists)
        steps *= search.factor
    return found


def begun(experiment: Experiment, dataset: str) -> list[Job]:
    """The points that are begun: all where they are few, else as many as `trials`.

    Those are drawn evenly from the spaces, by the experiment's key: more trials begin
    the same ones and more.

    raises: BadCard, as `grid.jobs`.
    """
    families = [family for family, _ in grid.searched_in(experiment, dataset)]
    spaces = [family.space | family.grid for family in families]
    sizes = [size(space) for space in spaces]
    most = experiment.search.trials
    rng = np.random.default_rng(experiment.key)

    def every() -> Iterator[Job]:
        for family, space in zip(families, spaces, strict=True):
            for chosen in points(space):
                yield grid.job_of(experiment, dataset, family, chosen)

    def drawn() -> Iterator[Job]:
        while True:
            which = int(rng.integers(len(families)))
            chosen = draw(spaces[which], rng)
            yield grid.job_of(experiment, dataset, families[which], chosen)

    few = None not in sizes and sum(one for one in sizes if one) <= most
    found: dict[str, Job] = {}
    # Where a list names a value twice there are fewer than its size says.
    some = every() if few else drawn() if families else ()
    for job in itertools.islice(some, 100 * most):
        found.setdefault(job.name, job)
        if len(found) == most:
            break
    return list(found.values())


def halve(
    alive: list[Job], search: Search, order: Order, executor: str, tell: Tell
) -> tuple[list[Rung], list[Job], list[Failure]]:
    """Climbs the rungs; what is known already is not fitted again.

    alive:   what is begun, on one data set.
    returns: the rungs, the finalists, which are to be fitted to their end, and what
             failed.
    """
    found, failed = [], []
    recording = identity.digest(cards.read(alive[0].dataset)) if alive else ""
    for steps, _ in ladder(len(alive), search):
        here = dataclasses.replace(order, until=steps)
        known = {
            job.name: one
            for job in alive
            if (one := rungs.read(job, order.folder, steps, recording)) is not None
        }
        for job in alive:
            if job.name in known:
                tell(job, "reached", **dataclasses.asdict(known[job.name]))
        todo = [job for job in alive if job.name not in known]
        for job, outcome in execute(todo, here, executor, tell):
            if isinstance(outcome, Reached):
                known[job.name] = outcome
            elif isinstance(outcome, Failure):
                failed.append(outcome)
        best = sorted(
            (job for job in alive if job.name in known),
            key=lambda job: -_worth(known[job.name].bits),
        )
        kept = best[: max(len(alive) // search.factor, search.finalists)]
        names = {job.name for job in kept}
        for job in alive:
            if job.name not in names:
                work.forget(job, order.folder)
        tried = [_tried(job, known.get(job.name), job.name in names) for job in alive]
        found.append(Rung(steps, tuple(tried)))
        alive = [job for job in alive if job.name in names]
    return found, alive, failed


def _tried(job: Job, one: Reached | None, kept: bool) -> Tried:
    if one is None:
        return Tried(job.name, job.label, 0, None, False)
    bits = one.bits if math.isfinite(one.bits) else None
    return Tried(job.name, job.label, one.step, bits, kept)


def _worth(bits: float) -> float:
    return bits if math.isfinite(bits) else -math.inf
