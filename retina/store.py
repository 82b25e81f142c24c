"""A run on disk: record.json (what it is) and params.h5 (every number of it).

A run's folder appears whole or not at all, and is replaced whole or not at all.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib.metadata
import json
import math
import platform
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from retina import atomic, build
from retina.errors import BadSetting, BrokenRun, UnwritableFolder
from retina.trees import from_bytes, to_bytes, to_device
from retina.types import Fit, Spec

__all__ = ["load", "read", "runs", "save"]

FORMAT = 1
RECORD, PARAMS = "record.json", "params.h5"
_OWN = (RECORD, PARAMS)
_LIBRARIES = ("retina-frontier", "jax", "jaxlib", "flax", "optax", "numpy", "scipy")


def save(
    fit: Fit,
    folder: str | Path,
    *,
    extra: Mapping[str, Any] | None = None,
    files: Iterable[Path] = (),
) -> None:
    """Writes a run; an older run in that folder is replaced in one step.

    folder: the run's own folder; files in it that are not ours are kept.
    extra:  further entries of record.json (the split's settings, a score, a cost).
    files:  further files and folders, copied into the run under their own names.
    raises: UnwritableFolder where the folder cannot be written, the disk is full, or a
            folder is there that holds something else.
    """
    folder = Path(folder).absolute()
    refuse_foreign(folder)
    seeds = {f"{index:03d}": tree for index, tree in enumerate(fit.seeds)}
    params = to_bytes(
        {"params": fit.params, "seeds": seeds, "null_rate": np.asarray(fit.null_rate)}
    )
    record = describe(fit) | {"params_sha256": hashlib.sha256(params).hexdigest()}
    clash = sorted(set(record) & set(extra or {}))
    if clash:
        raise ValueError(f"extra may not replace {', '.join(clash)}")
    text = dumps(record | dict(extra or {}))
    with atomic.new_folder(folder) as made:
        older = folder.iterdir() if folder.is_dir() else ()
        copied = {path.name: path for path in (*older, *files)}
        for name, kept in copied.items():
            if name in _OWN:
                continue
            if kept.is_dir():
                shutil.copytree(kept, made / name, symlinks=True)
            else:
                shutil.copy2(kept, made / name)
        (made / PARAMS).write_bytes(params)
        (made / RECORD).write_text(text, encoding="utf-8")


def load(folder: str | Path) -> Fit:
    """The run in a folder, its parameters bit for bit as they were saved.

    raises: BrokenRun where the folder is not a complete run, or the model of its name
            is no longer the one it was fitted with.
    """
    folder = Path(folder)
    record = read(folder)
    try:
        data = (folder / PARAMS).read_bytes()
    except OSError as error:
        raise BrokenRun(f"{folder} has no {PARAMS}: fit it again") from error
    if hashlib.sha256(data).hexdigest() != record["params_sha256"]:
        raise BrokenRun(
            f"{folder / PARAMS} is not the file that {RECORD} describes (its sha256 "
            "differs): fit it again or restore it"
        )
    spec = Spec(**record["spec"])
    try:
        model = build.model(record["model"], spec, **record["settings"])
    except BadSetting as error:
        raise BrokenRun(
            f"{folder} was fitted with settings that {record['model']} does not take "
            f"any more ({error}): fit it again, or write what was meant into settings "
            f"in its {RECORD}"
        ) from error
    if loads(dumps(model.stage.about)) != record["about"]:
        raise BrokenRun(
            f"{folder} was fitted with another version of model {record['model']!r}: "
            f"{record['about']}, now {model.stage.about}"
        )
    if build.source(model) != record.get("source", ""):
        raise BrokenRun(
            f"{folder} was fitted with {record['model']} as it was before its last "
            "change: fit it again"
        )
    tree = from_bytes(data)
    return Fit(
        model=model,
        params=to_device(tree["params"]),
        seeds=tuple(to_device(tree["seeds"][name]) for name in sorted(tree["seeds"])),
        null_rate=tree["null_rate"],
        validation=record["validation"],
        curve=tuple(record["curve"]),
        training=record["training"],
        parent=record["parent"],
    )


def read(folder: str | Path) -> dict[str, Any]:
    """record.json of a run; quick, as no array and no model is loaded.

    raises: BrokenRun where the folder is not a run.
    """
    folder = Path(folder).absolute()
    atomic.recover(folder)
    if not folder.is_dir():
        raise BrokenRun(f"no run {folder}: make one with retina fit ... --out {folder}")
    try:
        record = loads((folder / RECORD).read_text(encoding="utf-8"))
        wanted = {"model", "settings", "spec", "params_sha256", "about"}
        missing = wanted - set(record)
    except (OSError, ValueError, TypeError) as error:
        raise BrokenRun(
            f"{folder} is not a run: its {RECORD} is missing or damaged"
        ) from error
    if missing:
        raise BrokenRun(f"{folder / RECORD} lacks {', '.join(sorted(missing))}")
    if record.get("format", 0) > FORMAT:
        raise BrokenRun(
            f"{folder} was written by a newer version (format {record['format']}, "
            f"this one reads {FORMAT}): upgrade retina-frontier"
        )
    return record


def runs(folder: str | Path) -> list[Path]:
    """The runs that a path means: the folder itself, or every run right inside it.

    Half-written folders have names that start with a dot and are not listed.
    """
    folder = Path(folder)
    if (folder / RECORD).is_file():
        return [folder]
    for aside in folder.glob(".*.old"):
        atomic.recover(folder / aside.name[1:].removesuffix(".old"))
    return [
        file.parent
        for file in sorted(folder.glob(f"*/{RECORD}"))
        if not file.parent.name.startswith(".")
    ]


def describe(fit: Fit) -> dict[str, Any]:
    """What record.json says of a fit before anything is added."""
    model = fit.model
    return {
        "format": FORMAT,
        "model": model.name,
        "dataset": model.spec.dataset,
        "settings": dict(model.settings),
        "spec": dataclasses.asdict(model.spec),
        "validation": dict(fit.validation),
        "training": dict(fit.training),
        "curve": [dict(row) for row in fit.curve],
        "parent": fit.parent,
        "about": model.stage.about,
        "source": build.source(model),
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Versions of what computed a number, for the record that holds it.

    >>> sorted(versions())[:2]
    ['flax', 'jax']
    """
    return dict(_versions())


@functools.cache  # a file for each package is read and parsed
def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for name in _LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def dumps(value: Any) -> str:
    """Strict JSON of records: numpy values become plain, NaN becomes {"float": "nan"}.

    >>> loads(dumps({"a": (1.5, float("inf")), "b": np.arange(2)}))
    {'a': (1.5, inf), 'b': (0, 1)}
    """
    return json.dumps(_plain(value), indent=1, allow_nan=False) + "\n"


def loads(text: str) -> Any:
    """The inverse of `dumps`; lists come back as tuples, as settings are hashable."""
    return _restore(json.loads(text))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (bool, str, int, type(None))):
        return value
    if isinstance(value, (float, np.floating)):
        number = float(value)
        return number if math.isfinite(number) else {"float": str(number)}
    if hasattr(value, "tolist"):  # numpy and jax arrays and scalars
        return _plain(value.tolist())
    return str(value)


def _restore(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_restore(item) for item in value)
    if isinstance(value, dict):
        if set(value) == {"float"}:
            return float(value["float"])
        return {key: _restore(item) for key, item in value.items()}
    return value


def refuse_foreign(folder: Path) -> None:
    """Nothing, where a run may be put.

    raises: UnwritableFolder where something else is.
    """
    with atomic.explained(folder):
        atomic.recover(folder)
        kept = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
        occupied = folder.exists() and not folder.is_dir()
    if kept and RECORD not in kept:
        raise UnwritableFolder(
            f"{folder} holds something that is not a run: name another --out"
        )
    if occupied:
        raise UnwritableFolder(f"{folder} is a file: name another --out")
