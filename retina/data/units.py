"""Spike times that lie in one array for each cell, whatever the file is."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable

import numpy as np

from retina.data.card import Card
from retina.data.table import asked
from retina.data.trains import Trains, natural, trains
from retina.errors import BadResponse, ShapeMismatch


def beginning(
    names: Iterable[str], start: str, get: Callable[[str], np.ndarray]
) -> dict[str, np.ndarray]:
    """Arrays by what follows in their names: of cells, numbers in their order.

    raises: BadResponse where one lies in a group that begins so: what is it of a cell?

    >>> beginning(["unit_10", "unit_9", "film"], "unit_", len)
    {'9': 6, '10': 7}
    """
    rest = {
        name.removeprefix(start): name
        for name in names
        if name.startswith(start) and name != start
    }
    words = numbered(rest)
    deeper = next((word for word in words if "/" in word), None)
    if deeper is not None:
        raise BadResponse(
            f"units = {start!r}, but {rest[deeper]!r} lies deeper: give each cell one "
            "array whose name begins so, the times of its spikes"
        )
    return {word: get(rest[word]) for word in sorted(words, key=natural)}


def numbered(words: Iterable[str]) -> list[str]:
    """What cells are called: where any end in a number, the others are none.

    >>> numbered(["0", "1", "ids"]), numbered(["left", "right"])
    (['0', '1'], ['left', 'right'])
    """
    words = list(words)
    return [one for one in words if re.search(r"\d$", one.partition("/")[0])] or words


def units(
    card: Card, found: dict[str, np.ndarray], where: str
) -> tuple[list[str], Trains]:
    """Names of cells, and their spike times in one trial.

    found:  the times of each cell, by its name.
    raises: BadResponse; ShapeMismatch where an array is no row.
    """
    if not found:
        raise BadResponse(f"{where}: no array's name begins as units say")
    rows = {}
    for name, times in found.items():
        rows[name] = np.asarray(times).ravel()
        if times.size != max((1, *times.shape)) and times.size:
            raise ShapeMismatch(f"{where}: unit {name} is {times.shape}, not a row")
        if np.any(rows[name][:-1] > rows[name][1:]):
            raise BadResponse(
                f"{where}: unit {name} does not rise: is it the times of spikes? Then "
                "sort them, else give units that only those begin with"
            )
    whose = np.repeat(list(rows), [len(row) for row in rows.values()])
    every = np.concatenate(list(rows.values()))
    return trains(every, whose, None, asked(card) or list(rows), where)


def in_a_row(shape: tuple[int, ...], name: str, where: str) -> None:
    """raises: ShapeMismatch where a cell array of MATLAB has more axes than its cells.

    Each of its arrays would be taken for a cell of its own.
    """
    if math.prod(shape) != max((1, *shape)) and math.prod(shape):
        raise ShapeMismatch(
            f"{where}: the cell array {name!r} is {' x '.join(map(str, shape))}, "
            "wanted one array for each cell: are these trials of cells? Then put all "
            "into one row of times, spike_s, with spike_cell and spike_trial beside it"
        )
