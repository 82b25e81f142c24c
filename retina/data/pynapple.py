"""pynapple's objects as a Recording, and a Recording's blocks and rates as pynapple's.

The library is not needed to come in: its objects are asked for their times and values.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from retina.data.extras import needed
from retina.data.parts import as_stimulus
from retina.data.trials import moved
from retina.errors import BadStimulus, Leak, ShapeMismatch
from retina.types import ROLES, Block, Cell, Recording


class Napped(NamedTuple):
    """One block: stimulus, a Tsd, TsdFrame or TsdTensor of frames at their onsets; and
    of each trial a TsGroup of spikes, or a TsdFrame of counts at the starts of bins.
    """

    stimulus: Any
    trials: tuple[Any, ...]


def from_pynapple(
    spikes: Any,
    stimulus: Any,
    *,
    train: Any,
    validation: Any = None,
    test: Any = None,
    name: str = "pynapple",
    species: str = "not stated",
    lead: int = 0,
    coding: str = "light",
) -> Recording:
    """A recording of spike trains and frames on one clock.

    spikes:   TsGroup, a train per cell; a column "name" of its metadata names the
              cells, else its index does.
    stimulus: Tsd, TsdFrame or TsdTensor: (time, *frame) at the onset of each frame.
    train, validation, test: IntervalSet each; every interval is a block, of the frames
              whose onset lies in it. Intervals of `test` that show the same frames are
              trials of one block.
    lead:     frames at the start of every block that are history only.
    coding:   as in `Recording`.
    raises:   Leak where intervals of two roles overlap; BadStimulus for an interval
              without frames, or with a gap between them; BadResponse.

    >>> from types import SimpleNamespace as Some
    >>> screen = Some(t=np.arange(50) * 0.02, values=np.arange(50.0)[:, None] % 7)
    >>> spikes = {3: Some(t=np.array([0.11, 0.4]))}
    >>> whole = Some(start=np.array([0.0]), end=np.array([0.99]))
    >>> from_pynapple(spikes, screen, train=whole).cells
    (Cell(name='3', type=''),)
    """
    onsets = np.asarray(stimulus.t, np.float64)
    frames = as_stimulus(np.asarray(stimulus.values), name)
    if len(onsets) < 2:
        raise BadStimulus(f"{name}: {len(onsets)} frames tell no frame's length")
    frame_s = float(np.median(np.diff(onsets)))
    trains = {key: np.asarray(spikes[key].t, np.float64) for key in spikes}
    given = {r: _ends(s) for r, s in zip(ROLES, (train, validation, test), strict=True)}
    _check_apart(name, given)
    made: list[Block] = []
    for role, ends in given.items():
        for start, end in ends:
            rows = slice(*np.searchsorted(onsets, [start, end], "left"))
            own = onsets[rows]
            if not len(own):
                raise BadStimulus(
                    f"{name}: no frame begins within {start:g}-{end:g} s ({role}): the "
                    "stimulus and the intervals must be on one clock, in seconds"
                )
            gap = np.diff(own).max(initial=0)
            if gap > 1.5 * frame_s:
                raise BadStimulus(
                    f"{name}: {start:g}-{end:g} s ({role}) has {gap:.4g} s between two "
                    f"frames of {frame_s:.4g} s: cut the interval there"
                )
            edges = np.append(own, own[-1] + frame_s)
            said = tuple(
                train[slice(*np.searchsorted(train, edges[[0, -1]], "left"))]
                for train in trains.values()
            )
            same = _same(made, frames[rows]) if role == "test" else None
            if same is not None:
                made[same] = _with_trial(made[same], said, edges)
                continue
            each = f"{role}_{sum(one.role == role for one in made)}"
            made.append(
                Block(each, role, frames[rows], edges, (said,), lead=lead, group=each)
            )
    return Recording(
        name=name,
        species=species,
        cells=tuple(Cell(label) for label in _names(spikes, list(trains))),
        blocks=tuple(made),
        frame_s=frame_s,
        coding=coding,
    )


def _ends(intervals: Any) -> list[tuple[float, float]]:
    if intervals is None:
        return []
    starts, ends = (np.asarray(x, np.float64) for x in (intervals.start, intervals.end))
    return list(zip(starts.tolist(), ends.tolist(), strict=True))


def _check_apart(name: str, given: dict[str, list[tuple[float, float]]]) -> None:
    every = sorted((*ends, role) for role, several in given.items() for ends in several)
    for one, other in zip(every, every[1:], strict=False):
        if other[0] < one[1]:
            raise Leak(
                f"{name}: {one[0]:g}-{one[1]:g} s ({one[2]}) and {other[0]:g}-"
                f"{other[1]:g} s ({other[2]}) overlap: give each second to one split"
            )


def _same(made: list[Block], frames: np.ndarray) -> int | None:
    """Which test block shows these very frames."""
    for place, block in enumerate(made):
        if block.role == "test" and np.array_equal(block.stimulus, frames):
            return place
    return None


def _with_trial(block: Block, said: tuple[np.ndarray, ...], edges: np.ndarray) -> Block:
    """Another presentation; its spikes keep their frame and their place within it."""
    assert block.spikes is not None
    there = tuple(moved(train, edges, block.onsets_s) for train in said)
    return Block(
        block.name,
        block.role,
        block.stimulus,
        block.onsets_s,
        (*block.spikes, there),
        lead=block.lead,
        group=block.group,
    )


def _names(spikes: Any, keys: list[Any]) -> list[str]:
    if "name" in getattr(spikes, "metadata_columns", ()):
        return [str(label) for label in spikes["name"]]
    return [str(key) for key in keys]


def to_pynapple(recording: Recording) -> dict[str, Napped]:
    """Every block of a recording, by its name, on the block's own clock.

    raises: MissingExtra without pynapple (extra ``pynapple``).
    """
    nap = needed("pynapple", "pynapple", "what pynapple holds")
    names = [cell.name for cell in recording.cells]
    made = {}
    for block in recording.blocks:
        start, end = block.onsets_s[0], block.onsets_s[-1]
        shown = nap.IntervalSet(start, end)
        if block.spikes is not None:
            trials = tuple(
                nap.TsGroup(
                    {n: nap.Ts(train) for n, train in enumerate(trial)},
                    time_support=shown,
                    metadata={"name": names},
                )
                for trial in block.spikes
            )
        else:
            assert block.counts is not None and block.count_s is not None
            trials = tuple(
                rates_to_pynapple(trial, block.count_s, names, start, per_s=False)
                for trial in block.counts
            )
        flat = block.stimulus
        kind = (nap.Tsd, nap.TsdFrame, nap.TsdTensor)[min(flat.ndim, 3) - 1]
        stimulus = kind(t=block.onsets_s[:-1], d=flat, time_support=shown)
        made[block.name] = Napped(stimulus, trials)
    return made


def rates_to_pynapple(
    rate: np.ndarray,
    bin_s: float,
    names: list[str] | None = None,
    start_s: float = 0.0,
    *,
    per_s: bool = True,
) -> Any:
    """Expected counts, or counts, of each bin as a TsdFrame with a column per cell.

    rate:  (time, cell) per bin. names: of the cells; None: their places.
    start_s: when the first bin begins; a row stands at the start of its bin.
    per_s: spikes per second in place of counts per bin.
    raises: ShapeMismatch; MissingExtra.
    """
    nap = needed("pynapple", "pynapple", "what pynapple holds")
    rate = np.asarray(rate)
    if rate.ndim != 2 or (names is not None and len(names) != rate.shape[1]):
        raise ShapeMismatch(
            f"rate must be (time, cell), with a name for each cell, not {rate.shape}"
        )
    bins, cells = rate.shape
    return nap.TsdFrame(
        t=start_s + np.arange(bins) * bin_s,
        d=rate / bin_s if per_s else rate,
        time_support=nap.IntervalSet(start_s, start_s + bins * bin_s),
        columns=names or list(range(cells)),
    )
