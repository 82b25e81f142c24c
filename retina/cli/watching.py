"""`retina status`: a sweep, seen from another terminal or another machine."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from retina.cli import interrupt, output
from retina.cli.names import Json
from retina.errors import BadSetting


def status(
    folder: Annotated[Path, typer.Argument(help="A folder of runs.")],
    every: Annotated[
        float | None, typer.Option(help="Say it again after so many seconds.")
    ] = None,
    json: Json = False,
) -> int:
    """How far the sweep in a folder is: done, running, failed, time left, the best."""
    from retina.search.status import status as status_of

    if every is not None and not every > 0:
        raise BadSetting(f"--every {every:g}: seconds, more than 0")
    while True:
        now = status_of(folder)
        if json:
            output.print_json({**dataclasses.asdict(now), "best": _best(now)})
        else:
            print("\n".join(_lines(now)), flush=True)
        if every is None or not now.going:
            return 0
        time.sleep(every)
        interrupt.check()


def _lines(now: Any) -> list[str]:
    from retina.search.running import SILENT_S

    words = [f"{now.done} of {now.jobs} done"]
    if now.running:
        words.append(f"{len(now.running)} running")
    if now.failed:
        words.append(f"{len(now.failed)} failed")
    if now.going and not now.running:
        words.append("nobody at work: the same command goes on")
    elif now.going:
        words.append(f"{output.duration(now.seconds_left)} left")
    if now.best is not None:
        label, dataset, value = now.best
        words.append(f"best {now.y} {value:.4g} ({label}, {dataset})")
    lines = [", ".join(words)]
    for one in now.running:
        said = ""
        if "step" in one.fit:
            said = ": " + output.fit_words(one.fit)[1]
        silent = f", silent for {output.duration(one.heard_s)}"
        lines.append(
            f"  {one.label}{said} (for {output.duration(one.seconds)}, pid {one.pid} "
            f"on {one.host}{silent if one.heard_s > SILENT_S else ''})"
        )
    lines += [f"  failed: {label}: {error}" for label, error in now.failed.items()]
    return lines


def _best(now: Any) -> dict[str, Any] | None:
    if now.best is None:
        return None
    return dict(zip(("label", "dataset", now.y), now.best, strict=True))
