"""Cards written from a published layout, and what only such cards need."""

from __future__ import annotations

import numpy as np
import pytest

from retina.data import card as cards
from retina.data.check import check
from retina.data.fetch import fetch
from retina.data.load import load
from retina.data.split import split
from retina.errors import BadCard, BadSetting, Leak, MissingData, ShapeMismatch

from . import layouts
from .conftest import arrays

SHARES = """
[[splits]]
role = "train"
share = [0.0, 0.5]

[[splits]]
role = "validation"
share = [0.5, 0.6]

[[splits]]
role = "test"
group = "running"
share = [0.6, 1.0]
expect = { trials = 7 }
"""
PUBLIC = 'source = "https://example.org/data"'


def public(card):
    """The card, as of a data set that is published somewhere."""
    text = card.read_text().replace('source = "here"', PUBLIC)
    card.write_text(text)
    return card


def test_a_share_is_of_all_frames(npz_card):
    made = split(load(npz_card(arrays(), splits=SHARES.replace("trials = 7", ""))))
    assert [clip.bins for clip in made.train] == [140]  # 150, less 10 of history
    assert made.validation[0].bins == 30 and made.test[0].bins == 120
    wanted = arrays()["stimulus"].astype(np.float32)
    np.testing.assert_array_equal(made.test[0].stimulus, wanted[170:])


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[0.0, 0.5]", "[0.5, 0.4]", "is not a range within"),
        ("[0.0, 0.5]", "[0.0, 1.5]", "is not a range within"),
        ("share = [0.0, 0.5]", "frames = [10, 150]", "by frames and by share"),
        ("share = [0.0, 0.5]", "share = [0.0, 0.5]\nframes = [10, 20]", "either"),
        ("share = [0.0, 0.5]", "share = [0.0, 0.01]", "nothing but history"),
    ],
)
def test_a_share_that_is_none(npz_card, old, new, said):
    with pytest.raises(BadCard, match=said):
        load(npz_card(arrays(), splits=SHARES.replace(old, new)))


def test_shares_that_overlap_are_a_leak(npz_card):
    splits = SHARES.replace("[0.5, 0.6]", "[0.4, 0.6]").replace("trials = 7", "")
    with pytest.raises(Leak, match="share frames"):
        load(npz_card(arrays(), splits=splits))


def test_what_nobody_has_read_is_told_and_not_refused(npz_card):
    """Cells, frames and repeats that differ: a note that says how, not an error."""
    with pytest.raises(ShapeMismatch, match=r"1 trials \(card: 7\)"):
        load(npz_card(arrays(), splits=SHARES))
    extra = "frame = [3]"
    card = public(npz_card(arrays(), splits=SHARES, extra=extra))
    (note,) = [n for n in load(card).notes if "is not verified" in n]
    for words in ("1 trials (card: 7)", "1 pixel (card: 3)", "retina check"):
        assert words in note
    assert note in split(load(card)).notes, "a fit prints these"
    wrong = [f.text for f in check(card) if f.level == "wrong"]
    assert any("1 trials (card: 7)" in text for text in wrong)


def test_a_verified_card_carries_no_caveat(npz_card):
    splits = SHARES.replace("trials = 7", "trials = 1")
    card = public(npz_card(arrays(), splits=splits, extra="verified = true"))
    assert not load(card).notes
    card.write_text(card.read_text().replace("trials = 1 }", "trials = 2 }"))
    with pytest.raises(ShapeMismatch, match=r"1 trials \(card: 2\)"):
        load(card)


def test_each_variant_has_its_files_cells_and_subsets(cache):
    """The Stanford sessions: a file, a number of cells and a selection each."""
    folder = cache / "small"
    folder.mkdir()
    (name,) = layouts.stanford(folder)
    (folder / name).rename(folder / "one.h5")
    card = cache / "small.toml"
    text = layouts.STANFORD.card(cache).read_text()
    head = text.partition("[options]")[0]
    text = head + 'default_variant = "one"\n[options]\nblocks = 3\n'
    for key, cells in (("one", ["2", "0"]), ("two", ["1"])):
        text += f"""
        [variants.{key}]
        subsets = {{ paper = {cells} }}
        default_cells = "paper"
        notes = ["of {key}"]
        [variants.{key}.options]
        file = "{key}.h5"
        [[variants.{key}.files]]
        path = "{key}.h5"
        """.replace("'", '"')
        for part in layouts.STANFORD.splits.split("[[splits]]")[1:]:
            text += f"[[variants.{key}.splits]]{part}"
    card.write_text(text)
    made = load(card)
    assert [cell.name for cell in made.cells] == ["2", "0"]
    assert "of one" in made.notes and "of two" not in made.notes
    with pytest.raises(MissingData, match="two.h5 not in.*--variant two"):
        load(card, cells="two")
    source = cache / "source"
    source.mkdir()
    (folder / "naturalscene.h5").rename(source / "two.h5")
    with pytest.raises(BadSetting, match="no variant 'too'.*'two'"):
        fetch(card, source=source, variant="too", say=lambda line: None)
    fetch(card, source=source, variant="two", say=lambda line: None)
    assert [cell.name for cell in load(card, cells="two").cells] == ["1"]
    assert [cell.name for cell in load(card, cells="two,all").cells] == ["0", "1", "2"]
    fetch(card, source=source, variant="all", say=lambda line: None)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            '[[files]]\npath = "a"\n[[files]]\npath = "a"\nurl = "https://x"',
            "two files",
        ),
        ('[[files]]\npath = "a"\narchive = "b.zip"', "archive 'b.zip' of 'a'"),
        ('[[files]]\npath = "a"\narchive = "a"', "archive 'a' of 'a'"),
    ],
)
def test_files_that_do_not_fit_together(npz_card, line, said):
    card = npz_card(arrays())
    card.write_text(card.read_text() + line)
    with pytest.raises(BadCard, match=said):
        cards.read(card)


def test_an_option_of_another_kind_is_told(cache):
    options = layouts.STANFORD.options.replace("skip = 5", 'skip = "five"')
    with pytest.raises(BadCard, match="option 'skip' is 'five', not like 0"):
        load(layouts.STANFORD.card(cache, options))
