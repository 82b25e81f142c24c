"""The executor `local`: this process, or several of this machine."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

from retina.errors import BadSetting


def local(address: str = "") -> Executor:
    """Runs jobs here: "local" one after the other, "local://2" in two processes.

    address: how many processes, which share the cores; "" for this process, in which
             JAX uses every core for each job.
    returns: a `concurrent.futures.Executor`.
    raises:  BadSetting for an address that is no number of processes.

    >>> local().submit(lambda job: job * 2, 21).result()
    42
    """
    if not address:
        return Here()
    if not address.isdecimal() or not 1 <= int(address) <= 1024:
        raise BadSetting(f"local://{address}: a number of processes, such as local://2")
    from retina.search.processes import Processes

    return Processes(int(address))


class Here(Executor):
    """Each job is done when `submit` returns."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future:
        future: Future = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # not Ctrl-C, which ends them all
            future.set_exception(error)
        return future
