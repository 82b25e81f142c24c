"""Where cards, experiments and cached recordings lie on this machine."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

from retina.errors import UnknownName, nearest

_PACKAGE = Path(__file__).parent
_LINE = {"datasets": "title", "experiments": "question"}
_WANTED = {"datasets": "a .toml card", "experiments": "a folder with experiment.toml"}


def folders(kind: str) -> list[Path]:
    """Existing folders that may hold things of a kind, the first one wins.

    kind:    "datasets" or "experiments".
    returns: those on $RETINA_PATH, then the installed wheel's, then the checkout's.

    >>> folders("datasets")[-1].name
    'datasets'
    """
    listed = os.environ.get("RETINA_PATH", "")
    roots = [Path(word).expanduser() for word in listed.split(os.pathsep) if word]
    found = [place for root in roots for place in (root, root / kind)]
    found += [_PACKAGE / "_shipped" / kind]
    # A checkout (or an editable install of one) has no _shipped folder: the originals
    # lie beside the package.
    if (_PACKAGE.parent / "pyproject.toml").is_file():
        found += [_PACKAGE.parent / kind]
    return [place for place in found if place.is_dir()]


def names(kind: str) -> list[str]:
    """Every data set or experiment that can be named, sorted.

    >>> "simulated" in names("datasets")
    True
    """
    return sorted(_all(kind))


def path(kind: str, name: str) -> Path:
    """The card (a file) or the experiment (a folder) of that name.

    kind:   "datasets" or "experiments".
    name:   a bare name, or the path of a .toml card or of an experiment's folder.
    raises: UnknownName with the nearest names.

    >>> path("datasets", "simulated").name
    'simulated.toml'
    """
    known = _all(kind)
    if name in known:
        return known[name]
    given = Path(name).expanduser()
    if kind == "datasets" and given.suffix == ".toml" and given.is_file():
        return given
    if kind == "experiments" and (given / "experiment.toml").is_file():
        return given
    if kind == "experiments" and given.name == "experiment.toml" and given.is_file():
        return given.parent
    _check_there(kind, name, given)
    singular = kind.removesuffix("s")
    if kind == "datasets" and Path(f"{name}.toml").is_file():
        raise UnknownName(
            f"no {singular} {name!r}; there is a file {name}.toml: write {name}.toml"
        )
    raise UnknownName(
        f"no {singular} {name!r}: {nearest(name, known)} "
        f"(retina list {kind}; or give the path of {_WANTED[kind]})"
    )


def _check_there(kind: str, name: str, given: Path) -> None:
    """raises: UnknownName for the path of a card that is not there."""
    if kind != "datasets" or given.suffix != ".toml":
        return
    folder = given.parent
    cards = [str(card) for card in sorted(folder.glob("*.toml"))]
    hint = nearest(name, cards) if cards else f"no .toml file lies in {folder}"
    if not folder.is_dir():
        hint = f"there is no folder {folder} either"
    raise UnknownName(f"there is no file {name}: {hint}")


def line(kind: str, name: str) -> str:
    """A card's title or an experiment's question, "" where it cannot be read.

    >>> line("datasets", "simulated")[:24]
    'Twelve simulated ganglio'
    """
    file = path(kind, name)
    file = file / "experiment.toml" if file.is_dir() else file
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # what is wrong with it, `retina show` says
        return ""
    return str(table.get(_LINE[kind], ""))


def cache() -> Path:
    """The folder of downloaded recordings: $RETINA_CACHE, else the user's cache.

    It may be read-only, and it may not exist yet.
    """
    named = os.environ.get("RETINA_CACHE", "")
    return Path(named).expanduser().absolute() if named else _user_cache()


def derived() -> Path:
    """A folder for what is computed from recordings; who writes into it makes it.

    returns: `cache()` where that can be written, else the user's own cache.
    """
    place = cache()
    return place if _writable(place) else _user_cache()


def _user_cache() -> Path:
    import pooch  # 0.1 s, and `import retina` should not pay for it

    return Path(pooch.os_cache("retina"))


def _writable(place: Path) -> bool:
    while not place.exists():
        place = place.parent
    # The administrator may write anywhere; a folder without any write bit still says
    # that it is to be left as it is.
    mode = place.stat().st_mode
    return place.is_dir() and bool(mode & 0o222) and os.access(place, os.W_OK)


def _all(kind: str) -> dict[str, Path]:
    if kind not in _WANTED:
        raise UnknownName(f"no resources of kind {kind!r}: {nearest(kind, _WANTED)}")
    found: dict[str, Path] = {}
    for folder in folders(kind):
        if kind == "datasets":
            # A folder on $RETINA_PATH may itself be an experiment's.
            here = {
                card.stem: card
                for card in sorted(folder.glob("*.toml"))
                if card.name not in ("experiment.toml", "pyproject.toml")
            }
        else:
            here = {
                file.parent.name: file.parent
                for file in sorted(folder.glob("*/experiment.toml"))
            }
        found = here | found
    return found
