"""A run that is being made: what was asked for, beside what the fit goes on from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from retina import atomic
from retina.errors import BrokenRun, UnwritableFolder

CHECKPOINT, ASKED = "checkpoint", "asked.json"


def place_of(folder: Path) -> Path:
    """Where a run is made before it is whole."""
    return folder.parent / f"{folder.name}.partial"


def begun(partial: Path, asked: Mapping[str, Any]) -> bool:
    """Whether this run was begun before; now it is.

    raises: BrokenRun where another was begun there; UnwritableFolder for what is no
            run.
    """
    from retina import store

    if (partial / ASKED).exists():
        compare(partial, store.loads((partial / ASKED).read_text()), asked)
        return True
    with atomic.explained(partial):
        if partial.exists() and any(partial.iterdir()):
            raise UnwritableFolder(
                f"{partial} holds something that is not a fit that was begun: move it, "
                "or name another --out"
            )
    with atomic.new_folder(partial) as made:
        (made / ASKED).write_text(store.dumps(asked))
    return False


def finished(folder: Path, asked: Mapping[str, Any]) -> bool:
    """Whether the run is there already.

    raises: BrokenRun where another is there; UnwritableFolder for what is no run.
    """
    from retina import store

    with atomic.explained(folder):
        atomic.recover(folder)
        if not folder.exists() or not any(folder.iterdir()):
            return False
        if not (folder / store.RECORD).is_file():
            raise UnwritableFolder(
                f"{folder} holds something that is not a run: name another --out"
            )
    compare(folder, store.read(folder).get("asked"), asked)
    return True


def compare(folder: Path, earlier: Any, asked: Mapping[str, Any]) -> None:
    """Raises BrokenRun where a folder holds another fit than the one asked for."""
    from retina import store

    now = store.loads(store.dumps(asked))
    if earlier == now:
        return
    if not isinstance(earlier, dict):
        raise BrokenRun(f"{folder} was not made by retina fit: name another --out")
    pairs = {**_flat(earlier), **_flat(now)}
    differ = [
        f"{name} {_flat(earlier).get(name)!r} there, {_flat(now).get(name)!r} here"
        for name in pairs
        if _flat(earlier).get(name) != _flat(now).get(name)
    ]
    raise BrokenRun(
        f"{folder} is another fit ({'; '.join(differ)}): name another --out, or delete "
        "it"
    )


def _flat(table: Mapping[str, Any]) -> dict[str, Any]:
    flat = {}
    for name, value in table.items():
        flat.update(value if isinstance(value, dict) else {name: value})
    return flat
