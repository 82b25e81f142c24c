"""Jobs of a sweep by the executor that was named, and what is told meanwhile."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import BrokenExecutor
from typing import Any

from retina import registry
from retina.errors import InUse, RetinaError
from retina.failures import check_device
from retina.search import deadline, failing, places, running, work
from retina.search.drive import drive
from retina.search.failing import Failure
from retina.search.job import Job
from retina.search.places import Order
from retina.search.rungs import Reached
from retina.search.work import Outcome

Tell = Callable[..., None]
HERE = "local"


def execute(
    jobs: Iterable[Job],
    order: Order,
    executor: str,
    tell: Tell,
    at_once: int | None = None,
) -> Generator[tuple[Job, Outcome], None, None]:
    """Yields each job with what came of it, as soon as that is known.

    executor: as in `sweep`.
    tell:     called with a job, "started", "fitting", "done", "reached", "failed" or
              "refused", and more.
    at_once:  as in `drive`.
    raises:   UnknownName, BadSetting, Unreachable, MissingExtra for the executor;
              UnwritableFolder, DeviceLost at once; InUse when all else is done.

    A job that another process has is asked for again for as long as that one is heard:
    a worker that was given up may still be at it, or another sweep.
    """
    if executor == HERE and order.limit_s is not None:
        executor = f"{HERE}://1"  # what takes too long takes its process with it
    name, _, address = executor.partition("://")
    opened = functools.partial(registry.find("executors", name), address)
    told: set[str] = set()

    def begun(job: Job) -> None:
        if job.name not in told:
            told.add(job.name)
            tell(job, "started")

    def here(job: Job) -> Any:
        begun(job)
        return work.work(job, order, lambda event: tell(job, "fitting", **event))

    given: dict[str, Job] = {}

    def noted() -> Iterator[Job]:
        for job in jobs:
            given[job.name] = job
            yield job

    def beat() -> None:
        for folder in (order.folder, order.folder / places.CONTROLS):
            for name, now in running.read(folder).items():
                if name in given:
                    begun(given[name])
                    if "fit" in now:
                        tell(given[name], "fitting", **now["fit"])

    # What each holder said last, and when that was new by this machine's clock.
    met: dict[str, tuple[float | None, float]] = {}

    def said(job: Job, word: str) -> float | None:
        return running.of(job, places.place_of(job, order.folder).parent).get(word)

    def taken(job: Job) -> bool:
        heard, now = said(job, "heard"), time.monotonic()
        if job.name not in met or met[job.name][0] != heard:
            met[job.name] = heard, now
        return now - met[job.name][1] < running.SILENT_S

    if executor == HERE:
        check_device()
    call = here if executor == HERE else functools.partial(work.work, order=order)
    in_use: list[InUse] = []
    answers = drive(
        opened,
        call,
        noted(),
        beat,
        at_once=at_once,
        taken=taken,
        begun=lambda job: said(job, "begun"),
    )
    with contextlib.closing(answers):
        for job, outcome in answers:
            given.pop(job.name)
            if isinstance(outcome, BrokenExecutor):
                outcome = _died(job, order, outcome)
            elif isinstance(outcome, InUse):
                in_use.append(outcome)
                continue
            elif isinstance(outcome, RetinaError):
                raise outcome
            elif isinstance(outcome, Exception):
                # Of the worker, not of the fit: `work` answers for that itself.
                outcome = failing.fail(
                    job, order, failing.line(outcome), _whole(outcome)
                )
            elif not isinstance(outcome, Failure) and not work.arrived(job, order):
                outcome = failing.fail(job, order, _ELSEWHERE.format(order.folder))
            begun(job)
            if isinstance(outcome, Failure):
                state = "refused" if outcome.refused else "failed"
                tell(job, state, error=outcome.error)
            elif isinstance(outcome, Reached):
                tell(job, "reached", **dataclasses.asdict(outcome))
            else:
                tell(job, "done", point=outcome)
            yield job, outcome
    if in_use:
        raise in_use[0]


_ELSEWHERE = (
    "its worker stored it, but not here: let all of them see {} under the same path"
)


def _died(job: Job, order: Order, error: BrokenExecutor) -> Failure:
    """Killed again and again, by the system or by its time limit."""
    where = deadline.passed(places.mark_of(job, order))
    if where:
        return failing.fail(job, order, failing.late(order), where)
    return failing.fail(
        job,
        order,
        f"its workers died ({error}): it may need more memory than there is; run "
        "fewer at once, or make it smaller",
    )


def _whole(error: Exception) -> str:
    import traceback

    return "".join(traceback.format_exception(error))
