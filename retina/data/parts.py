"""Part: one continuous stretch as a file holds it, and how a card's splits cut it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping

import numpy as np

from retina.data.card import Card
from retina.data.held import LONG, PAUSE, on_the_clock
from retina.data.leak import replayed
from retina.data.rules import SplitRule
from retina.errors import (
    BadCard,
    BadResponse,
    BadStimulus,
    Leak,
    ShapeMismatch,
    nearest,
)
from retina.movie import mapped
from retina.types import Block, Cell, Recording


@dataclasses.dataclass(frozen=True, eq=False)
class Part:
    """Stimulus and response of one stretch; the fields are those of `Block`.

    first: row of each frame in the file's own numbering, where rows were added or left
           out; None where row i is frame i. One entry more than there are frames of the
           file: the last is the number of rows.
    begin: rows at which something else was shown before: no history crosses them, and
           each stretch between two of them becomes a block of its own.
    skip:  rows after each of these that are history only, where that is more than the
           card's lead.
    """

    stimulus: np.ndarray
    onsets_s: np.ndarray
    spikes: tuple[tuple[np.ndarray, ...], ...] | None = None
    counts: np.ndarray | None = None
    count_s: float | None = None
    first: np.ndarray | None = None
    begin: tuple[int, ...] = (0,)
    skip: int = 0


def recording(card: Card, parts: Mapping[str, Part], cells: list[Cell]) -> Recording:
    """The recording that a card's splits make of the stretches that a reader found.

    parts:  by the names that the card's splits use. A frame that stayed on for several
            becomes as many rows, which is noted: see `retina.data.held`.
    raises: BadCard for a split outside its part; BadStimulus, BadResponse,
            ShapeMismatch from the block that does not fit; Leak where splits of other
            roles take other trials of the same frames: a part has one stimulus.
    """
    for text in replayed(card.splits):
        raise Leak(
            f"{card.name}: {text}: all trials of a part saw the same stimulus: give "
            "each frame to one split"
        )
    ticked = {name: on_the_clock(part, card.frame_s) for name, part in parts.items()}
    parts = {name: _counted(part, card.frame_s) for name, (part, _) in ticked.items()}
    odd = [
        f"{f'part {name!r}: ' if name else ''}{note}"
        for name, (_, notes) in ticked.items()
        for note in notes
    ]
    return Recording(
        name=card.name,
        species=card.species,
        cells=tuple(cells),
        blocks=tuple(
            block for rule in card.splits for block in _blocks(card, rule, parts)
        ),
        frame_s=card.frame_s,
        coding=card.coding,
        mean_rstar_per_s=card.mean_rstar_per_s,
        pixel_um=card.pixel_um,
        event=card.event,
        native_bin_s=card.native_bin_s,
        notes=(*card.notes, *odd),
        publish=card.publish,
    )


def _counted(part: Part, frame_s: float) -> Part:
    """Counts as many as the rows, or so many for each, are theirs, however they jitter.

    >>> noise = Part(np.arange(2), np.array([0, 1.1, 2]), None, np.ones((1, 4, 3)), 0.5)
    >>> _counted(noise, 1.0).onsets_s.tolist()
    [0.0, 1.0, 2.0]
    """
    rows = len(part.stimulus)
    if part.counts is None or not part.count_s or part.onsets_s.shape != (rows + 1,):
        return part
    each = max(round(frame_s / part.count_s), 1)
    alike = math.isclose(each * part.count_s, frame_s, rel_tol=1e-3)  # as of `split`
    if not alike or part.counts.shape[1] != each * rows:
        return part
    clock = part.onsets_s[0] + np.arange(rows + 1) * frame_s
    return dataclasses.replace(part, onsets_s=clock, count_s=frame_s / each)


def _blocks(card: Card, rule: SplitRule, parts: Mapping[str, Part]) -> Iterator[Block]:
    named = f"{card.name}: split {rule.group or rule.role!r}"
    if rule.part not in parts:
        raise BadCard(f"{named} names part {rule.part!r}: {nearest(rule.part, parts)}")
    part = parts[rule.part]
    shown = len(part.stimulus)
    if not shown:
        raise BadStimulus(f"{card.name}: part {rule.part!r} has no stimulus frame")
    if part.onsets_s.shape != (shown + 1,):
        raise ShapeMismatch(
            f"{card.name}: {shown} stimulus frames but {len(part.onsets_s) - 1} frame "
            "times: they must be as many"
        )
    first = np.arange(shown + 1) if part.first is None else part.first
    for frames in rule.frames:
        if frames[1] >= len(first):
            raise BadCard(
                f"{named} ends at frame {frames[1]} but part {rule.part!r} has "
                f"{len(first) - 1} frames"
            )
    alike = [(one.role, one.group) for one in card.splits]
    prefix = ""
    if alike.count((rule.role, rule.group)) > 1:
        prefix = f"{rule.part}_"
    for frames in rule.frames or [_of(rule.share, len(first) - 1)]:
        rows = int(first[frames[0]]), int(first[frames[1]])
        pieces = list(_pieces(card, part, *rows))
        if not pieces:
            raise BadCard(
                f"{named}: frames {frames[0]}-{frames[1] - 1} of part {rule.part!r} "
                f"hold nothing but history (lead = {card.lead}"
                + (f", skip = {part.skip})" if part.skip else ")")
            )
        for start, stop in pieces:
            ends = frames if len(pieces) == 1 and rule.frames else (start, stop)
            name = f"{prefix}{rule.group or rule.role}_{ends[0]}_{ends[1]}"
            yield _block(card, rule, part, start - card.lead, stop, name)


def _of(share: tuple[float, float] | None, frames: int) -> tuple[int, int]:
    assert share is not None
    return round(share[0] * frames), round(share[1] * frames)


def _pieces(card: Card, part: Part, start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Scored rows [start, stop), cut where history may not cross."""
    ends = (*part.begin[1:], len(part.stimulus))
    for begin, end in zip(part.begin, ends, strict=True):
        one = max(start, begin + max(card.lead, part.skip))
        if one < min(stop, end):
            yield one, min(stop, end)


