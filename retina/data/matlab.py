"""Variables of a MATLAB v5 file, read in a process apart: see `retina.apart`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from retina.apart import apart
from retina.data.below import below
from retina.errors import MissingData, UnreadableFile, nearest


def variable(folder: Path, file: str, name: str) -> np.ndarray:
    """One variable of a MATLAB v5 file, as scipy gives it.

    raises: UnreadableFile for a file that is truncated, of another format, or lacks
            the variable.
    """
    return apart(_variable, below(folder, file), name)


def listed(path: Path) -> list[tuple[str, tuple[int, ...], str]]:
    """Name, shape and MATLAB's class of each variable of a file.

    raises: as `variable`.
    """
    return apart(_listed, path)


def _variable(path: Path, name: str) -> np.ndarray:
    import scipy.io

    try:
        # Reading one variable alone stays blind to damage further on; the checksum
        # has seen the whole file.
        table = scipy.io.loadmat(path, variable_names=[name])
        known = [] if name in table else [one[0] for one in scipy.io.whosmat(path)]
    except Exception as error:  # scipy raises many kinds on damaged files
        raise _told(path, error) from None
    if name not in table:
        raise UnreadableFile(f"{path} has no variable {name!r}: {nearest(name, known)}")
    return table[name]


def _listed(path: Path) -> list[tuple[str, tuple[int, ...], str]]:
    import scipy.io

    try:
        return scipy.io.whosmat(path)
    except Exception as error:
        raise _told(path, error) from None


def _told(path: Path, error: Exception) -> MissingData | UnreadableFile:
    if isinstance(error, FileNotFoundError):
        return MissingData(f"there is no {path}: name the file as it lies")
    if isinstance(error, NotImplementedError):
        return UnreadableFile(
            f"{path} is a MATLAB v7.3 file, and its reader wants v5: save it with "
            "-v7, or name an HDF5 reader in the card"
        )
    said = " ".join(str(error).split())[:200]
    return UnreadableFile(
        f"{path} is not a readable MATLAB v5 file ({said}): fetch it again"
    )
