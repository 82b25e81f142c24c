"""Jobs through an executor that may lose them: each is answered exactly once."""

from __future__ import annotations

import collections
import queue
import time
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from typing import Any

from retina.errors import InUse, Unreachable
from retina.search.job import Job
from retina.search.lost import Deaths, WorkerDied

BREAKS = 3  # of an executor without an answer in between, that are mended; chosen
BACK_S = 60.0  # for an executor that is gone to come back; chosen
BEAT_S = 1.0
RARELY_S = 30.0  # between two calls for a job that another process is at; chosen


def drive(
    opened: Callable[[], Executor],
    work: Callable[[Job], Any],
    jobs: Iterable[Job],
    beat: Callable[[], None] = lambda: None,
    *,
    at_once: int | None = None,
    back_s: float = BACK_S,
    taken: Callable[[Job], bool] = lambda job: False,
    begun: Callable[[Job], Any] = lambda job: object(),
) -> Generator[tuple[Job, Any], None, None]:
    """Yields each job with what came of it, as soon as that is known.

    opened:  makes the executor, and makes it anew where it is lost.
    work:    what to do with a job; it may be called again for a job that it has done,
             as the answer may be lost.
    jobs:    taken only when there is room, so it may depend on earlier answers.
    beat:    called about once a second while nothing is heard.
    at_once: how many jobs the executor is given at a time; None for all.
    taken:   whether a job that is `InUse` elsewhere is worth asking for again: soon at
             first, then ever more rarely, while the others go on.
    begun:   as of `Deaths`; by default, each time anew.
    yields:  (job, result), or (job, the exception) where `work` raised one; WorkerDied
             where several workers in a row died at the job.
    raises:  Unreachable where the executor does not come back in `back_s`, or breaks
             again and again before it has answered once.
    """
    source, again = iter(jobs), collections.deque[Job]()
    pending: dict[Future, Job] = {}
    later: list[tuple[float, Job]] = []
    ready: queue.SimpleQueue[Future] = queue.SimpleQueue()
    deaths, refusals, answered = Deaths(begun), collections.Counter[str](), 0
    pool, clean, breaks = opened(), False, 0
    try:
        while True:
            now = time.monotonic()
            again.extend(job for due, job in later if due <= now)
            later = [(due, job) for due, job in later if due > now]
            while at_once is None or len(pending) < at_once:
                job = again.popleft() if again else next(source, None)
                if job is None:
                    break
                future = pool.submit(work, job)
                pending[future] = job
                if future.done():  # done here: it is told before the next begins
                    ready.put(future)
                    break
                future.add_done_callback(ready.put)
            if not pending and not later:
                break
            try:
                future = ready.get(timeout=BEAT_S)
            except queue.Empty:
                beat()
                continue
            job = pending.pop(future, None)
            if job is None:  # of an executor that is gone
                continue
            try:
                outcome = future.result()
            except WorkerDied as died:
                if not deaths.at_fault(job, answered):
                    again.append(job)
                    continue
                outcome = died
            except (BrokenExecutor, CancelledError) as gone:
                breaks += 1
                if breaks > BREAKS:
                    raise _given_up(
                        f"the executor broke {breaks} times", gone
                    ) from gone
                again.extend([job, *pending.values()])
                pending.clear()
                _close(pool)
                pool = _reopened(opened, gone, back_s)
                continue
            except InUse as error:
                if taken(job):
                    pause_s = min(BEAT_S * 2 ** refusals[job.name], RARELY_S)
                    refusals[job.name] += 1
                    later.append((time.monotonic() + pause_s, job))
                    continue
                outcome = error
            except Exception as error:
                outcome = error
            breaks, answered = 0, answered + 1
            yield job, outcome
        clean = True
    finally:
        if clean:
            pool.shutdown()
        else:
            _close(pool)


def _close(pool: Executor) -> None:
    pool.shutdown(wait=False, cancel_futures=True)


def _reopened(
    opened: Callable[[], Executor], gone: BaseException, back_s: float
) -> Executor:
    until = time.monotonic() + back_s
    while True:
        try:
            return opened()
        except Unreachable as error:
            if time.monotonic() > until:
                raise _given_up(str(error), gone) from gone
            time.sleep(BEAT_S)


def _given_up(what: str, gone: BaseException) -> Unreachable:
    why = (str(gone).splitlines() or [type(gone).__name__])[0]
    return Unreachable(
        f"{what} ({why}); what was finished is kept, the same command goes on"
    )
