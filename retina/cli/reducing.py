"""`retina reduce`: a smaller run from a run."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from retina import lock, registry
from retina.cli import output
from retina.cli import settings as words
from retina.cli.fitting import Key
from retina.cli.names import Json
from retina.cli.partial import CHECKPOINT, begun, finished, place_of
from retina.errors import BrokenRun, RetinaError


def reduce(
    method: Annotated[
        str,
        typer.Argument(help="A name, a file, or several in a row: channels,quantise."),
    ],
    run: Annotated[str, typer.Argument(help="A folder made by fit, sweep or reduce.")],
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="A keyword of the method (retina show METHOD), of several methods "
            "METHOD.KEY; refit_steps, or a setting of the refit.",
        ),
    ] = None,
    key: Key = 0,
    out: Annotated[Path | None, typer.Option(help="The new run's folder.")] = None,
    json: Json = False,
) -> None:
    """Take a part of a fitted model away, and fit the rest again for a while.

    Where it was interrupted, the same command goes on.
    """
    from retina import store

    settings = words.parse(set_ or ())
    functions = {name: registry.find("reductions", name) for name in method.split(",")}
    record = store.read(run)
    if record.get("spikes_of"):
        raise BrokenRun(
            f"{run} was fitted to spikes sampled from {record['spikes_of']}, not to a "
            "recording that the refit could take: reduce that run"
        )
    asked = {
        "reduce": method,
        "source": [registry.source("reductions", name) for name in functions],
        "run": str(Path(run).resolve()),
        # What the run is, not only where: another may take the folder over.
        "run_sha256": record["params_sha256"],
        "settings": _whole(settings, functions),
        "key": key,
    }
    folder = out or _default(asked, Path(run))
    with lock.beside(folder):
        there = finished(folder, asked)
        if not there:
            _reduce(Path(run), folder, asked, settings, record)
    if there:
        output.say(f"{folder} is finished already")
    made = store.read(folder)
    if json:
        kept = ("model", "dataset", "parent", "validation", "training")
        output.print_json({"run": str(folder)} | {name: made[name] for name in kept})
    else:
        print(_table(made["training"]["lineage"]))
        print(f"run {folder}; next: retina score {folder}")


def _whole(
    settings: Mapping[str, Any], functions: Mapping[str, Callable[..., Any]]
) -> dict[str, Any]:
    """All that decides a reduction: what was typed, and the defaults of the rest."""
    from retina.reduction.steps import REFIT_STEPS, divided
    from retina.settings import keywords

    refit = {"refit_steps": REFIT_STEPS}
    rest = {key: value for key, value in settings.items() if key not in refit}
    own, recipe = divided(rest, functions)
    whole = {
        f"{name}.{key}": own[name].get(key, keyword.default)
        for name, function in functions.items()
        for key, keyword in keywords(function).items()
    }
    return whole | recipe | {key: settings.get(key, refit[key]) for key in refit}


def _reduce(
    run: Path,
    folder: Path,
    asked: Mapping[str, Any],
    settings: Mapping[str, Any],
    record: Mapping[str, Any],
) -> None:
    import dataclasses

    import jax

    from retina import atomic, failures, store
    from retina.fitting import checkpoints
    from retina.fitting.loggers import ROW
    from retina.fitting.loggers import jsonl as curve
    from retina.reduction.steps import reduce
    from retina.search import records

    atomic.check_writable(folder)
    failures.check_device()
    partial = place_of(folder)
    parent, split = store.load(run), records.split_of(record)
    kept = partial / CHECKPOINT
    if begun(partial, asked) and any(map(checkpoints.present, kept.glob("*"))):
        output.say(f"going on from {partial}")
    try:
        with (
            output.meter(f"{asked['reduce']} of {run.name}") as tell,
            curve.jsonl(partial, asked) as log,
        ):

            def progress(event: Mapping[str, Any]) -> None:
                tell(*output.fit_words(event))
                log({name: event[name] for name in (*ROW, "reduction", "part")})

            small = reduce(
                asked["reduce"],
                parent,
                split,
                key=jax.random.key(asked["key"]),
                progress=progress,
                checkpoint=kept,
                **settings,
            )
            tell(1.0, "done")
    except RetinaError:
        if not kept.exists():  # refused: there is nothing to go on from
            shutil.rmtree(partial, ignore_errors=True)
        raise
    same = ("card", "cells", "recording")
    extra = {name: record[name] for name in same if name in record} | {
        "asked": asked,
        "cell_names": [cell.name for cell in split.cells],
    }
    small = dataclasses.replace(small, parent=asked["run"])
    told = [file for file in [partial / curve.FILE] if file.exists()]
    store.save(small, folder, extra=extra, files=told)
    shutil.rmtree(partial, ignore_errors=True)  # the run is whole already


def _default(asked: Mapping[str, Any], run: Path) -> Path:
    from retina import store

    digest = hashlib.sha256(store.dumps(asked).encode()).hexdigest()[:8]
    methods = "-".join(Path(name).stem for name in asked["reduce"].split(","))
    return run.parent / f"{run.name}-{methods}-{digest}"


def _table(lineage: Any) -> str:
    """A row for each reduction since the first fit."""
    rows = []
    for step in lineage:
        bits = [step["validation"][name] for name in ("before", "cut", "refitted")]
        costs = ", ".join(
            f"{column} {before:,} to {after:,}"
            for column, (before, after) in step["cost"].items()
        )
        rows.append((step["method"], *(f"{one:.4f}" for one in bits), costs))
    heads = ("reduction", "bits before", "cut", "refitted", "cost")
    return output.columns(rows, heads) + "\n(validation bits per spike, mean of cells)"
