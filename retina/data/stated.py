"""What a card says by itself: terms, units, light, splits, and sums of its files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from retina.data import fetch, verify
from retina.data.card import Card
from retina.data.finding import Finding
from retina.data.leak import shared, twice
from retina.data.rules import SplitRule


def words(card: Card) -> Iterator[Finding]:
    """Licence, species, units, light, whether it was verified, and its notes."""
    unknown = card.licence.lower().startswith(("none", "unknown", "not "))
    yield Finding("note" if unknown else "ok", "licence", card.licence)
    if not card.publish:
        yield Finding("note", "licence", "results must not be published")
    level = "note" if card.species == "not stated" else "ok"
    yield Finding(level, "species", card.species)
    if card.stimulus_unit:
        yield Finding("ok", "units", f"stimulus: {card.stimulus_unit}; times: seconds")
    else:
        yield Finding("wrong", "units", "the card lacks stimulus_unit")
    if card.mean_rstar_per_s is None:
        text = "mean_rstar_per_s is not given: models with a photoreceptor ask for it"
        yield Finding("note", "light", text)
    else:
        mean = f"mean {card.mean_rstar_per_s:g} R*/photoreceptor/s"
        yield Finding("ok", "light", f"{mean} ({card.mean_rstar_source})")
    if not card.verified:
        yield Finding("note", "verified", "no one has read the real bytes yet")
    for note in card.notes:
        yield Finding("note", "trap", note)


def splits(rules: tuple[SplitRule, ...], variant: str) -> Iterator[Finding]:
    """Roles that are missing, and frames that two splits take."""
    where = f"splits {variant}".strip()
    for role in ("train", "validation", "test"):
        if not any(rule.role == role for rule in rules):
            yield Finding("wrong", where, f"there is no {role} split")
    for text in shared(rules):
        yield Finding("wrong", where, text)
    for text in twice(rules):
        yield Finding("note", where, text)


def sums(card: Card, name: str | Path) -> Iterator[Finding]:
    """The sha256 of each file that is there.

    raises: what `retina.data.fetch.local` raises.
    """
    folder = fetch.local(card, name)
    for file in card.files:
        path = folder / file.path
        if not path.is_file():
            continue
        if file.sha256:
            yield Finding("ok", "files", f"{file.path}: sha256 verified")
        else:
            size, digest = path.stat().st_size, verify.sha256(path)
            yield Finding(
                "note",
                "files",
                f'{file.path} has no sha256 in the card: sha256 = "{digest}", '
                f"bytes = {size}",
            )
