"""Which cells of a recording are kept: by name, subset, or what to leave out."""

from __future__ import annotations

import dataclasses

from retina.data.card import Card
from retina.errors import BadCard, BadSetting, nearest
from retina.types import Block, Recording


def select(card: Card, names: list[str], words: list[str]) -> list[int]:
    """Indices of the cells that the words name, in the order of the words.

    names: of the recording's cells.
    words: cell names, subset names, "all", or "-name"; [] for the card's default.
    """
    known = {name: i for i, name in enumerate(names)}
    sets = {"all": names} | {key: list(value) for key, value in card.subsets.items()}
    for key, subset in card.subsets.items():
        for name in subset:
            if name not in known:
                raise BadCard(
                    f"{card.name}: subset {key!r} names cell {name!r}: "
                    + nearest(name, known)
                )
    if all(word.startswith("-") and word not in {*known, *sets} for word in words):
        default = card.default_cells
        own = [default] if default in sets else default.split(",")
        words = [*map(str.strip, own), *words]
    wanted: list[str] = []
    drop: set[str] = set()
    for word in words:
        if word in sets:
            wanted += sets[word]
        elif word in known:
            wanted.append(word)
        elif word.startswith("-") and word[1:] in known:
            drop.add(word[1:])
        else:
            raise BadSetting(
                f"{card.name} has no cell or subset {word!r}: "
                + nearest(word, (*known, *sets, *card.variants))
            )
    kept = [name for name in dict.fromkeys(wanted or names) if name not in drop]
    if not kept:
        raise BadSetting(f"cells={','.join(words)!r} leaves no cell of {card.name}")
    return [known[name] for name in kept]


def keep(recording: Recording, chosen: list[int]) -> Recording:
    """The recording with the cells of those indices, in that order."""
    if chosen == list(range(len(recording.cells))):
        return recording
    truth = recording.truth
    if truth is not None:
        truth = {
            block: {key: value[..., chosen] for key, value in arrays.items()}
            for block, arrays in truth.items()
        }
    return dataclasses.replace(
        recording,
        cells=tuple(recording.cells[i] for i in chosen),
        blocks=tuple(_keep_block(block, chosen) for block in recording.blocks),
        truth=truth,
    )


def _keep_block(block: Block, chosen: list[int]) -> Block:
    if block.counts is not None:
        return dataclasses.replace(block, counts=block.counts[..., chosen])
    assert block.spikes is not None
    spikes = tuple(tuple(trial[i] for i in chosen) for trial in block.spikes)
    return dataclasses.replace(block, spikes=spikes)
