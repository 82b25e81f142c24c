"""`retina new KIND NAME`: a template that already passes its contract."""

from __future__ import annotations

import importlib.resources
import keyword
import os
from pathlib import Path
from typing import Annotated

import typer

from retina import atomic, registry
from retina.errors import BadSetting, UnknownName, UnwritableFolder, nearest

# The template's files, where each goes in a checkout of this project, and elsewhere.
TEMPLATES = {
    "dataset": {"dataset.toml": ("datasets/{name}.toml", "{name}.toml")},
    "model": {"model.py": ("retina/models/{name}.py", "{name}.py")},
    "metric": {"metric.py": ("retina/metrics/{name}.py", "{name}.py")},
    "reduction": {"reduction.py": ("retina/reduction/{name}.py", "{name}.py")},
    "experiment": {
        "experiment/experiment.toml": (
            "experiments/{name}/experiment.toml",
            "{name}/experiment.toml",
        ),
        "experiment/README.md": ("experiments/{name}/README.md", "{name}/README.md"),
    },
}
NEXT = {
    "dataset": "retina check {path}",
    "model": "retina fit simulated {path}",
    "metric": "retina score RUN --metrics {path}",
    "reduction": "retina reduce {path} RUN",
    "experiment": "retina sweep {folder} --dry-run",
}
_WORD = "template"  # the name that every template bears


def new(
    kind: Annotated[str, typer.Argument(help=" | ".join(TEMPLATES))],
    name: Annotated[str, typer.Argument(help="Its name.")],
    folder: Annotated[Path, typer.Option(help="Where it is written.")] = Path("."),
) -> None:
    """Write a template that already passes its contract."""
    if kind not in TEMPLATES:
        raise UnknownName(f"no template for {kind!r}: {nearest(kind, TEMPLATES)}")
    if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_"):
        raise BadSetting(
            f"{name!r} cannot be a file's name and a function's: use letters, digits "
            "and _, such as my_" + kind
        )
    if name in registry.names(kind + "s"):
        raise BadSetting(f"there is a {kind} {name!r} already: choose another name")
    written = [
        _write(template, folder / places[0 if _is_checkout(folder) else 1], name)
        for template, places in TEMPLATES[kind].items()
    ]
    for path in written:
        print(f"wrote {path}")
    path = written[0]
    word = f".{os.sep}{path}" if len(path.parts) == 1 else path
    print("next: " + NEXT[kind].format(path=word, folder=path.parent))


def _is_checkout(folder: Path) -> bool:
    return (folder / "retina" / "models").is_dir() and (folder / "datasets").is_dir()


def _write(template: str, place: Path, name: str) -> Path:
    path = Path(str(place).format(name=name))
    if path.exists():
        raise UnwritableFolder(f"{path} exists: choose another name, or delete it")
    source = importlib.resources.files("retina") / "templates" / template
    text = source.read_text(encoding="utf-8").replace(_WORD, name)
    atomic.write_file(path, text.encode())
    return path
