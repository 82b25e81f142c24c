"""Which recording a card stands for: a word that changes when its numbers may."""

from __future__ import annotations

import hashlib
from typing import Any

from retina.data import fetch, verify
from retina.data.card import Card

# What a card says of a recording without changing any of its numbers.
_WORDS = (
    *("title", "species", "citation", "licence", "source", "doi", "publish"),
    *("verified", "stimulus_unit", "mean_rstar_source", "notes", "cell_types"),
    *("data_doi", "stimulus"),
)


def digest(card: Card) -> str:
    """A hash of all that decides which numbers a card stands for, files included.

    Files with a sum in the card count by it. What a person keeps without one, and may
    edit, counts by its bytes where it is at hand: "CARD+FILES", else "CARD" alone.

    >>> from retina.data.card import read
    >>> len(digest(read("simulated")))
    16
    """
    # A card that does not say how bright it was keeps the digest from before the key.
    silent = {"mean_rstar_per_s"} if card.mean_rstar_per_s is None else set()
    left_out: dict[str, Any] = dict.fromkeys({*_WORDS, *silent}, True)
    # Where the same bytes lie as well changes nothing.
    elsewhere = {"__all__": {"mirrors"}}
    variants = {"__all__": {"files": elsewhere, "notes": True}}
    left_out |= {"files": elsewhere, "variants": variants}
    decides = card.model_dump_json(exclude=left_out)
    if card.reader == "simulated":
        from retina.data.simulate import VERSION

        decides += f" version {VERSION}"
    said, held = hashlib.sha256(decides.encode()).hexdigest()[:16], _held(card)
    return f"{said}+{held}" if held else said


def same(one: str, other: str) -> bool:
    """Whether two digests may be of one recording.

    Where files were not at hand for one of them, the cards alone say so.

    >>> same("a+1", "a"), same("a+1", "a+2"), same("a", "b")
    (True, False, False)
    """
    (card, _, held), (card_too, _, held_too) = (w.partition("+") for w in (one, other))
    return card == card_too and (held == held_too or not (held and held_too))


def _held(card: Card) -> str:
    """Of the bytes of a person's own files; "" for published ones, or where one lacks.

    Nobody edits what was published, and not all of its variants need be here.
    """
    every = (*card.files, *(f for one in card.variants.values() for f in one.files))
    own = [file for file in every if not (file.sha256 or file.optional or file.url)]
    if card.unread or not own:
        return ""
    folder, _ = fetch.holder(card.model_copy(update={"files": every}), card.named)
    paths = {file.path: folder / file.path for file in own}
    if not all(path.is_file() for path in paths.values()):
        return ""
    sums = [f"{name} {verify.fingerprint(path)}" for name, path in paths.items()]
    return hashlib.sha256("\n".join(sums).encode()).hexdigest()[:16]
