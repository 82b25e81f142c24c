"""The executor `dask`: workers of a Dask cluster, on one machine or many."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any
from urllib.parse import parse_qsl

from retina.errors import BadSetting, MissingExtra, Unreachable
from retina.search.lost import Disconnected, WorkerDied

ANSWERS_S = 10.0  # for a scheduler to answer; chosen


def dask(address: str = "") -> Executor:
    """Runs jobs on the workers of a scheduler that is there already.

    address: "host:port" of the scheduler; after a "?" what a worker must have for each
             job, as in "host:8786?GPU=1" for workers that were started with
             `dask worker --resources GPU=1`. Workers need this package, the recordings,
             and the folder of runs under the same path; one thread each.
    returns: a `concurrent.futures.Executor`.
    raises:  MissingExtra without dask.distributed; BadSetting; Unreachable where no
             scheduler answers.

    >>> dask("")
    Traceback (most recent call last):
    retina.errors.BadSetting: dask://: name a scheduler, such as dask://localhost:8786
    """
    where, _, asked = address.partition("?")
    if not where:
        raise BadSetting("dask://: name a scheduler, such as dask://localhost:8786")
    try:
        needs = {name: float(value) for name, value in parse_qsl(asked, True, True)}
    except ValueError:
        raise BadSetting(
            f"dask://{address}: after the ? NAME=NUMBER, such as ?GPU=1"
        ) from None
    try:
        distributed = importlib.import_module("distributed")
    except ImportError:
        raise MissingExtra(
            "the executor dask needs dask.distributed, which is not installed: "
            "pip install 'retina-frontier[cluster]'"
        ) from None
    try:
        client = distributed.Client(
            f"tcp://{where}", timeout=ANSWERS_S, set_as_default=False
        )
    except (OSError, ValueError) as error:
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise Unreachable(
            f"no Dask scheduler at {where} ({why}): start one with dask scheduler, or "
            "leave out --executor"
        ) from None
    return Cluster(client, needs)


class Cluster(Executor):
    """A client's futures as those of the standard library.

    The client's own executor cancels a job whose scheduler is gone, as if someone had
    asked for that, and gives a killed worker no name that is known without Dask.
    """

    def __init__(self, client: Any, needs: dict[str, float]) -> None:
        self._client, self._needs = client, needs
        self._lock, self._waiting = threading.Lock(), {}

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future:
        future: Future = Future()
        try:
            asked = self._client.submit(
                fn, *args, **kwargs, pure=False, resources=self._needs or None
            )
        except Exception as error:  # a client that is closed says so in many ways
            future.set_exception(Disconnected(str(error)))
            return future
        with self._lock:
            self._waiting[asked.key] = asked  # one that is dropped is not computed
        future.set_running_or_notify_cancel()
        asked.add_done_callback(lambda done: self._settle(done, future))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Without `wait` jobs that have not begun are cancelled."""
        with self._lock:
            left = list(self._waiting.values())
        try:
            if left and not wait:
                self._client.cancel(left, force=True)
        except Exception:
            pass  # there is nobody to tell any more
        self._client.close(timeout=ANSWERS_S)

    def _settle(self, done: Any, future: Future) -> None:
        with self._lock:
            self._waiting.pop(done.key, None)
        if done.status == "finished":
            try:
                future.set_result(done.result(timeout=ANSWERS_S))
            except Exception as error:
                future.set_exception(Disconnected(str(error)))
        elif done.status == "error":
            try:
                error = done.exception(timeout=ANSWERS_S)
            except Exception as lost:  # else nobody would ever be told
                error = Disconnected(str(lost))
            killed = type(error).__name__ == "KilledWorker"
            future.set_exception(WorkerDied(_line(error)) if killed else error)
        else:  # "cancelled" or "lost"
            future.set_exception(Disconnected(f"the scheduler {done.status} this job"))


def _line(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0]
