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
    source: Annotated[
        list[Path] | None,
        typer.Option("--from", help="A recording's file; once for each of several."),
    ] = None,
) -> None:
    """Write a template that already passes its contract; or a card for your files."""
    if kind not in TEMPLATES:
        raise UnknownName(f"no template for {kind!r}: {nearest(kind, TEMPLATES)}")
    if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_"):
        raise BadSetting(
            f"{name!r} cannot be a file's name and a function's: use letters, digits "
            "and _, such as my_" + kind
        )
    if name in registry.names(kind + "s"):
        raise BadSetting(f"there is a {kind} {name!r} already: choose another name")
    if source:
        _proposed(kind, name, source)
        return
    written = [
        _write(template, folder / places[0 if _is_checkout(folder) else 1], name)
        for template, places in TEMPLATES[kind].items()
    ]
    for path in written:
        print(f"wrote {path}")
    path = written[0]
    word = f".{os.sep}{path}" if len(path.parts) == 1 else path
    print("next: " + NEXT[kind].format(path=word, folder=path.parent))


def _proposed(kind: str, name: str, source: list[Path]) -> None:
    """A card beside the files, where the readers look for them."""
    if kind != "dataset":
        raise typer.BadParameter("--from belongs to: retina new dataset NAME")
    from retina.data.proposal.draft import draft
    from retina.data.proposal.text import FILL, LOOK

    path = source[0].parent / f"{name}.toml"
    if path.exists():
        raise UnwritableFolder(f"{path} exists: choose another name, or delete it")
    text = draft(name, source)
    atomic.write_file(path.absolute(), text.encode())
    fill, look = text.count(FILL.strip()), text.count(LOOK.strip())
    word = f".{os.sep}{path}" if len(path.parts) == 1 else path
    print(f"wrote {word}: {fill} blanks to fill in, {look} guesses to look at")
    print(f"next: retina check {word}")


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
