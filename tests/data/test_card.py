"""A card with a mistake: one line that names the key and the nearest valid one."""

from __future__ import annotations

import numpy as np
import pytest

from retina.data import card as cards
from retina.data import identity
from retina.errors import BadCard, UnknownName

from .conftest import HEAD, SPLITS, arrays, unsummed

GOOD = HEAD.format(
    name="small", reader="npz", coding="light", frame_s=0.1, lead=10, cells=2
)


def read(tmp_path, text):
    path = tmp_path / "small.toml"
    path.write_text(text)
    return cards.read(path)


def test_a_good_card_is_read(tmp_path):
    card = read(tmp_path, GOOD + SPLITS)
    assert (card.name, card.lead, len(card.splits)) == ("small", 10, 3)
    assert card.splits[0].frames == ((10, 200),)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (GOOD.replace("species", "specie"), ["'specie'", "'species'"]),
        (GOOD + SPLITS.replace("role", "rolle", 1), ["splits.0.rolle", "'role'"]),
        (
            GOOD + SPLITS + '[[files]]\npath = "a"\nsha265 = ""\n',
            ["files.0.sha265", "'sha256'"],
        ),
        (
            GOOD + SPLITS.replace("[10, 200]", "[10, 200]\nexpect = { cell = 3 }"),
            ["splits.0.expect.cell", "blocks"],
        ),
        (GOOD.replace('title = "a small recording"\n', ""), ["'title' is missing"]),
        (GOOD + SPLITS.replace("[10, 200]", "[200, 10]"), ["[200, 10] is not a range"]),
        (GOOD + SPLITS.replace("[10, 200]", "[9, 200]"), ["frame 9", "10 frames"]),
        (GOOD + SPLITS.replace('group = "running"', ""), ["needs a group"]),
        (GOOD + SPLITS.replace("validation", "train"), ["two splits are train"]),
        (GOOD + 'default_cells = "lited"\nsubsets = { listed = ["1"] }', ["'listed'"]),
        (GOOD + 'verified = true\nfiles = [{ path = "a" }]', ["no sha256"]),
        (GOOD + 'files = [{ path = "../a" }]', ["leaves the data set's folder"]),
        (GOOD + 'files = [{ path = "/a" }]', ["leaves the data set's folder"]),
        (GOOD.replace('"light"', '"dark"'), ["coding", "'contrast' or 'light'"]),
        (GOOD + "lead = 3\n", ["is not TOML"]),
        (GOOD + SPLITS.replace("[10, 200]", "[]"), ["splits.0", "either frames"]),
        (GOOD.replace('"small"', '"other"'), ["named 'other'", 'name = "small"']),
    ],
)
def test_a_mistake_gives_one_line(tmp_path, text, words):
    with pytest.raises(BadCard) as error:
        read(tmp_path, text)
    said = str(error.value)
    assert "\n" not in said and "small.toml" in said
    for word in words:
        assert word in said


def test_what_decides_the_numbers_is_in_the_digest(tmp_path):
    first = identity.digest(read(tmp_path, GOOD + SPLITS))
    words = GOOD.replace("a small recording", "a smaller recording")
    assert identity.digest(read(tmp_path, words + SPLITS)) == first
    moved = SPLITS.replace("[250, 300]", "[240, 300]")
    assert identity.digest(read(tmp_path, GOOD + moved)) != first


def test_notes_of_a_variant_are_words_as_well(tmp_path):
    variant = SPLITS.replace("[[splits]]", "[[variants.one.splits]]")
    text = GOOD + 'default_variant = "one"\n[variants.one]\nnotes = ["{}"]\n' + variant
    one, other = (identity.digest(read(tmp_path, text.format(w))) for w in ("a", "b"))
    assert one == other


def test_a_file_of_ones_own_that_was_edited_is_another_recording(npz_card):
    card = npz_card(arrays())
    file = card.parent / "small" / "small.npz"
    card.write_text(unsummed(card.read_text()))
    first, again = (identity.digest(cards.read(card)) for _ in range(2))
    assert first == again
    np.savez(file, **arrays(1))  # type: ignore[arg-type]
    other = identity.digest(cards.read(card))
    assert not identity.same(first, other)
    file.unlink()  # on another machine the run is still of this card
    away = identity.digest(cards.read(card))
    assert identity.same(first, away) and identity.same(away, other)


def test_the_bytes_that_count_are_those_that_are_loaded(cache, tmp_path):
    """A file that is left over in the cache is not, where its other half is gone."""
    files = "\n".join(f'[[files]]\npath = "{name}"' for name in ("a.npy", "b.npy"))
    card = read(tmp_path, GOOD + SPLITS + files)
    for name in ("a.npy", "b.npy"):
        np.save(tmp_path / name, np.zeros(2))
    alone = identity.digest(card)
    (cache / "small").mkdir()
    np.save(cache / "small" / "a.npy", np.ones(2))
    assert "+" in alone and identity.digest(card) == alone
    np.save(tmp_path / "a.npy", np.ones(2))
    assert identity.digest(card) != alone


LIT = 'mean_rstar_per_s = 3000\nmean_rstar_source = "Somebody (2020), p. 3"\n'


def test_how_bright_it_was_comes_with_a_source_or_not_at_all(tmp_path):
    for line in LIT.splitlines():
        with pytest.raises(BadCard, match="go together: give both, or neither"):
            read(tmp_path, GOOD + line + SPLITS)
    with pytest.raises(BadCard, match="mean_rstar_per_s: .* greater than 0"):
        read(tmp_path, GOOD + LIT.replace("3000", "0") + SPLITS)
    assert read(tmp_path, GOOD + LIT + SPLITS).mean_rstar_per_s == 3000


def test_how_bright_it_was_is_part_of_what_a_fit_saw(tmp_path):
    """Its source is not."""
    plain, lit = read(tmp_path, GOOD + SPLITS), read(tmp_path, GOOD + LIT + SPLITS)
    other = read(tmp_path, GOOD + LIT.replace("Somebody", "Another") + SPLITS)
    assert identity.digest(plain) != identity.digest(lit) == identity.digest(other)


def test_the_size_of_a_pixel_is_too():
    """`circuit` pools in um; a card that does not say it keeps its digest."""
    one = cards.read("goldin2022_mouse")
    assert one.pixel_um == 28
    assert identity.digest(one) != identity.digest(
        one.model_copy(update={"pixel_um": 30.0})
    )
    assert "pixel_um" not in cards.read("simulated").model_dump_json()


def test_an_unknown_name_gives_the_nearest():
    with pytest.raises(UnknownName, match="shayp_salamander_fullfield"):
        cards.read("shayp_salamander_fulfield")


def test_a_variant_replaces_options_and_splits():
    card = cards.read("schroeder2019_bipolar_glutamate")
    assert card.variant().options["stimulus"] == "stim_gauss"
    binary = card.variant("cell1_binary")
    assert binary.options["stimulus"] == "stim_binary"
    assert len(binary.splits[0].frames) == 5
