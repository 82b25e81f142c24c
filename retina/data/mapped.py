"""Large arrays of a file as they lie there: mapped, and read where they are touched.

What cannot be mapped, because it is compressed or cut into chunks, is written once, a
piece at a time, and mapped from there: see `retina.data.written`.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import h5py
import numpy as np
from numpy.lib import format as npy_format

from retina.data.written import once, state
from retina.errors import UnreadableFile
from retina.movie import LARGE, PIECE


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
    return once(said, f"{path}: {name} is packed: it", dtype, shape, pieces)
