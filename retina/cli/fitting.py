"""`retina fit`: a model and a recording become a run."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from retina import lock, registry
from retina.cli import output, runs
from retina.cli import settings as words
from retina.cli.names import Json
from retina.cli.partial import ASKED, CHECKPOINT, begun, finished, place_of
from retina.errors import BadSetting
from retina.settings import keywords

Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="A keyword of the model or a setting of the fit; retina show MODEL lists "
        "both.",
    ),
]
Cells = Annotated[
    str | None,
    typer.Option(help='Cell names, a subset of the card, "all", or "-NAME" to omit.'),
]
BinS = Annotated[
    float | None,
    typer.Option(min=1e-4, max=1e4, help="Seconds per bin; default: the frame's."),
]

Log = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        help="tensorboard, wandb or mlflow beside metrics.jsonl; repeatable.",
    ),
]

Key = Annotated[
    # A longer number overflows, or jax drops its upper bits without a word.
    int,
    typer.Option(min=0, max=2**32 - 1, help="All randomness follows."),
]


def fit(
    dataset: Annotated[str, typer.Argument(help="A name or a TOML card.")],
    model: Annotated[str, typer.Argument(help="A name or path/to/file.py.")],
    set_: Set = None,
    seeds: Annotated[int, typer.Option(min=1, help="Random starts.")] = 1,
    bin_s: BinS = None,
    cells: Cells = None,
    key: Key = 0,
    out: Annotated[Path | None, typer.Option(help="The run's folder.")] = None,
    core: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="Keep this run's core, fit only the rest."),
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="Begin with this run's parameters."),
    ] = None,
    log: Log = None,
    json: Json = False,
) -> int:
    """Fit a model, or go on with a fit that was interrupted."""
    settings = words.parse(set_ or ())
    function = registry.find("models", model)
    own, recipe = words.divide(settings, function, model)
    asked = _asked(dataset, model, function, own) | {
        "fit": recipe,
        "seeds": seeds,
        "bin_s": bin_s,
        "cells": cells,
        "key": key,
    }
    for word, run in (("core", core), ("start", start)):
        if run is not None:
            # What it is, not only where: another run may take the folder over.
            digest = _read(run)["params_sha256"]
            asked |= {word: str(run.resolve()), f"{word}_sha256": digest}
    if start is not None:
        from retina.data import identity

        if not identity.same(_read(start).get("recording") or "", asked["recording"]):
            raise BadSetting(
                f"--start {start}: a fit of {_read(start)['dataset']}, not of {dataset}"
                " as its card and files are now: start from a run of that"
            )
    folder = out or _default(asked)
    there = finished(folder, asked)
    if not there:
        with lock.beside(folder):
            # Another process may have finished it in the meantime.
            there = finished(folder, asked)
            if not there:
                _fit(dataset, folder, asked, own, log or [])
    if there:
        output.say(f"{folder} is finished already")
    record = _read(folder)
    if json:
        kept = ("model", "dataset", "validation", "training")
        output.print_json({"run": str(folder)} | {name: record[name] for name in kept})
    else:
        _print_validation(folder, record)
    stopped = record["training"].get("stopped")
    if stopped:
        output.say(f"retina: {stopped}; the run is kept in {folder}")
    return 1 if stopped else 0


def _fit(
    dataset: str,
    folder: Path,
    asked: Mapping[str, Any],
    own: Mapping[str, Any],
    log: Sequence[str],
) -> None:
    """dataset: as it was typed, for what may be told of it."""
    import jax

    from retina import atomic, build, failures, store
    from retina.data.roles import roles
    from retina.fitting import checkpoints
    from retina.fitting.checks import notes
    from retina.fitting.fit import fit
    from retina.fitting.inherited import inherited, sentence
    from retina.fitting.loggers import ROW

    atomic.check_writable(folder)
    failures.check_device()
    partial = place_of(folder)
    loggers = [
        registry.find("loggers", name)(partial, asked)
        for name in dict.fromkeys(("jsonl", *log))
    ]
    split = runs.divided(dataset, asked["cells"], asked["bin_s"])
    model = build.model(asked["model"], split.spec, **own)
    for note in (roles(split), *notes(model, split)):
        output.say(f"note: {note}")
    core, start = (
        store.load(asked[word]) if word in asked else None for word in ("core", "start")
    )
    if start is not None:
        said = sentence(inherited(model, start, split)[1])
        output.say(f"start: {asked['start']}: {said}")
    if begun(partial, asked) and checkpoints.present(partial / CHECKPOINT):
        output.say(f"going on from {partial}")
    name = Path(model.name.rpartition(":")[2]).stem
    with contextlib.ExitStack() as opened:
        logs = [opened.enter_context(one) for one in loggers]
        tell = opened.enter_context(output.meter(f"{name} on {split.spec.dataset}"))

        def progress(event: Mapping[str, Any]) -> None:
            tell(*output.fit_words(event))
            for one in logs:
                one({key: event[key] for key in ROW})

        fitted = fit(
            model,
            split,
            key=jax.random.key(asked["key"]),
            seeds=asked["seeds"],
            progress=progress,
            checkpoint=partial / CHECKPOINT,
            core=core,
            start=start,
            **asked["fit"],
        )
        tell(1.0, "done")
    card = asked["dataset"] if asked["dataset"].endswith(".toml") else ""
    extra = {
        "asked": asked,
        "card": card,
        "cells": asked["cells"],
        "cell_names": [cell.name for cell in split.cells],
        "recording": asked["recording"],
    }
    parent = asked.get("core") or asked.get("start", "")
    fitted = dataclasses.replace(fitted, parent=parent)
    files = [
        path
        for path in partial.iterdir()
        # A name with a dot is what a write that was killed has left behind.
        if path.name not in (CHECKPOINT, ASKED) and not path.name.startswith(".")
    ]
    store.save(fitted, folder, extra=extra, files=files)
    shutil.rmtree(partial, ignore_errors=True)  # the run is whole already


def _asked(dataset: str, model: str, function, own: Mapping[str, Any]) -> dict:
    """What decides a fit, complete: a default that changes is another fit."""
    from retina.data import card as cards
    from retina.data import identity

    defaults = {key: one.default for key, one in keywords(function).items()}
    path = Path(dataset)
    return {
        # Files are named by their full path: a run outlives the working directory.
        "dataset": str(path.resolve()) if path.suffix == ".toml" else dataset,
        "recording": identity.digest(cards.read(dataset)),
        "model": _absolute(model),
        "source": registry.source("models", model),
        "settings": defaults | dict(own),
    }


def _absolute(model: str) -> str:
    where, colon, function = model.rpartition(":") if ":" in model else (model, "", "")
    return str(Path(where).resolve()) + colon + function if ".py" in where else model


def _default(asked: Mapping[str, Any]) -> Path:
    from retina import store

    digest = hashlib.sha256(store.dumps(asked).encode()).hexdigest()[:8]
    model = Path(asked["model"].rpartition(":")[2]).stem
    return Path("runs") / f"{model}-{Path(asked['dataset']).stem}-{digest}"


def _read(folder: Path) -> dict[str, Any]:
    from retina import store

    return store.read(folder)


def _print_validation(folder: Path, record: Mapping[str, Any]) -> None:
    from retina.search.measure import unfinished

    validation, training = record["validation"], record["training"]
    bits = validation["per_cell"]
    rows = [
        (cell, f"{value:.4f}")
        for cell, value in zip(record["cell_names"], bits, strict=True)
    ]
    print(output.columns(rows, ("cell", "validation bits/spike")))
    if training.get("tuned"):
        print(_tuned(training["tuned"]))
    if "taken" in training.get("started", ()):
        began = training["started"]["validation"]
        print(
            f"mean over cells: {began['before']:.4f} in {record['parent']}, "
            f"{began['start']:.4f} at the start, {validation['mean']:.4f} now"
        )
    print(f"median {validation['median']:.4f} of {len(bits)} cells", end="")
    if len(validation.get("seeds", ())) > 1:
        each = " ".join(f"{value:.4f}" for value in validation["seeds"])
        print(f"; seeds {each}", end="")
    print(f"; {training['steps']} steps, best at {training['best_step']}", end="")
    print(f", {training['fit_s']:.1f} s", end="")
    print(f" ({training['compile_s']:.1f} s of compiling)")
    nothing = record["model"] != "mean" and not validation["median"] > 0
    for note in unfinished(training):
        more = training.get("stopped") or nothing
        print(note if more else f"{note}: more of them with --set max_steps=N")
    if nothing:
        of = record.get("card") or record["dataset"]
        print(f"no better than each cell's mean rate: does retina check {of} find why?")
    print(f"run {folder}; next: retina score {folder}")


def _tuned(recipes: Sequence[Mapping[str, float]]) -> str:
    """What was tried side by side, a row each, in the order that it was asked for."""
    rows = [[f"{value:g}" for value in one.values()] for one in recipes]
    return output.columns(rows, [*recipes[0]])
