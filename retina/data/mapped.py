"""Large arrays of a file as they lie there: mapped, and read where they are touched.

What cannot be mapped, because it is compressed or cut into chunks, is written once
beside the other derived files, a piece at a time, and mapped from there.
"""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
import zipfile
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
from numpy.lib import format as npy_format

from retina import atomic, resources
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
        return _written(path, name, dtype, shape, _read(file, dtype, shape))


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
    return _written(path, str(found.name), found.dtype, found.shape, rows)


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


def _written(
    path: Path,
    name: str,
    dtype: np.dtype,
    shape: tuple[int, ...],
    pieces: Iterator[np.ndarray],
) -> np.ndarray:
    """The map of a derived file with these numbers, made where it is not there yet."""
    state = path.stat()
    said = repr((str(path.resolve()), state.st_size, state.st_mtime_ns, name))
    folder = resources.derived() / "movies"
    place = folder / f"{hashlib.sha256(said.encode()).hexdigest()[:16]}.npy"
    if not place.is_file():
        size = int(np.prod(shape)) * dtype.itemsize
        logging.getLogger("retina").warning(
            "%s: %s is packed: it is written once, plain, to %s (%.3g GB)",
            path,
            name,
            place,
            size / 1e9,
        )
        with atomic.explained(place):
            folder.mkdir(parents=True, exist_ok=True)
            partial = place.with_name(f".{place.name}.{secrets.token_hex(6)}")
            try:
                with open(partial, "wb") as file:
                    about = {"descr": npy_format.dtype_to_descr(dtype)}
                    about |= {"fortran_order": False, "shape": shape}
                    npy_format.write_array_header_1_0(file, about)
                    for piece in pieces:
                        file.write(np.ascontiguousarray(piece).data)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(partial, place)
            finally:
                partial.unlink(missing_ok=True)
    return np.load(place, mmap_mode="r", allow_pickle=False)
