"""One contender in a process of its own: builds its work once, then steps on request.

    python -m benchmarks.worker MODULE:FUNCTION SETTINGS

runs in our interpreter or in the peers', so it imports nothing but the standard
library. FUNCTION takes the settings (JSON) and returns a `Work`. Each line on stdin
asks for one step and has what changes in the settings from there on (JSON, {} as a
rule); each answer is one line of JSON on stdout.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

KEPT = "RETINA_BENCHMARK_KEPT"  # names the folder that is emptied before each step


class Work(NamedTuple):
    """What a contender does again and again.

    step:     one piece of work, finished when it returns; what it tells goes into the
              answer ("loss", ...). "seconds", if told, replaces the worker's own clock;
              None says that it did not get there.
    versions: of the packages that do the work.
    units:    steps of the model in one piece of work: seconds are divided by it.
    about:    whatever a reader of the results should know of how it was built.
    """

    step: Callable[[], dict[str, Any]]
    versions: dict[str, str]
    units: int = 1
    about: dict[str, Any] = {}


def versions(*packages: str) -> dict[str, str]:
    return {name: metadata.version(name) for name in packages}


def forget() -> None:
    """Each step compiles what it needs, as the first one of a fresh machine does.

    Only where a race says so: the folder that JAX is told of may be anyone's.
    """
    folder = os.environ.get(KEPT)
    for kept in Path(folder).glob("*") if folder else ():
        # On a GPU, XLA keeps its times of kernels in a folder of their own.
        shutil.rmtree(kept) if kept.is_dir() else kept.unlink()


def main() -> None:
    # Whatever a library prints must not be taken for an answer.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(told: dict[str, Any]) -> None:
        answers.write(json.dumps(told) + "\n")
        answers.flush()

    module, function = sys.argv[1].split(":")
    build = getattr(importlib.import_module(module), function)
    begun = time.perf_counter()
    settings = json.loads(sys.argv[2])
    work: Work = build(settings)
    answer(
        {
            "set_up_s": time.perf_counter() - begun,
            "versions": work.versions | {"python": sys.version.split()[0]},
            "about": work.about,
        }
    )
    rested = time.process_time()
    for line in sys.stdin:
        # CPU time of all threads since the last answer: a worker that waits for its
        # turn must leave the cores to the others.
        idle = time.process_time() - rested
        settings |= json.loads(line)
        forget()
        begun = time.perf_counter()
        told = work.step()
        took = (time.perf_counter() - begun) / work.units
        rested = time.process_time()
        answer({"seconds": took, "spent_s": took, "idle_cpu_s": idle} | told)


if __name__ == "__main__":
    main()