def _block(
    card: Card, rule: SplitRule, part: Part, start: int, stop: int, name: str
) -> Block:
    onsets = part.onsets_s[start : stop + 1]
    last_s = onsets[-1] - onsets[-2]
    # A pause follows, or another stretch; a frame of a mapped movie may stay on.
    apart = stop in part.begin or last_s > PAUSE * card.frame_s
    if apart and last_s > LONG * card.frame_s:
        onsets = np.append(onsets[:-1], onsets[-2] + card.frame_s)
    spikes = counts = None
    if part.spikes is not None:
        spikes = tuple(
            tuple(_between(train, onsets[0], onsets[-1]) for train in trial)
            for trial in part.spikes
        )
    if part.counts is not None:
        counts = _count_rows(card, part, onsets[[0, -1]], name)
    if rule.trials:
        first, last = rule.trials
        held = len(spikes if counts is None else counts)  # type: ignore[arg-type]
        if last > held:
            raise BadCard(
                f"{card.name}: split {name!r} takes trials {first}-{last - 1}, but "
                f"part {rule.part!r} has {held}"
            )
        spikes = spikes if spikes is None else spikes[first:last]
        counts = counts if counts is None else counts[first:last]
    return Block(
        name=name,
        role=rule.role,
        stimulus=part.stimulus[start:stop],
        onsets_s=onsets,
        spikes=spikes,
        counts=counts,
        count_s=part.count_s,
        lead=card.lead,
        group=rule.group,
    )


def _between(train: np.ndarray, start: float, stop: float) -> np.ndarray:
    if not np.isfinite(train).all():
        raise BadResponse("spike times hold NaN or infinity: cut or repair them")
    low, high = np.searchsorted(train, [start, stop], side="left")
    return train[low:high]


def _count_rows(card: Card, part: Part, ends_s: np.ndarray, name: str) -> np.ndarray:
    """The count bins from one time to another; both must be edges of bins."""
    assert part.counts is not None and part.count_s is not None
    shown = float(part.onsets_s[-1] - part.onsets_s[0])
    covered = part.counts.shape[1] * part.count_s
    # One clock: as many counts as frames. Two: the last bin may be broken off.
    one_clock = abs(part.count_s - card.frame_s) < 1e-6 * card.frame_s
    allowed = min(part.count_s, card.frame_s) / 2
    if not one_clock:
        allowed = max(part.count_s, card.frame_s) * (1 - 1e-6)
    if abs(shown - covered) > allowed:
        raise ShapeMismatch(
            f"{card.name}: stimulus lasts {shown:.3f} s ({len(part.stimulus)} frames) "
            f"but the response covers {covered:.3f} s ({part.counts.shape[1]} bins): "
            f"wanted {shown / part.count_s:.6g} bins of {part.count_s:g} s, as many as "
            "a frame lasts also where it stayed on"
        )
    ends = (ends_s - part.onsets_s[0]) / part.count_s
    bins = np.rint(ends).astype(int)
    if np.abs(ends - bins).max() > 0.01:
        raise BadCard(
            f"{card.name}: split {name!r} with its lead does not begin and end at the "
            f"edges of the {part.count_s:g}-s count bins"
        )
    return part.counts[:, bins[0] : bins[1]]


def as_stimulus(values: np.ndarray, where: str) -> np.ndarray:
    """Integers as they are, floats as float32; those of a mapped movie as they are.

    >>> as_stimulus(np.zeros(2), "here").dtype
    dtype('float32')
    """
    if np.issubdtype(values.dtype, np.floating):
        if mapped(values):
            return values
        with np.errstate(over="ignore"):  # to infinity, which is told with its frame
            return values.astype(np.float32)
    if values.dtype == bool:
        return values.view(np.int8)
    if not np.issubdtype(values.dtype, np.integer):
        raise BadStimulus(f"{where}: the stimulus is {values.dtype}, not numbers")
    return values
