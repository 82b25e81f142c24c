"""What became of a job that could not be done, kept in the folder of its sweep."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path

from retina import atomic, store
from retina.data import card as cards
from retina.data import identity
from retina.errors import RetinaError
from retina.search import running
from retina.search.job import Job
from retina.search.places import Order, mark_of, place_of

FAILED = "failed"


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
        card = identity.digest(cards.read(job.dataset))
        now = (True, store.versions())
        if not identity.same(record["card"], card):
            return None
        if (record["refused"], record["versions"]) == now:
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


def forgive(job: Job, order: Order) -> None:
    with contextlib.suppress(OSError):
        _failure_of(job, order.folder).unlink()


def late(order: Order) -> str:
    """What is said of a job that took longer than it may."""
    return (
        f"took longer than {order.limit_s:g} s: give it more (--limit), or make it "
        "smaller; the same command goes on where it was"
    )


def line(error: BaseException) -> str:
    """An error in one line; of an unforeseen one, what it is as well."""
    first = (str(error).strip().splitlines() or [""])[0]
    if isinstance(error, RetinaError):
        return first
    return f"{type(error).__name__}: {first}"


def _failure_of(job: Job, folder: Path) -> Path:
    return folder / FAILED / f"{job.name}.json"
