"""Large arrays of a file as they lie there: mapped, and read where they are touched.

What cannot be mapped, because it is compressed, cut into chunks or put together from
other arrays, is written once beside the other derived files, a piece at a time, and
mapped from there. To put a movie together anew for each clip would take no disk, but
the time of it in every epoch, and a second kind of array wherever one is taken.
"""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
import shutil
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import h5py
import numpy as np
from numpy.lib import format as npy_format

from retina import atomic, lock, resources
from retina.errors import BadStimulus, UnreadableFile, UnwritableFolder
from retina.movie import LARGE, PIECE, mapped, release, rows_of


def npy(path: Path, *, always: bool = False) -> np.ndarray:
    """The array of an .npy file, mapped where it is large, or always.

    raises: UnreadableFile.
    """
    try:
        large = always or path.stat().st_size > LARGE
        return np.load(path, mmap_mode="r" if large else None, allow_pickle=False)
    except Exception as error:  # numpy raises many kinds on a damaged header
        said = " ".join(str(error).split())[:200]
        raise UnreadableFile(f"{path} is not a readable npy file: {said}") from None


def of_npz(path: Path, store: np.lib.npyio.NpzFile, name: str) -> np.ndarray:
    """One array of an open npz file.

    path: of the file. name: of the array, one of ``store.files``.
    """
    archive: zipfile.ZipFile = store.zip  # type: ignore[assignment]
    member = name + ".npy"
    if member not in archive.namelist():
        return store[name]
    info = archive.getinfo(member)
    if info.file_size <= LARGE:
        return store[name]
    with archive.open(info) as file:
        shape, fortran, dtype = header(file)
        if fortran or dtype.hasobject or not shape:
            return store[name]
        if info.compress_type == zipfile.ZIP_STORED:
            begin = _begin(path, info)
            offset = begin + file.tell()
            return np.memmap(path, dtype, "r", offset, shape)
        return _unpacked(path, name, dtype, shape, _read(file, dtype, shape))


def of_hdf5(found: h5py.Dataset) -> np.ndarray:
    """One array of an open HDF5 file.

    raises: UnwritableFolder where its copy cannot be written.
    """
    if found.nbytes <= LARGE or not found.shape:
        return np.asarray(found[()])
    path, offset = Path(found.file.filename), found.id.get_offset()
    if offset is not None and found.dtype.kind in "biuf" and not found.external:
        return np.memmap(path, found.dtype, "r", offset, found.shape)
    each = max(1, PIECE // max(1, int(np.prod(found.shape[1:]))))
    if found.chunks:  # whole chunks, or each would be unpacked many times
        each = -(-each // found.chunks[0]) * found.chunks[0]
    rows = (found[at : at + each] for at in range(0, found.shape[0], each))
    return _unpacked(path, str(found.name), found.dtype, found.shape, rows)


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
        return _written(repr(key), what, dtype, shape, pieces)
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


def taken(stimulus: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """stimulus[rows], without holding it in memory where the stimulus is not.

    raises: UnwritableFolder.
    """
    if not _of_file(stimulus):
        return stimulus[rows]
    each = rows_of(stimulus, PIECE)

    def pieces() -> Iterator[np.ndarray]:
        for at in range(0, len(rows), each):
            yield np.asarray(stimulus[rows[at : at + each]])
            release(stimulus)

    shape = (len(rows), *stimulus.shape[1:])
    key = ("rows", 1, place(stimulus), digest(rows))
    return composed(key, "a movie on another clock", stimulus.dtype, shape, pieces())


def averaged(stimulus: np.ndarray, frames: int) -> np.ndarray:
    """Means over so many rows each, float32, as `taken` takes rows.

    raises: UnwritableFolder.
    """
    bins = len(stimulus) // frames

    def mean(rows: np.ndarray) -> np.ndarray:
        shape = (len(rows) // frames, frames, *rows.shape[1:])
        return rows.reshape(shape).mean(1, dtype=np.float32)

    if not _of_file(stimulus):
        return mean(stimulus)
    each = max(1, rows_of(stimulus, PIECE) // frames) * frames

    def pieces() -> Iterator[np.ndarray]:
        for at in range(0, bins * frames, each):
            yield mean(np.asarray(stimulus[at : at + each]))
            release(stimulus)

    key = ("means", 1, place(stimulus), frames)
    shape, kind = (bins, *stimulus.shape[1:]), np.dtype(np.float32)
    return composed(key, "a movie on a slower clock", kind, shape, pieces())


def _of_file(stimulus: np.ndarray) -> bool:
    """Whether the numbers are those of a file; a private mapping may hold others."""
    return mapped(stimulus) and stimulus.mode != "c"  # type: ignore[attr-defined]


def place(stimulus: np.ndarray) -> tuple[object, ...]:
    """Which numbers of which file a mapped array, or a view of it, shows."""
    of: np.memmap = stimulus  # type: ignore[assignment]
    begin = np.frombuffer(of._mmap, np.uint8).ctypes.data  # type: ignore[attr-defined]
    at = stimulus.__array_interface__["data"][0] - begin
    laid = (stimulus.shape, stimulus.strides, stimulus.dtype.str)
    return *state(Path(str(of.filename))), of.offset, at, *laid


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


def header(file) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, whether the first axis is the fastest, and dtype of an open .npy file."""
    version = npy_format.read_magic(file)
    if version == (1, 0):
        return npy_format.read_array_header_1_0(file)
    return npy_format.read_array_header_2_0(file)


def _begin(path: Path, info: zipfile.ZipInfo) -> int:
    """Where in a zip file the bytes of a member begin: behind its local header."""
    with open(path, "rb") as file:
        file.seek(info.header_offset + 26)
        lengths = np.frombuffer(file.read(4), "<u2")
    return info.header_offset + 30 + int(lengths.sum())


def _read(file, dtype: np.dtype, shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    left = int(np.prod(shape))
    while left:
        data = file.read(min(left, PIECE) * dtype.itemsize)
        if not data:
            raise EOFError(f"it ends {left} numbers early")
        yield np.frombuffer(data, dtype)
        left -= len(data) // dtype.itemsize


def _unpacked(
    path: Path,
    name: str,
    dtype: np.dtype,
    shape: tuple[int, ...],
    pieces: Iterable[np.ndarray],
) -> np.ndarray:
    said = repr((*state(path), name))
    return _written(said, f"{path}: {name} is packed: it", dtype, shape, pieces)


def _written(
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
