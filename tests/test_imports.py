"""Importing costs nothing, and a folder imports only from the rows above it."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import retina

PACKAGE = Path(retina.__file__).parent
# Top-level modules are the first row. `start` lies above `models`, so a model may take
# its warm start from there.
ROWS = (
    ("data", "circuit", "layers", "metrics", "costs"),
    ("models", "fitting"),
    ("reduction", "templates"),
    ("search", "probes"),
    ("reports", "cli"),
)
FILES = sorted(PACKAGE.rglob("*.py"))


def _row(folder: str) -> int:
    return next(i for i, row in enumerate(ROWS) if folder in row)


def _folders_imported(file: Path) -> set[str]:
    """Folders of the package that a file imports from, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import, line {node.lineno}"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] == "retina" and (PACKAGE / Path(*parts[1:2])).is_dir():
                found.update(parts[1:2])
    return found


@pytest.mark.parametrize(
    "file", FILES, ids=[str(file.relative_to(PACKAGE)) for file in FILES]
)
def test_imports_point_upwards(file: Path):
    folder = file.relative_to(PACKAGE).parts[0]
    if not (PACKAGE / folder).is_dir():
        if folder in ("build.py", "store.py", "registry.py", "__init__.py"):
            return  # they find things by name, whatever row those are in
        if folder == "__main__.py":
            return  # it starts the command
        assert not _folders_imported(file)
        return
    below = {one for one in _folders_imported(file) if _row(one) > _row(folder)}
    assert not below, f"{folder} may not import from {sorted(below)}"


def test_every_folder_has_a_row_and_is_a_package():
    folders = {
        file.relative_to(PACKAGE).parts[0] for file in FILES if file.parent != PACKAGE
    }
    for folder in folders:
        assert any(folder in row for row in ROWS), f"{folder} has no row"
    for file in FILES:
        if "templates" not in file.parts:
            assert (file.parent / "__init__.py").is_file(), f"{file.parent}"


def _python(script: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        cwd=PACKAGE.parent,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_retina_imports_nothing_heavy():
    loaded = _python("import sys, retina; print(*sys.modules)").split()
    assert not {"jax", "numpy", "scipy", "flax", "h5py", "matplotlib"} & set(loaded)


def test_help_imports_nothing_heavy():
    script = """
import sys
sys.argv = ["retina", "--help"]
from retina.cli.main import run
try:
    run()
except SystemExit:
    print(*sys.modules)
"""
    loaded = _python(script).split()
    assert "typer" in loaded
    assert not {"jax", "scipy", "flax", "h5py", "matplotlib"} & set(loaded)


@pytest.mark.parametrize("name", sorted(set(retina.__all__) - {"__version__"}))
def test_every_public_name_exists_and_is_documented(name: str):
    assert name in dir(retina)
    assert getattr(retina, name).__doc__


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'fitt'"):
        retina.fitt  # noqa: B018


def test_no_two_verbs_and_folders_share_a_name():
    """`retina.fit` the verb and `retina/fit/` would fight over one attribute."""
    places = {path.stem for path in PACKAGE.iterdir()}
    assert not places & set(retina.__all__)
