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
from retina.search import failing, places, plan, running


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
    """Of the sweeps that go on in a folder, or of a folder in which they have ended.

    jobs:    of all sweeps that go on; of a folder without one, what is there.
    failed:  label -> error, of these sweeps or, where none goes on, of the last.
    seconds_left: by what was done since the last of them began; None where nobody can
             tell.
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
    """The state of the sweeps in a folder; reads only, and needs no other process.

    raises: BrokenRun where there is no sweep and no run.
    """
    folder = Path(folder)
    plans = plan.read(folder)
    records = _records(folder)
    failures = _failures(folder)
    now = time.time()
    said = _said(folder)
    if not plans:  # as where a sweep ended while another of its question went on
        said = {
            name: one
            for name, one in said.items()
            if now - one["heard"] < running.SILENT_S
        }
    if not (plans or records or failures or said):
        usual = Path("runs") / folder.name  # where a sweep puts its runs
        other = usual.is_dir() and usual != folder
        there = f", or retina status {usual}" if other else ""
        raise BrokenRun(f"{folder} holds no sweep: start one with retina sweep{there}")
    y = plans[-1]["y"] if plans else "cc_norm"
    trials = sum(one["trials"] for one in plans)
    names = {job["name"]: job["label"] for one in plans for job in one["jobs"]}
    count = len(names) + trials
    if trials or not plans:  # then any run in the folder may be one of them
        names |= {name: record.get("label", name) for name, record in records.items()}
        names |= {name: one.get("label", name) for name, one in said.items()}
    done = {name: record for name, record in records.items() if name in names}
    begun = plans[-1]["begun"] if plans else 0.0
    sweeps = {one["sweep"] for one in plans}
    failed: dict[str, str] = {}
    lately = 0  # of them, since the last sweep began
    for one in failures:
        # Of a sweep that another took the place of, but which went on.
        beside = one["name"] in names and one["told"] >= begun
        if not plans or one.get("sweep") in sweeps or beside:
            label = one["job"]["label"]
            if label in failed:
                label += f" on {one['job'].get('dataset')}"
            failed[label] = one["error"]
            lately += one["told"] >= begun
    at_work = tuple(
        Running(
            names[name],
            one["host"],
            one["pid"],
            now - one["begun"],
            now - one["heard"],
            one.get("fit", {}),
        )
        for name, one in said.items()
        if name not in done and name in names
    )
    jobs = max(count, len(done) + (0 if plans else len(failed) + len(at_work)))
    # What failed may be a try beside them.
    left = max(jobs - len(done) - len(failed), 0)
    since = sum(_stored(folder, name) >= begun for name in done) + lately
    return Status(
        jobs=jobs,
        done=len(done),
        running=at_work,
        failed=failed,
        seconds_left=(now - begun) / since * left if plans and since else None,
        y=y,
        best=_best(records, y),
        going=bool(plans or at_work),
    )


def _said(folder: Path) -> dict[str, dict[str, Any]]:
    """What workers say of their jobs, those on sampled spikes too."""
    return running.read(folder) | running.read(folder / places.CONTROLS)


def _records(folder: Path) -> dict[str, dict[str, Any]]:
    """Name -> record of each run, those of sampled spikes too."""
    found = {}
    for place in (folder, folder / places.CONTROLS):
        for file in place.glob(f"[!.]*/{store.RECORD}"):
            try:
                found[file.parent.name] = store.read(file.parent)
            except BrokenRun:
                continue
    return found


def _failures(folder: Path) -> list[dict[str, Any]]:
    found = []
    for file in sorted((folder / failing.FAILED).glob("[!.]*.json")):
        try:
            record = store.loads(file.read_text(encoding="utf-8"))
            about = {"name": file.stem, "told": file.stat().st_mtime}
            found.append(record | {"job": dict(record["job"])} | about)
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
    for place in (folder, folder / places.CONTROLS):
        try:
            return (place / name / store.RECORD).stat().st_mtime
        except OSError:
            continue
    return 0.0
