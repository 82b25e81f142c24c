"""What every card promises, checked on each file of datasets/."""

from __future__ import annotations

import pytest

from retina import registry, resources
from retina.data import card as cards
from retina.data.stated import splits
from retina.errors import MissingData, UnreadableFile

CARDS = pytest.mark.parametrize("name", registry.names("datasets"))


def variants(card):
    return [card.variant(name) for name in card.variants or ("",)]


def every(card):
    return dict.fromkeys(file for one in variants(card) for file in one.files)


@CARDS
def test_it_parses_under_its_own_name(name):
    assert cards.read(name).name == name
    assert resources.path("datasets", name).name == f"{name}.toml"


@CARDS
def test_it_says_where_it_comes_from_and_on_what_terms(name):
    card = cards.read(name)
    words = "title species citation licence source stimulus stimulus_unit"
    for word in words.split():
        assert getattr(card, word).strip(), f"{word} is empty"
    assert card.notes, "a card without a note has not been looked at"


@CARDS
def test_its_reader_exists(name):
    assert callable(registry.find("readers", cards.read(name).reader))


@CARDS
def test_its_files_can_be_fetched_and_verified(name):
    card = cards.read(name)
    if card.reader == "simulated":
        assert not card.files
        return
    assert every(card)
    for file in every(card):
        here = file.optional or file.archive or not card.verified
        assert here or file.url.startswith("https://"), file.path
        assert file.url.startswith("https://") or not file.url
        assert file.bytes > 0 or not card.verified
        # Else `retina fetch` could not say where to look for it.
        assert file.url or file.archive or file.optional or card.page
        assert file.sha256 or not card.verified
        # The address is of a fixed version, not of whatever stands there today.
        if file.url and card.verified:
            assert card.source.split("/tree/")[-1].split("/")[0] in file.url


@CARDS
def test_its_splits_state_what_they_hold(name):
    for card in variants(cards.read(name)):
        roles = {rule.role for rule in card.splits}
        assert roles == {"train", "validation", "test"}
        for rule in card.splits:
            assert rule.expect or not card.verified
            if rule.expect and rule.expect.frames and rule.frames and not rule.trials:
                frames = sum(stop - start for start, stop in rule.frames)
                # A frame that stayed on for two counts as two.
                assert 0 <= rule.expect.frames - frames <= 0.001 * frames
            if card.reader != "simulated" and card.verified:
                assert rule.expect and rule.expect.events
        assert not [f for f in splits(card.splits, "") if f.level == "wrong"]


@CARDS
def test_its_cells_exist(name):
    for card in variants(cards.read(name)):
        for cells in card.subsets.values():
            assert cells and len(set(cells)) == len(cells)
            assert len(cells) <= card.cell_count


@CARDS
def test_history_is_there_before_every_scored_frame(name):
    for card in variants(cards.read(name)):
        assert all(a >= card.lead for rule in card.splits for a, _ in rule.frames)
        assert card.lead * card.frame_s >= 0.25, "a retina remembers a quarter second"


@CARDS
def test_its_options_are_those_of_its_reader(name, tmp_path):
    """Without its files, a reader gets as far as missing them."""
    for card in variants(cards.read(name)):
        if not card.unread:
            continue
        with pytest.raises((MissingData, UnreadableFile)) as error:
            registry.find("readers", card.reader)(tmp_path, card)
        assert "\n" not in str(error.value)
