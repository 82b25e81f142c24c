"""`retina check` on every real recording: nothing is wrong, and what is odd is told.

What a card keeps out of a recording is found again once the card does not know of it.
"""

from __future__ import annotations

import pytest

from retina import resources
from retina.data.card import read
from retina.data.check import check
from retina.data.load import load
from retina.data.quality.shifted import shifted
from retina.data.split import split
from tests.data.test_table import MEASURED

pytestmark = pytest.mark.slow


def ceiling(name: str) -> str:
    """As datasets/README.md has it."""
    return f"CC_max {MEASURED[name][0]:.3f} (median)"


# (level, about, words) of findings that must be there.
TOLD = {
    "gollisch_whitenoise_78rgc": [
        ("note", "licence", "none stated"),
        ("ok", "repeats", "test 'frozen': 219 repeats of 9.0 s"),
        ("note", "repeats", "not repeated"),
        ("note", "trials", "silent in some trials"),
        ("note", "shared", "not published"),
        ("note", "drift", "5 of 78 cells"),
        ("ok", "ceiling", ceiling("gollisch_whitenoise_78rgc")),
        # As its README: lags 4, 5 and 6, all OFF.
        ("ok", "alignment", "10 at 4, 5 at 5, 1 at 6; 16 negative, 0 positive"),
        ("ok", "fields", "16 cells have a receptive field"),
    ],
    "shayp_salamander_fullfield": [
        ("note", "read", "frame 12251 (2), 14244 (2) stayed on"),
        ("note", "silence", "no cell has an event in the first 0.40 s"),
        ("note", "shared", "172 pairs of units share more than 50%"),
        ("ok", "splits", "no test stimulus in training or validation"),
        ("ok", "ceiling", ceiling("shayp_salamander_fullfield")),
        ("ok", "alignment", "60 negative, 0 positive"),
    ],
    "uzzell2004_macaque_fullfield": [
        ("note", "licence", "results must not be published"),
        ("note", "trap", "says that spike times are in frames; they are in seconds"),
        ("note", "repeats", "no noise ceiling"),
        # Of the two ON and of the two OFF cells: they lie side by side.
        ("note", "shared", "2 pairs of units share more than 50%"),
        ("ok", "clock", "every frame lasts 0.008341 s"),
        ("ok", "alignment", "2 at 2, 2 at 3; 2 negative, 2 positive"),
    ],
    "schroeder2019_bipolar_glutamate": [
        ("ok", "repeats cell1_gauss", "4 repeats of 28.0 s"),
        ("note", "repeats cell2", "too few for a noise ceiling"),
        ("ok", "ceiling cell1_gauss", ceiling("schroeder2019_bipolar_glutamate")),
        ("ok", "splits cell1_binary", "no test stimulus in training or validation"),
        ("note", "drift cell2", "doubles or halves"),
    ],
}


@pytest.mark.parametrize("name", TOLD)
def test_a_real_recording(real, name):
    real(name)
    found = check(name)
    assert not [one for one in found if one.level == "wrong"]
    for variant in read(name).variants or (None,):  # nor does a fit say so
        assert shifted(split(load(name, cells=variant))) == []
    for level, about, words in TOLD[name]:
        texts = [one.text for one in found if (one.level, one.about) == (level, about)]
        assert any(words in text for text in texts), (about, words, texts)
    sizes = {len(one.per_cell) for one in found if one.per_cell}
    assert sizes == ({MEASURED[name][1]} if name in MEASURED else set())


@pytest.fixture
def naive(real, tmp_path, monkeypatch):
    """naive(name, {known: instead}) are the findings of a card that knows less."""

    def found(name, changes):
        folder = real(name)
        (tmp_path / "cache").mkdir()
        (tmp_path / "cache" / "naive").symlink_to(folder)
        lines = resources.path("datasets", name).read_text("utf-8").splitlines()
        text = "\n".join(line for line in lines if not line.startswith("expect"))
        for known, instead in {f'name = "{name}"': 'name = "naive"', **changes}.items():
            assert known in text
            text = text.replace(known, instead)
        card = tmp_path / "naive.toml"
        card.write_text(text, encoding="utf-8")
        monkeypatch.setenv("RETINA_CACHE", str(tmp_path / "cache"))
        return check(card)

    return found


def test_times_in_frames_as_the_bundled_readme_of_uzzell_has_it(naive):
    name = "uzzell2004_macaque_fullfield"
    found = naive(name, {"frame_s = 0.008340601826376293": "frame_s = 1.0"})
    (text,) = [one.text for one in found if one.level == "wrong"]
    assert "frames last 0.008341 s by their onsets (seconds), but frame_s = 1" in text


def test_light_that_begins_anew_is_test_stimulus_in_training(naive):
    """The binary light of schroeder repeats itself every 25.4 s."""
    cycles = "[30000, 35400],\n    [55400, 60800],\n    [80800, 86200],\n    "
    cycles += "[106200, 111600],"
    later = "[27400, 30000],\n    [52800, 55400],\n    [78200, 80800],\n    "
    later += "[103600, 106200],"
    learnt = "[10000, 27400],\n    [35400, 52800],\n    [60800, 78200],\n    "
    learnt += "[86200, 103600],\n    [111600, 129000],"
    plain = {cycles: "[112000, 140000],", later: "[98000, 112000],"}
    plain[learnt] = "[10000, 98000],"
    found = naive("schroeder2019_bipolar_glutamate", plain)
    wrong = [one.about for one in found if one.level == "wrong"]
    assert {"splits cell1_binary", "splits cell2"} == set(wrong)
