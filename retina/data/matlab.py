"""One variable of a MATLAB v5 file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from retina.data.below import below
from retina.errors import MissingData, UnreadableFile, nearest


def variable(folder: Path, file: str, name: str) -> np.ndarray:
    """One variable of a MATLAB v5 file, as scipy gives it.

    raises: UnreadableFile for a file that is truncated, of another format, or lacks
            the variable.
    """
    import scipy.io

    path = below(folder, file)
    try:
        # Reading one variable alone stays blind to damage further on; the checksum
        # has seen the whole file.
        table = scipy.io.loadmat(path, variable_names=[name])
        known = [] if name in table else [one[0] for one in scipy.io.whosmat(path)]
    except FileNotFoundError:
        raise MissingData(f"there is no {path}: name the file as it lies") from None
    except NotImplementedError:
        raise UnreadableFile(
            f"{path} is a MATLAB v7.3 file, and its reader wants v5: save it with "
            "-v7, or name an HDF5 reader in the card"
        ) from None
    except Exception as error:  # scipy raises many kinds on damaged files
        said = " ".join(str(error).split())[:200]
        raise UnreadableFile(
            f"{path} is not a readable MATLAB v5 file ({said}): fetch it again"
        ) from None
    if name not in table:
        raise UnreadableFile(f"{path} has no variable {name!r}: {nearest(name, known)}")
    return table[name]
