"""The table of datasets/README.md says what the cards say.

``python tests/data/test_table.py`` prints it anew.
"""

from __future__ import annotations

import re
from pathlib import Path

from retina import registry
from retina.data import card as cards

README = Path(__file__).parents[2] / "datasets" / "README.md"
HEAD = "data set|species|cells|stimulus|minutes|repeats|ceiling|verified|licence"
UNKNOWN = "not known"
FEW = 4  # `retina check` calls fewer repeats too few for a noise ceiling
# Median CC_max that `retina check NAME` prints, and of how many cells it is: those of
# the default variant. tests/real/test_checks.py measures those of real cells.
MEASURED = {
    "gollisch_whitenoise_78rgc": (0.998, 16),
    "schroeder2019_bipolar_glutamate": (0.876, 1),
    "shayp_salamander_fullfield": (0.967, 60),
    "simulated": (0.993, 12),
    "simulated_steps": (0.994, 12),
}


def table() -> str:
    rows = [HEAD.split("|"), ["---"] * len(HEAD.split("|"))]
    rows += [row(cards.read(name)) for name in registry.names("datasets")]
    return "\n".join(f"| {' | '.join(words)} |" for words in rows)


def row(card: cards.Card) -> list[str]:
    # The default variant comes first, and it is the one whose minutes are told.
    names = sorted(card.variants, key=lambda name: name != card.default_variant)
    variants = [card.variant(name) for name in names or [""]]
    counts = dict.fromkeys(str(one.cell_count or UNKNOWN) for one in variants)
    repeats = [n for one in variants if (n := repeated(one))]
    most = max(repeats, default=0)
    return [
        f"`{card.name}`",
        card.species.partition(" (")[0],
        ", ".join(counts),
        card.stimulus + (", graded responses" if card.event == "graded" else ""),
        minutes(variants[0]),
        ", ".join(map(str, dict.fromkeys(repeats))) or UNKNOWN,
        ceiling(card, most),
        ("yes" if card.verified else "**no**")
        + ("" if card.publish else ", results must not be published"),
        re.split("[;:(,]", card.licence)[0].strip(),
    ]


def ceiling(card: cards.Card, repeats: int) -> str:
    if card.name in MEASURED:
        median, cells = MEASURED[card.name]
        return f"{median:.3f} ({cells} cell{'s' if cells > 1 else ''})"
    if repeats < FEW:
        return "too few" if repeats > 1 else "no" if repeats else UNKNOWN
    return "yes"


def repeated(card: cards.Card) -> int:
    """Times that the test was shown, 0 where it is not known."""
    known = [r.expect for r in card.splits if r.role == "test" and r.expect]
    each = [e.trials // (e.blocks or 1) for e in known if e.trials]
    return max(each, default=0)


def minutes(card: cards.Card) -> str:
    """Scored minutes of the stimulus, each repeat once."""
    frames = [r.expect.frames if r.expect else None for r in card.splits]
    known = [n for n in frames if n]
    if len(known) < len(frames):
        return UNKNOWN
    return f"{sum(known) * card.frame_s / 60:.1f}"


def test_the_table_is_that_of_the_cards():
    text = README.read_text(encoding="utf-8")
    assert table() in text, "python tests/data/test_table.py prints what it should be"


if __name__ == "__main__":
    print(table())
