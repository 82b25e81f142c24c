"""A table of spikes, one a line, as text; the stimulus lies in a file of its own."""

from __future__ import annotations

import csv as text
from pathlib import Path

import numpy as np

from retina.data.below import below
from retina.data.card import Card
from retina.data.table import Columns, spike_table
from retina.errors import BadResponse, MissingData, UnreadableFile, nearest
from retina.types import Recording


def csv(folder: Path, card: Card) -> Recording:
    """Spike times from a CSV file with a line of column names.

    folder: with the card's files.
    card:   option ``spikes``, the file. Its columns ``cell``, ``time_s`` and, where it
            has one, ``trial`` are found by these names, or by those that the options of
            the same names give; trials count from 0, or from ``first`` = 1, and are
            ``trial_count``, where the last may hold no spike (those that hold one).
            ``stimulus`` = [file, array] is an npy, npz, HDF5 or MATLAB file;
            ``stimulus_axes``, the order of its axes ("frame, y, x"); ``onsets`` =
            [file, array], seconds on the clock of time_s (from 0, each frame_s);
            ``cells``, those to keep, in that order (all that fired).
            ``trials`` = [file, column] or [file, array]: when each trial begins, on
            that clock, where one long recording holds them all. Either the movie is
            what every trial shows (``onsets`` then of one trial, or of all of them in
            order), or it shows the same ``trial_frames`` frames at each of these times.
    returns: one part, "", and with ``trials`` one that is called so, whose spikes keep
             their place within their frame; without "" where each trial shows the whole
             movie. Cells are named as in the file.
    raises:  UnreadableFile; BadResponse; ShapeMismatch; MissingData; BadCard.
    """
    return spike_table(folder, card, columns_of)


def columns_of(folder: Path, name: object, columns: Columns) -> dict[str, np.ndarray]:
    """Columns of a file, by what they are: cell (text), time_s and trial (numbers)."""
    path = below(folder, name)
    if not path.is_file():
        raise MissingData(f"there is no {path}: name the file in the card as it lies")
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = text.reader(file, strict=True)
            head = [word.strip() for word in next(rows, [])]
            places = [_place(path, head, column) for column in columns.values()]
            picked = [
                [row[i].strip() for i in places] for row in rows if _full(row, places)
            ]
    except (OSError, UnicodeDecodeError, text.Error) as error:
        raise UnreadableFile(f"{path} is not a readable CSV file ({error})") from None
    except _Short as error:
        raise UnreadableFile(f"{path}: {error}") from None
    table = dict(zip(columns, zip(*picked, strict=True), strict=False))
    return {
        key: _numbers(path, key, table.get(key, ()))
        if key != "cell"
        else np.array(table.get(key, ()), str)
        for key in columns
    }


class _Short(Exception):
    pass


def _full(row: list[str], places: list[int]) -> bool:
    """Whether a line holds anything; one that is broken off is told."""
    if not any(row):
        return False
    if len(row) <= max(places):
        raise _Short(f"the line {','.join(row)[:60]!r} is broken off: fetch it again")
    return True


def _place(path: Path, head: list[str], column: str) -> int:
    if head.count(column) != 1:
        raise UnreadableFile(
            f"{path} has {head.count(column)} columns {column!r}: "
            + nearest(column, head)
        )
    return head.index(column)


def _numbers(path: Path, key: str, words: tuple[str, ...]) -> np.ndarray:
    kind = float if key == "time_s" else int
    try:
        return np.array([kind(word) for word in words], np.dtype(kind))
    except (ValueError, OverflowError):
        wrong = next(word for word in words if not _is(kind, word))
        raise BadResponse(
            f"{path}: {key} {wrong[:40]!r} is no "
            + ("number of seconds" if key == "time_s" else "whole number")
        ) from None


def _is(kind: type, word: str) -> bool:
    try:
        return abs(kind(word)) < 2**62 or kind is float
    except ValueError:
        return False
