"""A stimulus that lies in a file of its own, beside the spikes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from retina.data.below import below
from retina.data.card import Card
from retina.data.hdf5 import array, opened
from retina.data.mapped import npy, of_npz
from retina.data.parts import as_stimulus
from retina.data.pulses import filled, miscounted
from retina.errors import BadCard, MissingData, ShapeMismatch, UnreadableFile, nearest

_AXES = ("frame", "y", "x", "channel")


def stimulus(folder: Path, card: Card, named: Any, axes: str) -> np.ndarray:
    """The frames of a stimulus, first axis first, whatever their order in the file.

    named:  [file, array], of `values`.
    axes:   of `in_order`.
    """
    found = values(folder, named, card.name)
    return as_stimulus(in_order(found, axes, card.name), card.name)


def onsets(
    folder: Path, card: Card, named: Any, frames: int, start_s: float = 0.0
) -> np.ndarray:
    """(frame + 1,) seconds: onsets from a file, or the card's frame_s for each frame.

    named:  [file, array] of (frame,) or (frame + 1,) seconds; [] for none.
    raises: ShapeMismatch for another number, or frames that do not last frame_s.
    """
    if not named:
        return start_s + np.arange(frames + 1) * card.frame_s
    found = values(folder, named, card.name).ravel().astype(np.float64)
    return check_onsets(found, frames, card)


def check_onsets(found: np.ndarray, frames: int, card: Card) -> np.ndarray:
    """Onsets with the end of the last frame, which must fit the frames and frame_s."""
    given, found = len(found), put_in(found, card)
    if len(found) == frames and frames:
        found = np.append(found, found[-1] + card.frame_s)
    if len(found) != frames + 1:
        told = f" ({len(found) - given} of them put in)" if len(found) > given else ""
        if abs(len(found) - frames) <= frames // 100 and np.all(np.diff(found) > 0):
            told += f" ({miscounted(found, frames)})"
        raise ShapeMismatch(
            f"{card.name}: {len(found)} onsets for {frames} frames: give one for each "
            f"frame, or one more for the end{told}"
        )
    usual = float(np.median(np.diff(found)))
    if not abs(usual - card.frame_s) <= 0.1 * card.frame_s:
        raise ShapeMismatch(
            f"{card.name}: frames last {usual:.4g} s by their onsets (seconds), but "
            f"frame_s = {card.frame_s:g} on the card: make them agree"
        )
    return found


def put_in(times: np.ndarray, card: Card) -> np.ndarray:
    """Times of frames, with those of the pulses that the card says were missed."""
    rising = times.ndim == 1 and len(times) > 1 and np.all(np.diff(times) > 0)
    if card.missed_pulses and rising:
        return filled(times)
    return times


def in_order(found: np.ndarray, axes: str, where: str) -> np.ndarray:
    """An array with its axes in the order (frame, y, x, channel).

    axes:   what its axes are, in their order; "" for the order it should have.
    raises: ShapeMismatch; BadCard for words that are no axes.

    >>> in_order(np.zeros((5, 4, 30)), "y, x, frame", "here").shape
    (30, 5, 4)
    """
    words = [word.strip() for word in axes.split(",")] if axes else _AXES[: found.ndim]
    if "frame" not in words or len(set(words)) < len(words) or set(words) - set(_AXES):
        raise BadCard(
            f'{where}: the axes "{axes}" are not made of {", ".join(_AXES)}: write '
            'them in the order of the file, such as "y, x, frame"'
        )
    given = found.shape
    if found.ndim != len(words):
        found = found.squeeze()  # MATLAB has no arrays of one axis
    if found.ndim != len(words):
        raise ShapeMismatch(f"{where}: shape {given} does not have axes ({axes})")
    return found.transpose([words.index(axis) for axis in _AXES if axis in words])


def values(folder: Path, named: Any, where: str) -> np.ndarray:
    """One array of a file: npy, npz, HDF5 or MATLAB; of a table one column of numbers.

    named:  [file, array] or [file, column]; of an npy file [file].
    raises: UnreadableFile; MissingData; BadCard.
    """
    if not isinstance(named, list) or not named or len(named) > 2:
        raise BadCard(f"{where}: {named!r} is not [file, array]")
    path, name = below(folder, named[0]), named[1] if len(named) == 2 else ""
    if not path.is_file():
        raise MissingData(f"there is no {path}: name the file in the card as it lies")
    suffix = path.suffix.lower()
    if suffix in (".npy", ".npz"):
        return _numpy(path, name)
    if suffix in (".csv", ".parquet"):
        from retina.data.readers import csv, parquet

        read = csv.columns_of if suffix == ".csv" else parquet.columns_of
        return read(folder, named[0], {"time_s": str(name)})["time_s"]
    if suffix == ".mat" and not is_hdf5(path):
        from retina.data.matlab import variable

        return variable(folder, named[0], str(name))
    with opened(folder, named[0]) as store:
        return array(store, name)


def of_pickle(folder: Path, card: Card, npz: str, name: str) -> np.ndarray:
    """One array of an npz that `retina convert` makes of a published pickle."""
    try:
        return values(folder, [npz, name], card.name)
    except MissingData:
        raise MissingData(
            f"{card.name}: there is no {npz}: make it of the published pickle with "
            f"`retina convert PICKLE --out {npz} --trust` in the folder of its files"
        ) from None


def is_hdf5(path: Path) -> bool:
    """MATLAB v7.3 is HDF5 behind a block of 512 bytes."""
    with open(path, "rb") as file:
        return b"\x89HDF\r\n\x1a\n" in (file.read(8), file.seek(512) and file.read(8))


def _numpy(path: Path, name: object) -> np.ndarray:
    try:
        with open(path, "rb") as file:  # numpy leaves a broken zip open
            if path.suffix.lower() == ".npy":
                return npy(path)
            found = np.load(file, allow_pickle=False)
            if isinstance(found, np.ndarray):
                return found
            with found as store:
                if name not in store:
                    known = nearest(str(name), store)
                    raise UnreadableFile(f"{path} has no array {name!r}: {known}")
                return of_npz(path, store, str(name))
    except UnreadableFile:
        raise
    except MemoryError:
        raise UnreadableFile(f"{path} holds more than fits into memory") from None
    except Exception as error:  # numpy and zipfile raise many kinds on damaged files
        said = " ".join(str(error).split())[:200]
        raise UnreadableFile(f"{path} is not a readable numpy file ({said})") from None
