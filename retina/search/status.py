"""How far a sweep is, by what lies in its folder."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from retina import store
from retina.errors import BrokenRun
from retina.search import plan, running, work


@dataclasses.dataclass(frozen=True)
class Running:
    """A job that some process is at.

    seconds: since it was begun; heard_s: since its process last said so.
    """

    label: str
    host: str
    pid: int
    seconds: float
    heard_s: float
    fit: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Status:
    """Of a sweep that goes on, or of a folder in which one has ended.

    jobs:    of the sweep; of a folder without one, what is there.
    failed:  label -> error, of this sweep or, where none goes on, of the last.
    seconds_left: by what was done since it began; None where nobody can tell.
    best:    (label, data set, value) of the highest median of the metric `y`.
    going:   whether a sweep has yet to come to its end: it may have been stopped.
    """

    jobs: int
    done: int
    running: tuple[Running, ...]
    failed: Mapping[str, str]
    seconds_left: float | None
    y: str
    best: tuple[str, str, float] | None
    going: bool


def status(folder: str | Path) -> Status:
    """The state of the sweep in a folder; reads only, and needs no other process.

    raises: BrokenRun where there is no sweep and no run.
    """
    folder = Path(folder)
    asked = plan.read(folder)
    records = _records(folder)
    failures = _failures(folder)
    if asked is None and not records and not failures:
        raise BrokenRun(f"{folder} holds no sweep: start one with retina sweep")
    y = asked["y"] if asked else "cc_norm"
    best = _best(records, y)
    if asked is None:
        failed = {one["job"]["label"]: one["error"] for one in failures}
        count = len(records) + len(failed)
        return Status(count, len(records), (), failed, None, y, best, False)
    names = {job["name"]: job["label"] for job in asked["jobs"]}
    if asked["trials"]:  # then any run in the folder may be one of the search
        names |= {name: record.get("label", name) for name, record in records.items()}
    done = {name: record for name, record in records.items() if name in names}
    jobs = max(len(asked["jobs"]) + asked["trials"], len(done))
    failed = {
        one["job"]["label"]: one["error"]
        for one in failures
        if one.get("sweep") == asked["sweep"]
    }
    now = time.time()
    at_work = tuple(
        Running(
            said.get("label", name),  # of a search no plan knows it
            said["host"],
            said["pid"],
            now - said["begun"],
            now - said["heard"],
            said.get("fit", {}),
        )
        for place in (folder, folder / work.CONTROLS)
        for name, said in running.read(place).items()
        if name not in done and (name in names or asked["trials"])
    )
    # What failed may be a try beside them.
    left = max(jobs - len(done) - len(failed), 0)
    since = sum(_stored(folder, name) >= asked["begun"] for name in done) + len(failed)
    spent = now - asked["begun"]
    return Status(
        jobs=jobs,
        done=len(done),
        running=at_work,
        failed=failed,
        seconds_left=spent / since * left if since else None,
        y=y,
        best=best,
        going=True,
    )


def _records(folder: Path) -> dict[str, dict[str, Any]]:
    """Name -> record of each run, those of sampled spikes too."""
    found = {}
    for place in (folder, folder / work.CONTROLS):
        for file in place.glob(f"[!.]*/{store.RECORD}"):
            try:
                found[file.parent.name] = store.read(file.parent)
            except BrokenRun:
                continue
    return found


def _failures(folder: Path) -> list[dict[str, Any]]:
    found = []
    for file in sorted((folder / work.FAILED).glob("[!.]*.json")):
        try:
            record = store.loads(file.read_text(encoding="utf-8"))
            found.append(record | {"job": dict(record["job"])})
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return found


def _best(records: Mapping[str, Any], y: str) -> tuple[str, str, float] | None:
    found = []
    for name, record in records.items():
        if record.get("spikes_of"):
            continue
        try:
            value = float(record["score"]["metrics"][y]["median"])
        except (KeyError, TypeError, ValueError):
            continue
        if math.isfinite(value):
            found.append((value, record.get("label", name), record["dataset"]))
    if not found:
        return None
    value, label, dataset = max(found)
    return label, dataset, value


def _stored(folder: Path, name: str) -> float:
    for place in (folder, folder / work.CONTROLS):
        try:
            return (place / name / store.RECORD).stat().st_mtime
        except OSError:
            continue
    return 0.0
