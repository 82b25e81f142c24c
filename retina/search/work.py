"""One job, wherever it runs: fitted, scored, and stored before it returns."""

from __future__ import annotations

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
from retina.data import identity
from retina.errors import (
    BrokenRun,
    DeviceLost,
    InUse,
    RetinaError,
    UnwritableFolder,
)
from retina.search import deadline, draws, failing, records, rungs, running
from retina.search.failing import Failure, fail, failed, late, line
from retina.search.job import Job, fitted, measured
from retina.search.places import Order, mark_of, parent_of, place_of
from retina.search.rungs import Reached
from retina.search.splits import Splits
from retina.types import Fit, Point

Progress = Callable[[Mapping[str, Any]], None]
# Workers with several threads still do one job after the other: a time limit, the
# recording that is kept and the device are the process's.
_ONE = threading.RLock()

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
    recording = identity.digest(cards.read(job.dataset))
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
    """Remove what a fit would have gone on from, and marks of limits of the dead."""
    place = place_of(job, folder)
    for left in place.parent.glob(f".{glob.escape(job.name)}.*"):
        if left.name.endswith(("checkpoint", ".late")):
            _remove(left)


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
        card = cards.read(job.dataset)
        if not identity.same(record.get("recording") or "", identity.digest(card)):
            return None
        point = records.as_now(records.point_of(record, job.name), card)
        return point if set(job.metrics) <= set(point.score.metrics) else None
    except BrokenRun:
        return None


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
            failing.forgive(job, order)
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
    forget(job, order.folder)
    failing.forgive(job, order)
    if order.draws and not job.spikes_of:
        draws.kept(place, lambda: (fit, split))
    return point


def _remove(checkpoint: Path) -> None:
    """Whatever stands in its place: earlier versions kept a file there."""
    if checkpoint.is_dir():
        shutil.rmtree(checkpoint, ignore_errors=True)
    else:
        checkpoint.unlink(missing_ok=True)
