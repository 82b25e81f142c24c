"""The executor `local`: one job after the other, in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from retina.search.job import Job


def local(
    work: Callable[[Job], Any], jobs: Sequence[Job], address: str = ""
) -> Iterator[tuple[Job, Any]]:
    """Runs the jobs in order; JAX itself uses every core for each of them.

    work:    what to do with a job; it keeps its own result safe before it returns.
    address: what stands after "local://"; there is nothing to say.
    yields:  each job with what `work` returned, as soon as it is done.

    >>> list(local(lambda job: job * 2, [1, 2]))
    [(1, 2), (2, 4)]
    """
    for job in jobs:
        yield job, work(job)
