"""The path of a file below a data set's folder, and of none outside it."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from retina.errors import BadCard, UnreadableFile

_PICKLED = (".pkl", ".pickle", ".p", ".joblib", ".dill")


def below(folder: Path, name: object, *, pickled: bool = False) -> Path:
    """Where a file that a card names lies, whether or not it is there.

    folder:  of the data set. It may itself be a link to another disk.
    name:    relative, with forward slashes.
    pickled: whether it may be a pickle: where it is copied, not opened.
    raises:  BadCard where the name, or a link on the way, leaves the folder;
             UnreadableFile for a pickle, which may run anything when it is opened.

    >>> below(Path("/data/set"), "a/../../../etc/passwd")
    Traceback (most recent call last):
    retina.errors.BadCard: 'a/../../../etc/passwd' leaves the data set's folder ...
    """
    if not isinstance(name, str) or not name or "\0" in name:
        raise BadCard(f"{name!r} is not the name of a file: write it as text")
    path = PurePosixPath(name)
    # Windows reads a backslash or a colon as the start of another folder.
    if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name:
        raise BadCard(f"{name!r} leaves the data set's folder {folder}: name it below")
    place = folder / path
    if not place.resolve().is_relative_to(folder.resolve()):
        raise BadCard(
            f"{place} is a link to {place.resolve()}, outside the data set's folder: "
            "copy the file there"
        )
    if not pickled and (place.suffix.lower() in _PICKLED or _is_pickle(place)):
        raise UnreadableFile(
            f"{place} is a pickle, which can run any code when it is opened: type "
            f"`retina convert {place} --out {place.with_suffix('.npz')} --trust` and "
            "name the npz in the card"
        )
    return place


def _is_pickle(place: Path) -> bool:
    """By the first two bytes of protocol 2 and later; no format read here has them."""
    if not place.is_file():
        return False
    with open(place, "rb") as file:
        head = file.read(2)
    return len(head) == 2 and head[0] == 0x80 and 2 <= head[1] <= 5
