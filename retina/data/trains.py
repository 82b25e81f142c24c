"""Spike times with a label each, made one sorted row per trial and cell."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from retina.data.card import Card
from retina.errors import BadCard, BadResponse, ShapeMismatch
from retina.types import Cell

# Of a session an hour long a stretch may be a few tens of seconds; milliseconds make a
# recording a thousand times longer. Both chosen.
_FEW, _LONGER = 0.05, 500
_TRIALS = 100_000  # more of them are a slip
_MANY = 50  # spikes, from which on where they lie is no chance

Trains = tuple[tuple[np.ndarray, ...], ...]


def trains(
    time_s: np.ndarray,
    cell: np.ndarray,
    trial: np.ndarray | None,
    names: Sequence[str],
    where: str,
    trials: int = 0,
) -> tuple[list[str], Trains]:
    """The cells' names, and their spike times per trial and cell.

    time_s: (spike,) seconds.
    cell:   (spike,) each spike's cell, text or numbers.
    trial:  (spike,) each spike's trial, whole numbers from 0; None for one trial.
    names:  the cells to keep, in that order; without any, all that fired, sorted.
    trials: how many there were, where the last of them may hold no spike; 0: as many as
            the spikes know of.
    raises: ShapeMismatch; BadResponse.

    >>> names, made = trains(np.array([2.0, 1.0]), np.array([9, 10]), None, [], "here")
    >>> names, [float(one[0]) for one in made[0]]
    (['9', '10'], [2.0, 1.0])
    """
    most = 1 if trial is None else _TRIALS  # of none, each spike is of the first
    trial = np.zeros(time_s.shape, np.int64) if trial is None else trial
    if not time_s.shape == cell.shape == trial.shape or time_s.ndim != 1:
        raise ShapeMismatch(
            f"{where}: times {time_s.shape}, cells {cell.shape} and trials "
            f"{trial.shape} must be one row each, of equal length"
        )
    if time_s.dtype.kind not in "iuf" or not np.isfinite(time_s).all():
        raise BadResponse(f"{where}: spike times must be numbers of seconds, not NaN")
    if trial.dtype.kind not in "iu" or (len(trial) and trial.min() < 0):
        raise BadResponse(f"{where}: trials must be whole numbers from 0")
    number = int(trial.max()) + 1 if len(trial) else 1
    if number > max(len(trial), 1):
        raise BadResponse(
            f"{where}: trial {number - 1} among {len(trial)} spikes: trials are "
            "counted from 0 without gaps"
        )
    if trials and not (type(trials) is int and number <= trials <= most):
        raise BadResponse(
            f"{where}: trial_count = {trials!r}, but the spikes are of {number} "
            f"trials: write how many were shown, {number} to {most}"
        )
    number = trials or number
    labels, which = np.unique(
        [_text(one) for one in cell.tolist()], return_inverse=True
    )
    found = sorted(labels.tolist(), key=natural)
    listed = list(names) or found
    if len(set(listed)) != len(listed):
        raise BadResponse(f"{where}: a cell is named twice")
    places = {label: i for i, label in enumerate(listed)}
    place = np.array([places.get(label, -1) for label in labels.tolist()], np.int64)
    row = place[which] if len(labels) else np.zeros(0, np.int64)
    times = time_s.astype(np.float64)
    order = np.lexsort((times, row, trial))
    times, row, trial = times[order], row[order], trial[order]
    key = trial * (len(listed) + 1) + row + 1  # what is not listed comes first
    wanted = [
        t * (len(listed) + 1) + c + 1 for t in range(number) for c in range(len(listed))
    ]
    low, high = np.searchsorted(key, wanted), np.searchsorted(key, wanted, "right")
    each = [times[a:b] for a, b in zip(low, high, strict=True)]
    size = len(listed)
    made = tuple(tuple(each[t * size : (t + 1) * size]) for t in range(number))
    return listed, made


def counted(values: np.ndarray, first: int, where: str) -> np.ndarray:
    """Trials that a file counts from `first`, 0 or 1, counted from 0.

    raises: BadResponse where none has the first number: a trial in which no cell fires
            at all would be made up.

    >>> counted(np.array([1, 2, 1]), 1, "here").tolist()
    [0, 1, 0]
    """
    whole = values.dtype.kind in "iu"  # `trains` tells of others
    least = int(values.min()) if whole and len(values) else first
    if least != first:
        wanted = f"write first = {least}" if least in (0, 1) else "number them anew"
        raise BadResponse(
            f"{where}: trials start at {least}, but the card counts from {first}: "
            f"{wanted} in its options"
        )
    return values - first if whole else values


def first_of(card: Card) -> int:
    """The option ``first``. raises: BadCard."""
    first = card.options.get("first", 0)
    if type(first) is not int or first not in (0, 1):
        raise BadCard(f"{card.name}: first = {first!r}: write 0 or 1")
    return first


def check_seconds(
    made: Trains, edges: np.ndarray, where: str, what: str = "spikes"
) -> str:
    """A note where most spikes lie outside of the stimulus; one clock may have several.

    edges:  (frame + 1,) seconds, the stimulus's onsets and its end.
    raises: BadResponse where their span is that of frame numbers, or hardly any lies
            inside and it is that of milliseconds or samples; and where the stimulus has
            that span beside theirs.

    >>> clock = np.arange(101) * 0.1
    >>> check_seconds(((np.arange(0, 40, 0.5),),), clock, "here")
    'here: 59 of 80 spikes lie outside of this stimulus (0 to 10 s) and are not used'
    """
    every = [train for trial in made for train in trial if len(train)]
    number = sum(map(len, every))
    late = sum(int((train > edges[-1]).sum()) for train in every)
    early = sum(int((train < edges[0]).sum()) for train in every)
    last = max((train.max() for train in every), default=edges[-1])
    lasts, frames = edges[-1] - edges[0], len(edges) - 1
    if number >= _MANY and 0 <= _LONGER * (last - edges[0]) < lasts:
        raise BadResponse(
            f"{where}: the last of {number} {what} comes at {last:g} s, but the last "
            f"frame ends at {edges[-1]:g} s: are they in seconds, and the times of "
            "frames and frame_s too, not milliseconds or samples?"
        )
    if 2 * (late + early) <= number:
        return _on_edges(every, edges, f"{where}: {what}")
    inside = number - late - early
    numbered = 0.98 * frames < last - edges[0] <= frames  # each spike's frame
    long = inside < _FEW * number and last - edges[0] > _LONGER * lasts
    if numbered or long:
        raise BadResponse(
            f"{where}: {late} of {number} {what} lie after {edges[-1]:g} s, when the "
            f"last frame ends (the first begins at {edges[0]:g} s): are they in "
            "seconds, not milliseconds, samples or frames? If they are, cut the late"
        )
    return (
        f"{where}: {number - inside} of {number} {what} lie outside of this stimulus "
        f"({edges[0]:g} to {edges[-1]:g} s) and are not used"
    )


def _on_edges(every: Sequence[np.ndarray], edges: np.ndarray, which: str) -> str:
    """A note where they come as frames begin, up to rounding: which frame is theirs?"""
    times = np.concatenate(every) if every else np.zeros(0)
    times = times[(times >= edges[0] - 1e-9) & (times < edges[-1])]
    if len(times) < _MANY:
        return ""
    right = np.clip(np.searchsorted(edges, times), 1, len(edges) - 1)
    off = np.minimum(np.abs(times - edges[right - 1]), np.abs(edges[right] - times))
    near = off < 1e-3 * np.median(np.diff(edges))
    if near.mean() < 0.9 or not off[near].any():
        return ""
    return (
        f"{which} come at the very times at which frames begin, up to rounding, which "
        "decides whether one counts in that frame or the one before: were they counts? "
        "Then give those, or add half a frame to the times"
    )


def cells_of(card: Card, names: Sequence[str]) -> list[Cell]:
    return [Cell(name, card.cell_types.get(name, "")) for name in names]


def _text(label: object) -> str:
    if isinstance(label, bytes):
        return label.decode("utf-8", "replace")
    if isinstance(label, float) and label.is_integer():
        return str(int(label))
    return str(label)


def natural(label: str) -> tuple[int, int, str]:
    """Numbers by their size, before words."""
    whole = label.isascii() and label.isdigit() and len(label) < 19
    return (0, int(label), label) if whole else (1, 0, label)
