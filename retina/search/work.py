"""One job, wherever it runs: fitted, scored, and stored before it returns."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import glob
import shutil
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from retina import atomic, build, lock, store
from retina.data import card as cards
from retina.errors import (
    BrokenRun,
    DeviceLost,
    InUse,
    RetinaError,
    UnwritableFolder,
)
from retina.search import deadline, draws, records, rungs, running
from retina.search.job import Job, fitted, measured
from retina.search.rungs import Reached
from retina.search.splits import Splits
from retina.types import Fit, Point

Progress = Callable[[Mapping[str, Any]], None]
FAILED = "failed"
CONTROLS = "controls"  # runs of sampled spikes, apart from those that are compared
# Workers with several threads still do one job after the other: a time limit, the
# recording that is kept and the device are the process's.
_ONE = threading.RLock()


@dataclasses.dataclass(frozen=True)
class Failure:
    """A job that could not be finished or compared: its error in a line, and whole.

    refused: the model said, before any fit, that it is not for this recording, and the
             experiment expects that such may be.
    """

    job: Job
    error: str
    traceback: str
    refused: bool = False


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


Outcome = Point | Reached | Failure


def work(job: Job, order: Order, progress: Progress | None = None) -> Outcome:
    """Do a job that is not done: it may be asked for again, elsewhere and any time.

    returns: its point, once the run is stored, or how it stood after `until` steps;
             Failure, once that is recorded.
    raises:  UnwritableFolder, DeviceLost: not the job's fault, and the next one's
             trouble as well. InUse where another process does this job.
    """
    place = place_of(job, order.folder)
    with _ONE, lock.beside(place):
        # Another worker may have finished it since it was handed out.
        earlier = _known(job, order) or failed(job, order)
        if earlier is not None:
            return earlier
        mark = mark_of(job, order)
        where = deadline.passed(mark)
        if where:
            return fail(job, order, late(order), where)
        with running.told(job, place.parent, progress) as tell:
            with deadline.ends(order.limit_s, mark):
                return _done(job, order, tell)


def _known(job: Job, order: Order) -> Point | Reached | None:
    if order.until is None:
        return finished(job, order.folder)
    recording = cards.digest(cards.read(job.dataset))
    return rungs.read(job, order.folder, order.until, recording)


def arrived(job: Job, order: Order) -> bool:
    """Whether what a worker said to have stored is here.

    Of a folder on a server this machine may still believe what it saw before; once it
    has written there itself, it asks the server again.
    """
    place = place_of(job, order.folder)
    if order.until is not None:
        place = rungs.file_of(job, order.folder, order.until)
    if not place.exists():
        atomic.check_writable(place)
    return place.exists()


def forget(job: Job, folder: Path) -> None:
    """Remove what a fit would have gone on from."""
    place = place_of(job, folder)
    for begun_fit in place.parent.glob(f".{glob.escape(job.name)}.*checkpoint"):
        _remove(begun_fit)


def mark_of(job: Job, order: Order) -> Path:
    """The file of `deadline.ends` of a job."""
    place = place_of(job, order.folder)
    return place.parent / f".{job.name}.{order.sweep}.late"


def late(order: Order) -> str:
    """What is said of a job that took longer than it may."""
    return (
        f"took longer than {order.limit_s:g} s: give it more (--limit), or make it "
        "smaller; the same command goes on where it was"
    )


def place_of(job: Job, folder: Path) -> Path:
    """The run of a job."""
    return (folder / CONTROLS if job.spikes_of else folder) / job.name


def parent_of(job: Job, folder: Path) -> Path:
    """The run whose fit a job begins with."""
    return Path(job.parent_run) if job.parent_run else folder / job.parent


def parent(job: Job, folder: Path) -> Fit | None:
    """The fit that a job begins with; None for none.

    raises: BrokenRun where it is not there, or no longer what it was.
    """
    if not job.parent:
        return None
    place = parent_of(job, folder)
    if job.parent_run and store.read(place)["params_sha256"] != job.parent:
        raise BrokenRun(
            f"{place} is no longer the run that this sweep began with: run the same "
            "command again"
        )
    return store.load(place)


def finished(job: Job, folder: Path) -> Point | None:
    """The point of a job whose run is complete in the folder; None where it is not.

    Complete is a run that was scored with every metric of the job.
    """
    place = place_of(job, folder)
    if not place.is_dir():
        return None
    try:
        record = store.read(place)
        if record.get("job") != job.canonical():
            return None
        if record.get("recording") != cards.digest(cards.read(job.dataset)):
            return None
        point = records.point_of(record, job.name)
        return point if set(job.metrics) <= set(point.score.metrics) else None
    except BrokenRun:
        return None


def failed(job: Job, order: Order) -> Failure | None:
    """The failure that is recorded of a job in this sweep."""
    try:
        text = _failure_of(job, order.folder).read_text(encoding="utf-8")
        record = store.loads(text)
        if record.get("sweep") == order.sweep:
            refused = record.get("refused", False)
            return Failure(job, record["error"], record["traceback"], refused)
    except (OSError, ValueError, KeyError, AttributeError):
        pass
    return None


def refused(job: Job, folder: Path) -> Failure | None:
    """What a model said of this recording before, by the same card and versions.

    As a finished run is no longer asked for, neither is the recording of this one.
    """
    if not job.where_possible:
        return None
    try:
        record = store.loads(_failure_of(job, folder).read_text(encoding="utf-8"))
        card = cards.digest(cards.read(job.dataset))
        now = (True, card, store.versions())
        if (record["refused"], record["card"], record["versions"]) == now:
            return Failure(job, record["error"], record["traceback"], refused=True)
    except (OSError, ValueError, KeyError, AttributeError):
        pass
    return None


def fail(
    job: Job, order: Order, error: str, traceback: str = "", refused: str = ""
) -> Failure:
    """Record what became of a job, also for a worker that is dead.

    refused: the digest of the card whose recording the model refused; "" for none.
    """
    running.over(job, place_of(job, order.folder).parent)
    mark_of(job, order).unlink(missing_ok=True)
    failure = Failure(job, error, traceback, bool(refused))
    more = {"versions": store.versions(), "sweep": order.sweep}
    if refused:
        more["card"] = refused
    record = dataclasses.asdict(failure) | more
    atomic.write_file(_failure_of(job, order.folder), store.dumps(record).encode())
    return failure


def line(error: BaseException) -> str:
    """An error in one line; of an unforeseen one, what it is as well."""
    first = (str(error).strip().splitlines() or [""])[0]
    if isinstance(error, RetinaError):
        return first
    return f"{type(error).__name__}: {first}"


def _failure_of(job: Job, folder: Path) -> Path:
    return folder / FAILED / f"{job.name}.json"


@functools.lru_cache(maxsize=1)
def splits(folder: Path) -> Splits:
    """Of this process: its jobs come data set by data set."""
    return Splits(folder)


def _done(job: Job, order: Order, progress: Progress) -> Outcome:
    begun, place = time.perf_counter(), place_of(job, order.folder)
    begun_cpu_s = time.process_time()
    if order.until is None:
        store.refuse_foreign(place)  # now, rather than when the fit is done
    try:
        split, recording = splits(order.folder).of(job)
        if job.where_possible:
            try:
                build.model(job.model, split.spec, **job.settings)
            except RetinaError as error:
                whole = traceback.format_exc()
                return fail(job, order, line(error), whole, refused=recording)
        # Of this card: what an edited one tests on, the earlier may have trained on.
        checkpoint = place.parent / f".{job.name}.{recording[:8]}.checkpoint"
        told = {"progress": progress, "checkpoint": checkpoint}
        given = (job, split, parent(job, order.folder))
        do = functools.partial(fitted, *given, **told, until=order.until)
        try:
            fit = do()
        except BrokenRun:
            if not checkpoint.exists():
                raise
            # A checkpoint of another version of the model: the fit starts afresh.
            _remove(checkpoint)
            fit = do()
        if order.until is not None:
            kept = rungs.keep(job, order.folder, order.until, recording, fit)
            _forgive(job, order)
            return kept
        point = measured(job, fit, split)
    except (UnwritableFolder, DeviceLost, InUse):
        raise
    except Exception as error:
        return fail(job, order, line(error), traceback.format_exc())
    by_path = job.dataset.endswith(".toml")
    extra = {
        "job": job.canonical(),
        "label": job.label,
        "spikes_of": job.spikes_of,
        "cells": job.cells,
        "cell_names": point.score.cell_names,
        # The whole path: a run outlives the working directory.
        "card": str(Path(job.dataset).resolve()) if by_path else "",
        "recording": recording,
        "seconds": time.perf_counter() - begun,
        "cpu_seconds": time.process_time() - begun_cpu_s,
        **records.describe(point),
    }
    if job.parent:
        fit = dataclasses.replace(fit, parent=str(parent_of(job, order.folder)))
    # Of a run that was here, under another card: the store leaves what it has not made.
    (place / draws.FILE).unlink(missing_ok=True)
    store.save(fit, place, extra=extra)
    if order.draws and not job.spikes_of:
        draws.kept(place, lambda: (fit, split))
    forget(job, order.folder)
    _forgive(job, order)
    return point


def _forgive(job: Job, order: Order) -> None:
    with contextlib.suppress(OSError):
        _failure_of(job, order.folder).unlink()


def _remove(checkpoint: Path) -> None:
    """Whatever stands in its place: earlier versions kept a file there."""
    if checkpoint.is_dir():
        shutil.rmtree(checkpoint, ignore_errors=True)
    else:
        checkpoint.unlink(missing_ok=True)
