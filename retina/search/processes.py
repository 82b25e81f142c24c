"""Processes of this machine that each run one job at a time."""

from __future__ import annotations

import os
import pickle
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from typing import Any

from retina.search.lost import WorkerDied

_POOLS = ("NPROC", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_GPUS = "CUDA_VISIBLE_DEVICES"


class Processes(Executor):
    """An executor whose processes may die: that costs the job that one ran, no other.

    The standard library's ends every job of a pool of which one process is killed.

    count: how many; each gets its share of the cores and, where CUDA_VISIBLE_DEVICES
           names as many devices, one of those.
    """

    def __init__(self, count: int) -> None:
        self._tasks: queue.SimpleQueue[tuple[Future, bytes] | None]
        self._tasks = queue.SimpleQueue()
        self._children: dict[int, subprocess.Popen] = {}
        self._closed = False
        self._threads = [
            threading.Thread(
                target=self._serve, args=(environment(i, count),), daemon=True
            )
            for i in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future:
        if self._closed:
            raise RuntimeError("this executor was shut down")
        future: Future = Future()
        self._tasks.put((future, pickle.dumps((fn, args, kwargs))))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Without `wait` the processes are killed: what they ran is lost."""
        self._closed = True
        while cancel_futures or not wait:
            try:
                task = self._tasks.get_nowait()
            except queue.Empty:
                break
            if task is not None:
                task[0].cancel()
        for _ in self._threads:
            self._tasks.put(None)
        if not wait:
            for child in list(self._children.values()):
                child.kill()
        for thread in self._threads:
            thread.join()

    def _serve(self, env: Mapping[str, str]) -> None:
        child = None
        while (task := self._tasks.get()) is not None:
            future, call = task
            if not future.set_running_or_notify_cancel():
                continue
            child = child or self._started(env)
            try:
                pickle.dump(call, child.stdin)
                child.stdin.flush()
                answered, value = pickle.load(child.stdout)
            except Exception as error:  # of the pipe, or a value that is not here
                status = self._ended(child)
                child = None
                how = f"signal {-status}" if status < 0 else f"status {status}"
                died = WorkerDied(f"its process ended with {how}")
                died.__cause__ = error
                future.set_exception(died)
                continue
            (future.set_result if answered else future.set_exception)(value)
        if child is not None:
            child.stdin.close()
            self._ended(child, kill=False)

    def _started(self, env: Mapping[str, str]) -> Any:
        child = subprocess.Popen(
            [sys.executable, "-m", "retina.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=env,
        )
        self._children[child.pid] = child
        return child

    def _ended(self, child: Any, kill: bool = True) -> int:
        """Its exit status: one that can no longer be talked to is of no use."""
        if kill:
            try:
                child.wait(timeout=1.0)
            except subprocess.TimeoutExpired:
                child.kill()
        status = child.wait()
        self._children.pop(child.pid, None)
        child.stdout.close()
        if not child.stdin.closed:
            try:
                child.stdin.close()
            except OSError:  # what was not read any more
                pass
        return status


def environment(index: int, count: int) -> dict[str, str]:
    """The environment of one of several processes: its share of cores and devices.

    JAX's pool of threads on a CPU has NPROC of them.

    >>> environment(0, 10**6)["OMP_NUM_THREADS"]
    '1'
    """
    threads = max(1, len(_cores()) // count)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    env |= {name: str(threads) for name in _POOLS if name not in os.environ}
    devices = os.environ.get(_GPUS, "").split(",")
    if len(devices) >= count > 1:
        env[_GPUS] = devices[index]
    return env


def _cores() -> set[int]:
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))
