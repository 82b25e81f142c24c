"""Figures of a sweep that are not what its experiment expects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from retina.errors import BadSetting, nearest
from retina.search.experiment import Expected, Experiment
from retina.search.frontier import cost_range
from retina.search.job import Job
from retina.types import Point


def surprises(
    experiment: Experiment, jobs: list[Job], done: Mapping[str, Point]
) -> Iterator[str]:
    """Figures outside their range; a name that no job has is a surprise as well."""
    for expected in experiment.expected:
        where = expected.dataset
        named = [job for job in jobs if where in ("", job.dataset, job.recording)]
        found = [job for job in named if job.label == expected.run]
        if not found:
            known = {job.label for job in named}
            yield f"{expected.run}: no such run: {nearest(expected.run, known)}"
        for job in found:
            point = done.get(job.name)
            on = f" on {job.recording}" if len(found) > 1 else ""
            try:
                value = None if point is None else _outside(point, expected)
            except BadSetting as error:
                yield f"{job.label}{on}: {error}"
                continue
            if value is not None:
                yield (
                    f"{job.label}{on}: {expected.what} is {value:.4g}, expected "
                    f"{expected.low:g} to {expected.high:g}"
                )


def _outside(point: Point, expected: Expected) -> float | None:
    """The figure, where it lies outside its range (a cost's range: wholly outside)."""
    if expected.what in point.score.metrics:
        low = middle = high = point.score.metrics[expected.what].median
    else:
        low, middle, high = cost_range(point, expected.what)
    return None if expected.low <= high and low <= expected.high else middle
