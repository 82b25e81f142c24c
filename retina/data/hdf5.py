"""Arrays of an HDF5 file, MATLAB's v7.3 among them, and nothing but arrays of it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from h5py import h5o  # pyright: ignore[reportAttributeAccessIssue]

from retina.data.below import below
from retina.data.mapped import of_hdf5
from retina.errors import (
    MissingData,
    RetinaError,
    ShapeMismatch,
    UnreadableFile,
    nearest,
)

# The filters of HDF5 shrink constant bytes about a thousand times; an array far larger
# than its file is the size of a damaged number.
_RATIO, _SMALL = 2000, 1 << 22
MANY = 10_000  # arrays of a file that are looked at


@contextlib.contextmanager
def opened(folder: Path, name: object) -> Iterator[h5py.File]:
    """An HDF5 file of a data set, open for reading.

    raises: UnreadableFile, also for whatever goes wrong while it is open; MissingData
            where it is not there.
    """
    path = below(folder, name)
    if not path.is_file():
        raise MissingData(f"there is no {path}: name the file in the card as it lies")
    try:
        with h5py.File(path, "r") as store:
            yield store
    except RetinaError:
        raise
    except MemoryError:
        raise UnreadableFile(
            f"{path} holds more than fits into memory: take fewer cells or blocks, "
            "or fetch it again"
        ) from None
    except Exception as error:  # h5py raises many kinds on damaged files
        said = " ".join(str(error).split())[:200]
        raise UnreadableFile(
            f"{path} is not a readable HDF5 file ({said}): fetch it again"
        ) from None


def array(
    store: h5py.File, name: object, axes: str = "", *, rows: slice | None = None
) -> np.ndarray:
    """One array of numbers; a large one is mapped: see `retina.data.mapped`.

    name:   its path in the file.
    axes:   the names of its axes, such as "cell, frame", to be told where the number
            of them differs; "" for any number.
    rows:   of the first axis; None for all.
    raises: UnreadableFile where it is not there, is no array of numbers, or lies
            outside the file; ShapeMismatch for another number of axes.
    """
    found = store.get(name) if isinstance(name, str) and name else None
    if not isinstance(found, h5py.Dataset):
        known = nearest(str(name), names(store))
        raise UnreadableFile(f"{store.filename} has no array {name!r}: {known}")
    if found.file.filename != store.filename or found.external or found.is_virtual:
        raise UnreadableFile(
            f"{store.filename}: {name!r} is a link to another file: copy its numbers "
            "into this one"
        )
    if found.dtype.kind not in "biuf":
        raise UnreadableFile(
            f"{store.filename}: {name!r} is {found.dtype}, not an array of numbers"
        )
    wanted = [word.strip() for word in axes.split(",")] if axes else []
    if wanted and found.ndim != len(wanted):
        raise ShapeMismatch(
            f"{store.filename}: {name!r} has shape {found.shape}, not the axes ({axes})"
        )
    if found.nbytes > _SMALL + _RATIO * found.id.get_storage_size():
        raise UnreadableFile(
            f"{store.filename}: {name!r} claims the shape {found.shape}, far more than "
            "the file holds: it is damaged, fetch it again"
        )
    return of_hdf5(found) if rows is None else np.asarray(found[rows])


def names(store: h5py.File | h5py.Group, most: int = 200) -> list[str]:
    """Paths of the arrays of a file or group, the first so many.

    Without those that MATLAB's cell arrays refer to.
    """
    found: list[str] = []

    def visit(name: str, item: Any) -> bool | None:
        if isinstance(item, h5py.Dataset) and not name.startswith("#refs#/"):
            found.append(name)
        return True if len(found) >= most else None

    store.visititems(visit)
    return found


def every_name(store: h5py.File | h5py.Group) -> list[str]:
    """Paths of all arrays of a file or group.

    raises: UnreadableFile where they are too many to be looked at.
    """
    found = names(store, MANY + 1)
    if len(found) > MANY:
        raise UnreadableFile(
            f"{store.file.filename}: {store.name} holds more than {MANY} arrays: put "
            "those of the cells into a group, or a file, of their own"
        )
    return found


def group(store: h5py.File, name: str) -> h5py.Group | None:
    """A group of the file itself, None where there is none of that name."""
    found = store.get(name)
    if isinstance(found, h5py.Group) and found.file.filename == store.filename:
        return found
    return None


def contained(store: h5py.File) -> None:
    """raises: UnreadableFile where anything in a file lies in another one."""

    def visit(place: h5py.Group) -> None:
        for key in place:
            link = place.get(key, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                raise UnreadableFile(
                    f"{store.filename}: {place.name}/{key} is a link to another file, "
                    f"{link.filename}: copy it into this one"
                )
            if not isinstance(link, h5py.HardLink):
                continue  # a soft link leads to what is looked at in its own place
            item = place[key]
            address = h5o.get_info(item.id).addr
            if address in seen:
                continue
            seen.add(address)
            if isinstance(item, h5py.Group):
                visit(item)
            elif isinstance(item, h5py.Dataset) and (item.external or item.is_virtual):
                raise UnreadableFile(
                    f"{store.filename}: {item.name} lies in another file: copy it here"
                )

    seen: set[int] = set()
    visit(store)
