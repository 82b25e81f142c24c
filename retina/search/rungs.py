"""How a fit stood after so many steps, kept so that it is asked once."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

from retina import atomic
from retina.data import identity
from retina.search.job import Job
from retina.types import Fit

FOLDER = "rungs"


@dataclasses.dataclass(frozen=True)
class Reached:
    """What a fit had come to when it was stopped for now.

    step: of its last evaluation, the first at or after the steps that it was given.
    bits: per spike on validation, of the best parameters until then, as a point's.
    """

    step: int
    bits: float


def file_of(job: Job, folder: Path, until: int) -> Path:
    """Where it is kept, in the folder of a sweep."""
    return folder / FOLDER / f"{job.name}-{until}.json"


def read(job: Job, folder: Path, until: int, recording: str) -> Reached | None:
    """What is kept of a job; None where nothing is, or of another card.

    recording: the digest of the card.
    """
    try:
        text = file_of(job, folder, until).read_text(encoding="utf-8")
        record = json.loads(text)
        if record["job"] != job.canonical():
            return None
        if not identity.same(record["recording"], recording):
            return None
        bits = math.nan if record["bits"] is None else float(record["bits"])
        return Reached(int(record["step"]), bits)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def keep(job: Job, folder: Path, until: int, recording: str, fit: Fit) -> Reached:
    """Keeps how a fit stands."""
    bits = float(fit.validation["median"])
    found = Reached(int(fit.training["steps"]), bits)
    record = {
        "job": job.canonical(),
        "label": job.label,
        "recording": recording,
        "step": found.step,
        "bits": bits if math.isfinite(bits) else None,
    }
    place = file_of(job, folder, until)
    atomic.write_file(place, json.dumps(record, indent=1).encode())
    return found
