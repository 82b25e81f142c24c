"""What lies in a file: its arrays, without reading more of them than must be."""

from __future__ import annotations

import csv
import dataclasses
import math
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from retina.data.below import below
from retina.data.extras import needed
from retina.data.hdf5 import array, every_name, opened
from retina.data.mapped import header
from retina.data.matlab import listed, variable
from retina.data.shown import is_hdf5
from retina.errors import BadSetting, MissingData, UnreadableFile

# Ending -> the reader of a card.
READERS = {
    **dict.fromkeys((".h5", ".hdf5"), "hdf5"),
    **{".npz": "npz", ".mat": "matlab5", ".nwb": "nwb"},
    **{".csv": "csv", ".parquet": "parquet", ".npy": ""},
}


@dataclasses.dataclass(frozen=True)
class Seen:
    """One array of numbers, or column of a table.

    file:  its name, beside the card.
    name:  in the file; "" for the one array of an npy file.
    shape: of a row, (its length,): MATLAB gives it two axes.
    kind:  numpy's letter of its numbers; "cell" of a MATLAB cell array.
    read:  () -> all its values, of that shape.
    turned: whether its axes lie the other way round than who wrote it has them, as
           those of MATLAB do in HDF5.
    """

    file: str
    name: str
    shape: tuple[int, ...]
    kind: str
    read: Callable[[], np.ndarray]
    turned: bool = False


def last(one: Seen) -> str:
    """The end of an array's name, or its file's, in small letters."""
    return re.split(r"[./]", one.name.lower())[-1] or one.file.lower()


def reader_of(path: Path) -> str:
    """The reader for a file by its ending; "" for one that only holds a stimulus.

    raises: BadSetting for another ending; MissingData where there is no such file.
    """
    if not path.is_file():
        raise MissingData(f"there is no {path}: name a file as it lies")
    suffix = path.suffix.lower()
    if suffix not in READERS:
        raise BadSetting(
            f"{path.name}: nothing is known of files that end in "
            f"{suffix or 'nothing'}: one of {', '.join(READERS)}"
        )
    return "hdf5" if suffix == ".mat" and is_hdf5(path) else READERS[suffix]


def look(path: Path) -> list[Seen]:
    """The arrays of a file.

    raises: UnreadableFile; BadSetting; MissingData; MissingExtra.
    """
    kind = reader_of(path)
    below(path.parent, path.name)  # a pickle in disguise is refused
    looks = {
        "hdf5": _hdf5,
        "npz": _npz,
        "": _npy,
        "matlab5": _matlab,
        "csv": _csv,
        "parquet": _parquet,
    }
    if kind == "nwb":
        raise BadSetting(f"{path.name} is asked for its stimuli, not for arrays")
    return looks[kind](path)


def _hdf5(path: Path) -> list[Seen]:
    with opened(path.parent, path.name) as store:
        held = [(name, store[name]) for name in every_name(store)]
        found = [
            (name, one.shape, "cell" if one.dtype == h5py.ref_dtype else one.dtype.kind)
            for name, one in held
            if isinstance(one, h5py.Dataset)
            if one.dtype.kind in "biuf" or one.dtype == h5py.ref_dtype
        ]

    def read(name: str) -> np.ndarray:
        with opened(path.parent, path.name) as store:
            return array(store, name)

    turned = path.suffix.lower() == ".mat"
    return [
        _seen(path, name, shape, kind, lambda name=name: read(name), turned)
        for name, shape, kind in found
    ]


def _npz(path: Path) -> list[Seen]:
    found: list[tuple[str, tuple[int, ...], str]] = []
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.namelist():
                if member.endswith(".npy"):
                    with archive.open(member) as file:
                        shape, _, dtype = header(file)
                    found.append((member.removesuffix(".npy"), shape, dtype.kind))
    except Exception as error:  # numpy and zipfile raise many kinds on damaged files
        raise _no_npz(path, error) from None

    def read(name: str) -> np.ndarray:
        try:
            with open(path, "rb") as file, np.load(file, allow_pickle=False) as store:
                return store[name]
        except Exception as error:
            raise _no_npz(path, error) from None

    return [
        _seen(path, name, shape, kind, lambda name=name: read(name))
        for name, shape, kind in found
    ]


def _no_npz(path: Path, error: Exception) -> UnreadableFile:
    said = " ".join(str(error).split())[:200]
    return UnreadableFile(f"{path} is not a readable npz file ({said})")


def _npy(path: Path) -> list[Seen]:
    try:
        return [_held(path, "", np.load(path, mmap_mode="r", allow_pickle=False))]
    except Exception as error:
        said = " ".join(str(error).split())[:200]
        raise UnreadableFile(f"{path} is not a readable npy file ({said})") from None


def _matlab(path: Path) -> list[Seen]:
    kinds = {"double": "f", "single": "f", "logical": "b"}
    plain = [
        (name, shape, "cell" if kind == "cell" else kinds.get(kind) or kind[0])
        for name, shape, kind in listed(path)
        if kind in kinds or kind == "cell" or kind.startswith(("int", "uint"))
    ]
    return [
        _seen(
            *(path, name, shape, kind),
            lambda name=name: variable(path.parent, path.name, name),
        )
        for name, shape, kind in plain
    ]


def _csv(path: Path) -> list[Seen]:
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = list(csv.reader(file, strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise UnreadableFile(
            f"{path} is not a readable CSV file ({error}): save it as UTF-8"
        ) from None
    if len(rows) < 2:
        raise UnreadableFile(f"{path} has no line below its column names")
    columns = {
        name.strip(): np.array([row[i].strip() for row in rows[1:] if len(row) > i])
        for i, name in enumerate(rows[0])
    }
    return [_held(path, name, _numbers(words)) for name, words in columns.items()]


def _parquet(path: Path) -> list[Seen]:
    library = needed("pyarrow.parquet", "parquet", "a parquet file")
    try:
        table = library.read_table(str(path))
    except Exception as error:  # arrow raises many kinds on damaged files
        said = " ".join(str(error).split())[:200]
        raise UnreadableFile(
            f"{path} is not a readable Parquet file ({said})"
        ) from None
    return [_held(path, n, np.asarray(table[n].to_numpy())) for n in table.column_names]


def _numbers(words: np.ndarray) -> np.ndarray:
    for kind in (np.int64, np.float64):
        try:
            return words.astype(kind)
        except ValueError:
            continue
    return words


def _seen(
    path: Path,
    name: str,
    shape: tuple[int, ...],
    kind: str,
    read: Callable[[], np.ndarray],
    turned: bool = False,
) -> Seen:
    size = math.prod(shape)
    flat = (size,) if size == max(shape, default=1) else shape
    return Seen(path.name, name, flat, kind, lambda: read().reshape(flat), turned)


def _held(path: Path, name: str, values: np.ndarray) -> Seen:
    return _seen(path, name, values.shape, values.dtype.kind, lambda: values)
