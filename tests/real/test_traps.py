"""`retina check` finds the known traps of a recording whose card knows of none."""

from __future__ import annotations

import pytest

from retina import resources
from retina.data.caveats import SHIFTED
from retina.data.check import check
from retina.data.load import load
from retina.data.quality.shifted import shifted
from retina.data.split import split

SHAYP = "shayp_salamander_fullfield"


@pytest.fixture(scope="module")
def naive(real, tmp_path_factory):
    """A card that takes the files as they come: every frame, the first repeat."""
    folder = real(SHAYP)
    tmp = tmp_path_factory.mktemp("naive")
    (tmp / "cache").mkdir()
    (tmp / "cache" / "naive").symlink_to(folder)
    lines = resources.path("datasets", SHAYP).read_text(encoding="utf-8").splitlines()
    text = "\n".join(line for line in lines if not line.startswith("expect"))
    start, rest = text.split("notes = [", 1)
    text = start + rest.split("\n]\n", 1)[1]
    for known, naive in (
        (f'name = "{SHAYP}"', 'name = "naive"'),
        ("repeat_stimulus_of = 2", "repeat_stimulus_of = 1"),
        ("frames = [16827, 19197]", "frames = [16827, 19790]"),
    ):
        assert known in text
        text = text.replace(known, naive)
    card = tmp / "naive.toml"
    card.write_text(text, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RETINA_CACHE", str(tmp / "cache"))
        yield card


@pytest.fixture(scope="module")
def found(naive):
    return check(naive)


def texts(found, about, level):
    return [f.text for f in found if (f.about, f.level) == (about, level)]


def test_the_hidden_repeat_is_test_stimulus_in_validation(found):
    (text,) = texts(found, "splits", "wrong")
    assert "frozen_30_600" in text and "validation_16827_19790" in text


def test_the_first_repeat_is_stored_one_frame_late(found):
    (text,) = texts(found, "alignment", "wrong")
    assert text.startswith("test 'frozen': events come 1 bin early")


@pytest.mark.slow  # it is loaded once more
def test_a_fit_says_so_too(naive):
    (said,) = shifted(split(load(naive)))
    assert said.startswith(f"{SHIFTED}test 'frozen': events come 1 bin early")


def test_two_frames_were_shown_for_two(found):
    (text,) = texts(found, "clock", "note")
    # Frames 12251 and 14244 of the file: each becomes two rows; the second is told.
    assert "frame 12252, 14246 " in text


def test_the_first_spikes_were_removed(found):
    (text,) = texts(found, "silence", "note")
    assert "trial 1: no cell has an event in the first 0.40 s" in text


def test_units_share_spikes_and_it_is_said_what_that_means(found):
    (text,) = texts(found, "shared", "note")
    assert int(text.split()[0]) > 150
    assert "within 2 ms" in text and "of the smaller train" in text
