"""Where the things of a job lie, in the folder of a sweep."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from retina.search.job import Job

CONTROLS = "controls"  # runs of sampled spikes, apart from those that are compared


@dataclasses.dataclass(frozen=True)
class Order:
    """What all jobs of one call of `sweep` have in common.

    folder:  of the runs; every worker must see it under this path.
    sweep:   a name of the call: what has failed in it is not tried again within it.
    limit_s: how long a job may take; then its process is ended. None for no limit.
    until:   the step at which its fit is stopped for now and judged, see `rungs`; None
             for the whole of it, scored and stored.
    draws:   whether what chooses among the runs is kept beside each: `search.draws`.
    """

    folder: Path
    sweep: str
    limit_s: float | None = None
    until: int | None = None
    draws: bool = False


def place_of(job: Job, folder: Path) -> Path:
    """The run of a job."""
    return (folder / CONTROLS if job.spikes_of else folder) / job.name


def parent_of(job: Job, folder: Path) -> Path:
    """The run whose fit a job begins with."""
    return Path(job.parent_run) if job.parent_run else folder / job.parent


def mark_of(job: Job, order: Order) -> Path:
    """The file of `deadline.ends` of a job."""
    place = place_of(job, order.folder)
    return place.parent / f".{job.name}.{order.sweep}.late"
