"""Derived arrays that are written once beside the other derived files, and mapped.

To put a movie together anew for each clip would take no disk, but the time of it in
every epoch, and a second kind of array wherever one is taken.
"""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.lib import format as npy_format

from retina import atomic, lock, resources
from retina.errors import BadStimulus, UnwritableFolder
from retina.movie import LARGE


def composed(
    key: object,
    what: str,
    dtype: np.dtype,
    shape: tuple[int, ...],
    pieces: Iterable[np.ndarray],
) -> np.ndarray:
    """An array that is put together from pieces: a large one is written, and mapped.

    key:    whatever the numbers follow from; its `repr` tells one array from another.
            One of its words counts up whenever what makes them is changed.
    what:   it is, for who waits.
    pieces: its rows in order; not asked for where they were written before.
    raises: UnwritableFolder, before a byte is written where there is no room;
            BadStimulus where a piece's numbers are of another kind.

    >>> composed("a", "a movie", np.dtype("f4"), (3,), [np.ones(2), np.zeros(1)])
    array([1., 1., 0.], dtype=float32)
    """
    pieces = _of_kind(dtype, pieces, what)
    if int(np.prod(shape)) * dtype.itemsize > LARGE:
        return once(repr(key), what, dtype, shape, pieces)
    made, at = np.empty(shape, dtype), 0
    for piece in pieces:
        made[at : at + len(piece)] = piece
        at += len(piece)
    return made


def _of_kind(
    dtype: np.dtype, pieces: Iterable[np.ndarray], what: str
) -> Iterator[np.ndarray]:
    for piece in pieces:
        if not np.can_cast(piece.dtype, dtype, "same_kind"):
            raise BadStimulus(
                f"{what} is of {dtype}, but some of its frames are {piece.dtype}: "
                "bring all to one type of number and one scale"
            )
        yield piece


def state(path: Path) -> tuple[str, int, int]:
    """Which file, as it is now."""
    now = path.stat()
    return str(path.resolve()), now.st_size, now.st_mtime_ns


def digest(values: np.ndarray) -> str:
    """Of an array's numbers, their type and its shape.

    >>> digest(np.zeros(2)) == digest(np.zeros((1, 2)))
    False
    """
    told = hashlib.sha256(repr((values.shape, values.dtype.str)).encode())
    told.update(np.ascontiguousarray(values).data)
    return told.hexdigest()


def once(
    said: str,
    what: str,
    dtype: np.dtype,
    shape: tuple[int, ...],
    pieces: Iterable[np.ndarray],
) -> np.ndarray:
    """The map of a derived file with these numbers, made where it is not there yet.

    By one process; others that want it meanwhile wait for it.
    """
    folder = resources.derived() / "movies"
    place = folder / f"{hashlib.sha256(said.encode()).hexdigest()[:16]}.npy"
    if not place.is_file():
        with lock.in_turn(folder / f".{place.stem}.lock"):
            if not place.is_file():  # nor did who was before make it
                _write(place, what, dtype, shape, pieces)
    return np.load(place, mmap_mode="r", allow_pickle=False)


def _write(
    place: Path,
    what: str,
    dtype: np.dtype,
    shape: tuple[int, ...],
    pieces: Iterable[np.ndarray],
) -> None:
    size = int(np.prod(shape)) * dtype.itemsize
    logging.getLogger("retina").warning(
        "%s is written once, plain, to %s (%.3g GB)", what, place, size / 1e9
    )
    with atomic.explained(place):
        # A process that was killed left its part.
        for left in place.parent.glob(f".{place.name}.*"):
            left.unlink(missing_ok=True)
        free = shutil.disk_usage(place.parent).free
        if size > free:
            raise UnwritableFolder(
                f"cannot write {place}: it takes {size / 1e9:.3g} GB and "
                f"{free / 1e9:.3g} GB are free; free some space, or set "
                "RETINA_CACHE to a folder on a larger disk"
            )
        partial = place.with_name(f".{place.name}.{secrets.token_hex(6)}")
        try:
            with open(partial, "wb") as file:
                about = {"descr": npy_format.dtype_to_descr(dtype)}
                about |= {"fortran_order": False, "shape": shape}
                npy_format.write_array_header_1_0(file, about)
                for piece in pieces:
                    file.write(np.ascontiguousarray(piece, dtype).data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, place)
        finally:
            partial.unlink(missing_ok=True)
