"""Finds models, metrics, readers, ... by the name of their file; there is no table."""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from retina import resources
from retina.errors import UnknownName, nearest

# A plug-in is a file in its kind's folder that defines a function of the file's name.
PACKAGES = {
    "models": "retina.models",
    "metrics": "retina.metrics",
    "readers": "retina.data.readers",
    "reductions": "retina.reduction",
    "executors": "retina.search.executors",
    "loggers": "retina.fitting.loggers",
}
RESOURCES = ("datasets", "experiments")
SOURCE = "__retina_source__"
KINDS = tuple(sorted((*PACKAGES, *RESOURCES)))


def names(kind: str) -> list[str]:
    """The names that `find` knows, sorted; nothing is imported to make the list.

    kind:   one of `KINDS`.
    raises: UnknownName for another kind.

    >>> "ln" in names("models")
    True
    """
    _check(kind)
    if kind in RESOURCES:
        return resources.names(kind)
    return sorted(set(_files(kind)) | set(_entries(kind)))


def lines(kind: str) -> dict[str, str]:
    """The names of `names`, each with the first line that its file says of it.

    A plug-in's docstring, a card's title, an experiment's question; "" where there is
    none or the file cannot be read. Nothing is imported.

    >>> lines("metrics")["bits_per_spike"][:21]
    'Poisson log-likelihoo'
    """
    if kind in RESOURCES:
        return {name: resources.line(kind, name) for name in names(kind)}
    return {name: _line(_folder(kind) / f"{name}.py") for name in names(kind)}


def find(kind: str, name: str) -> Any:
    """The function behind a name; for data sets and experiments, their path.

    kind:    one of `KINDS`.
    name:    a file of the kind's folder, an entry point's name,
             "package.module:function", or "path/to/file.py[:function]".
    returns: a function, or a Path for "datasets" and "experiments".
    raises:  UnknownName with the nearest names.

    >>> find("metrics", "pearson").__name__
    'pearson'
    """
    _check(kind)
    if kind in RESOURCES:
        return resources.path(kind, name)
    if ":" in name or name.endswith(".py"):
        return _dotted(kind, name)
    if _is_plugin(_folder(kind) / f"{name}.py"):
        return getattr(importlib.import_module(f"{PACKAGES[kind]}.{name}"), name)
    entries = _entries(kind)
    if name in entries:
        return entries[name].load()
    if Path(f"{name}.py").is_file():
        raise UnknownName(
            f"no {kind.removesuffix('s')} {name!r}; there is a file {name}.py here: "
            f"write {name}.py"
        )
    raise UnknownName(
        f"no {kind.removesuffix('s')} {name!r}: {nearest(name, names(kind))} "
        f'(retina list {kind}; or "package.module:function", "path/to/file.py")'
    )


def source(kind: str, name: str) -> str:
    """sha256 of the file that a plug-in outside the package came from; "" of others.

    Who edits such a file has another plug-in of the same name.

    >>> source("models", "ln")
    ''
    """
    if ":" not in name and not name.endswith(".py"):
        return ""  # of the package or of another one, whose files nobody edits
    try:
        module = sys.modules.get(find(kind, name).__module__)
    except UnknownName:  # made by hand: it has no file to change
        return ""
    return getattr(module, SOURCE, "")


def _check(kind: str) -> None:
    if kind not in KINDS:
        raise UnknownName(f"no kind {kind!r}: {nearest(kind, KINDS)}")


def _folder(kind: str) -> Path:
    return Path(__file__).parent.joinpath(*PACKAGES[kind].split(".")[1:])


def _files(kind: str) -> list[str]:
    return [file.stem for file in _folder(kind).glob("*.py") if _is_plugin(file)]


def _is_plugin(file: Path) -> bool:
    """Whether a file of a kind's folder defines a function of the file's own name."""
    if file.stem.startswith("_") or not file.is_file():
        return False
    told = file.stat()
    return _defines(file, told.st_mtime_ns, told.st_size)


@functools.cache  # a sweep asks for each of its jobs
def _defines(file: Path, changed_ns: int, size: int) -> bool:
    try:
        body = ast.parse(file.read_text(encoding="utf-8"), str(file)).body
    except (SyntaxError, ValueError):
        # Named by `find`, so that it says what is wrong; not in the way of the others.
        return True
    return any(
        isinstance(node, ast.FunctionDef) and node.name == file.stem for node in body
    )


def _line(file: Path) -> str:
    """First line of the docstring of the function that a file is named for."""
    try:
        body = ast.parse(file.read_text(encoding="utf-8"), str(file)).body
    except (OSError, SyntaxError, ValueError):
        return ""  # of an installed package, or broken: `find` says how
    for node in body:
        if isinstance(node, ast.FunctionDef) and node.name == file.stem:
            return (ast.get_docstring(node) or "").partition("\n")[0]
    return ""


def _entries(kind: str) -> dict[str, Any]:
    return {entry.name: entry for entry in entry_points(group=f"retina.{kind}")}


def _dotted(kind: str, name: str) -> Callable[..., Any]:
    where, _, function = name.rpartition(":") if ":" in name else (name, "", "")
    if where.endswith(".py"):
        file = Path(where).expanduser()
        function = function or file.stem
    else:
        # "mylab:model" is mylab.py in the working directory where there is one; a
        # dotted name is always an installed module.
        file = Path(where + ".py")
    if file.is_file():
        module = _from_file(file.resolve())
    elif where.endswith(".py"):
        raise UnknownName(f"no file {where!r} to take a {kind.removesuffix('s')} from")
    else:
        module = _installed(where, name)
    found = getattr(module, function, None)
    if not callable(found):
        public = [
            key
            for key, value in vars(module).items()
            if callable(value) and getattr(value, "__module__", "") == module.__name__
        ]
        raise UnknownName(
            f"{where} has no function {function!r}: {nearest(function, public)}"
        )
    return found


def _installed(where: str, name: str) -> ModuleType:
    try:
        return importlib.import_module(where)
    except ModuleNotFoundError as error:
        # A module that exists but lacks one of its own imports is that module's error.
        if error.name and (where + ".").startswith(error.name + "."):
            raise UnknownName(
                f"no module {where!r} to take {name!r} from: give an installed "
                'module as "package.module:function" or a file as "file.py:function"'
            ) from None
        raise


def _from_file(file: Path) -> ModuleType:
    """Imports a file once, so that one name always means one function object."""
    name = f"retina_file_{file.stem}_{abs(hash(str(file))):x}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    module.__dict__[SOURCE] = hashlib.sha256(file.read_bytes()).hexdigest()
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
