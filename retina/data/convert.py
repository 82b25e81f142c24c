"""The verb `convert`: a pickle's arrays, as an npz that can run nothing."""

from __future__ import annotations

import itertools
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy_format

from retina import atomic
from retina.data.unpickled import Array, called, opened
from retina.errors import BadSetting, MissingData, RetinaError, UnreadableFile

_MOST = 10_000  # containers, arrays and numbers of one file
_UNNAMED = re.compile(r"[/\\\x00\ud800-\udfff]")  # what no file in a zip is named
_LONGEST = 1000  # letters of a name


def convert(source: str | Path, out: str | Path, *, trust: bool = False) -> list[str]:
    """Writes the arrays and numbers of a pickle into an npz file.

    source: a pickle of arrays, numbers, text, lists, tuples and dicts of these.
    out:    the npz. What lies in dicts and lists is named by its keys and places, with
            dots between: "trial_separation.2022".
    trust:  without it nothing is read but the names of what the pickle would call.
    returns: a line for each array, or, without `trust`, for each name.
    raises:  UnreadableFile that names the first thing in it that is not an array or a
             plain container; MissingData; BadSetting.

    >>> convert("no.pkl", "no.npz")
    Traceback (most recent call last):
    retina.errors.MissingData: there is no no.pkl
    """
    path, place = Path(source).expanduser(), Path(out).expanduser()
    if not path.is_file():
        raise MissingData(f"there is no {path}")
    if place.suffix != ".npz":
        raise BadSetting(f"--out {place}: name a file that ends in .npz")
    if not trust:
        return called(path)
    try:
        named = _named(opened(path))
    except RetinaError:
        raise
    except MemoryError:
        raise UnreadableFile(f"{path} holds more than fits into memory") from None
    except Exception as error:  # unpickling raises whatever kind it likes
        said = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise UnreadableFile(f"{path} is not a readable pickle ({said})") from None
    if not named:
        raise UnreadableFile(f"{path} holds no array")
    with atomic.explained(place):
        place.parent.mkdir(parents=True, exist_ok=True)
        aside = place.with_name(f".{place.name}.part.npz")
        try:
            _write(aside, named)
            aside.replace(place)
        finally:
            aside.unlink(missing_ok=True)
    return [f"{key}: {each.dtype} {each.shape}" for key, each in named.items()]


def _named(held: Any) -> dict[str, np.ndarray]:
    """raises: UnreadableFile where two arrays would have one name."""
    named: dict[str, np.ndarray] = {}
    for name, each in _flat("", held, 0, itertools.count()):
        if name in named:
            raise UnreadableFile(
                f"two arrays would be named {name[:60]!r}, and one of them lost: save "
                "them under other names with numpy.savez, where you trust the file"
            )
        named[name] = each
    return named


def _write(path: Path, named: dict[str, np.ndarray]) -> None:
    """As `numpy.savez` does, whose own arguments no array may be named after."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, each in named.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                npy_format.write_array(file, each, allow_pickle=False)


def _flat(
    name: str, held: Any, depth: int, count: Iterator[int]
) -> Iterator[tuple[str, np.ndarray]]:
    """Each array of nested containers, by the keys and places that lead to it.

    count: of all that was looked at: a few bytes may hold one list many times over.
    """
    if next(count) >= _MOST:
        raise UnreadableFile(f"the pickle holds more than {_MOST} things")
    if len(name) > _LONGEST:
        raise UnreadableFile(f"a name of {len(name)} letters: {name[:60]}")
    if depth > 20:
        raise UnreadableFile(f"{name[:60]}: dicts within dicts, 20 deep")
    if isinstance(held, Array):
        held = held.made
    if isinstance(held, np.ndarray | bool | int | float | complex | str):
        found = np.asarray(held)
        if found.dtype.kind == "O":
            raise UnreadableFile(f"{name or 'the pickle'} is a number beyond 64 bits")
        yield name or "array", found
        return
    if isinstance(held, dict):
        items = list(held.items())
    elif isinstance(held, list | tuple | set | frozenset):
        items = list(enumerate(held))
        if items and all(isinstance(one, bool | int | float | str) for _, one in items):
            kinds = {str if isinstance(one, str) else float for _, one in items}
            found = np.array([one for _, one in items]) if len(kinds) == 1 else None
            if found is not None and found.dtype.kind != "O":
                yield name or "array", found
                return
    elif held is None:
        return
    else:
        raise UnreadableFile(
            f"{name or 'the pickle'} is {type(held).__name__}, neither an array of "
            "numbers nor a plain container"
        )
    for key, one in items:
        if not isinstance(key, str | int | float):
            raise UnreadableFile(f"{name or 'the pickle'} has the key {key!r}: no text")
        word = _UNNAMED.sub("_", str(key)).strip(".")
        path = f"{name}.{word}" if name else word or "_"
        yield from _flat(path, one, depth + 1, count)
