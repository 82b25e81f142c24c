"""The verb `load`: from a name to a Recording, checked against its card."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import overload

import numpy as np

from retina import registry
from retina.arrays import shape
from retina.data import card as cards
from retina.data import fetch
from retina.data.card import Card
from retina.data.caveats import UNVERIFIED
from retina.data.cells import keep, select
from retina.data.leak import shared
from retina.data.preparation.prepare import prepare
from retina.errors import BadSetting, Leak, ShapeMismatch
from retina.types import Block, Recording


@overload
def load(
    name: str | Path, *, cells: str | Sequence[str | int] | None = None
) -> Recording: ...


@overload
def load(
    name: Sequence[str | Path], *, cells: Sequence[str | None] | None = None
) -> list[Recording]: ...


def load(name, *, cells=None) -> Recording | list[Recording]:
    """A recording by its name or its card's path, verified and checked.

    name:   a data set of `retina list datasets`, or the path of a TOML card; a list of
            these for a list of recordings, as `retina.fit_jointly` wants their splits.
    cells:  the cells to keep, by the recording's own labels: a list, "all", a subset
            or a variant that the card names, or a comma-separated string of these;
            "-12,-40" leaves two of the card's default cells out. None: the default.
            Of a list of recordings, a list with one such string, or None, for each.
    raises: UnknownName; BadCard; MissingData; ChecksumMismatch; UnreadableFile;
            BadSetting for a cell that does not exist; ShapeMismatch where the files do
            not hold what the card expects; Leak where two splits of other
            roles share frames.

    >>> len(load("simulated").cells)
    12
    """
    if not isinstance(name, str | Path):
        return _several(list(name), cells)
    whole = cards.read(name)
    recording = prepare(stored(name, cells), whole.prepare)
    chosen = [word for word in words_of(cells) if word in whole.variants]
    for text in shared(whole.variant(*chosen).splits):
        raise Leak(
            f"{whole.name}: {text}: give each frame to one split of the card "
            f"(retina check {whole.typed})"
        )
    return recording


def _several(names: list[str | Path], cells: object) -> list[Recording]:
    each = [None] * len(names) if cells is None else cells
    if not names or not isinstance(each, list | tuple) or len(each) != len(names):
        raise BadSetting(
            f"load of {len(names)} recordings, cells={cells!r}: name at least one, and "
            'give a list of cells for each, such as cells=["1,2", None], or none'
        )
    return [load(one, cells=chosen) for one, chosen in zip(names, each, strict=True)]


def stored(
    name: str | Path, cells: str | Sequence[str | int] | None = None
) -> Recording:
    """A recording as its files hold it: not prepared, its splits not looked at."""
    whole = cards.read(name)
    words = words_of(cells)
    chosen = [word for word in words if word in whole.variants]
    if len(chosen) > 1:
        raise BadSetting(
            f"cells={','.join(words)!r} names {len(chosen)} variants of {whole.name}: "
            "load them one at a time"
        )
    card = whole.variant(*chosen)
    words = [word for word in words if word not in chosen]
    recording = registry.find("readers", card.reader)(fetch.local(card, name), card)
    if card.unread:
        recording = dataclasses.replace(
            recording, notes=(*recording.notes, *_caveat(recording, card))
        )
    else:
        check_expected(recording, card)
    names = [cell.name for cell in recording.cells]
    return keep(recording, select(card, names, words))


def _caveat(recording: Recording, card: Card) -> tuple[str, ...]:
    """What to say of a recording that is read for the first time."""
    differs = "; ".join(differences(recording, card))
    return (
        f"{card.name} {UNVERIFIED}its card was written from the published layout, "
        "not from these files. "
        + (f"They differ: {differs}. " if differs else "")
        + f"Look at `retina check {card.typed}` before you believe a figure",
    )


def words_of(cells: str | Sequence[str | int] | None) -> list[str]:
    """What `cells` of `load` names, word by word."""
    if cells is None:
        return []
    if isinstance(cells, str):
        cells = cells.split(",")
    return [str(word).strip() for word in cells if str(word).strip()]


def held(blocks: Sequence[Block]) -> dict[str, int]:
    """What the scored frames of some blocks hold, in the words of `card.Expect`."""
    return {
        "blocks": len(blocks),
        "trials": sum(block.trials for block in blocks),
        "frames": sum(len(block.stimulus) - block.lead for block in blocks),
        "events": sum(int(events(block).sum()) for block in blocks),
    }


def events(block: Block) -> np.ndarray:
    """(cell,) events in the scored frames of a block, all trials together."""
    start = block.onsets_s[block.lead]
    if block.counts is not None:
        first = round((start - block.onsets_s[0]) / block.count_s)  # type: ignore
        return block.counts[:, first:].sum((0, 1), dtype=np.float64)
    return np.array(
        [
            [len(train) - np.searchsorted(train, start, "left") for train in trial]
            for trial in block.spikes or ()
        ]
    ).sum(0)


def differences(recording: Recording, card: Card) -> list[str]:
    """What of cells, frame shape, blocks, trials, frames, events the card has wrong."""
    found: list[str] = []
    if card.cell_count and len(recording.cells) != card.cell_count:
        found.append(f"{len(recording.cells)} cells (card: {card.cell_count})")
    if card.frame and recording.frame != card.frame:
        found.append(f"frames of {shape(recording.frame)} (card: {shape(card.frame)})")
    for rule in card.splits:
        if rule.expect is None:
            continue
        blocks = [
            block
            for block in recording.blocks
            if (block.role, block.group) == (rule.role, rule.group)
        ]
        there, wanted = held(blocks), rule.expect.model_dump(exclude_none=True)
        found += [
            f"{rule.group or rule.role}: {there[key]} {key} (card: {wanted[key]})"
            for key in wanted
            if there[key] != wanted[key]
        ]
    return found


def check_expected(recording: Recording, card: Card) -> None:
    """raises: ShapeMismatch that says all that is not as the card says."""
    found = differences(recording, card)
    if found:
        raise ShapeMismatch(
            f"{card.name}, the files hold {', '.join(found)}: correct the card, or "
            "fetch the files again"
        )
