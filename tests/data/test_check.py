"""`check` on recordings with one thing wrong in each."""

from __future__ import annotations

import numpy as np
import pytest

from retina.data.check import check
from retina.data.load import load
from retina.data.split import split
from retina.data.sta import peaks, sta
from retina.errors import BadCard, BadResponse, BadSetting
from retina.types import Clip

from .conftest import arrays


def levels(findings, about):
    return {finding.level for finding in findings if finding.about.startswith(about)}


def wrong(findings):
    return [finding.text for finding in findings if finding.level == "wrong"]


def long(frames=3000, seed=0):
    return arrays(seed, frames)


LONG = """
[[splits]]
role = "train"
frames = [10, 2000]

[[splits]]
role = "validation"
frames = [2000, 2500]

[[splits]]
role = "test"
group = "running"
frames = [2500, 3000]
"""


def test_a_sound_recording_has_nothing_wrong(npz_card):
    findings = check(npz_card(long(), splits=LONG))
    assert not wrong(findings)
    aligned = [f.text for f in findings if f.about == "alignment"][0]
    assert "2 at 2; 1 negative, 1 positive" in aligned
    assert any("expect = { blocks = 1" in f.text for f in findings)
    assert any("not repeated" in f.text for f in findings)


def test_a_response_that_comes_first_is_found(npz_card):
    table = long()
    table["stimulus"] = np.roll(table["stimulus"], 4)
    (text,) = wrong(check(npz_card(table, splits=LONG)))
    assert "after the events" in text and "cell 0, 1" in text


def test_test_stimulus_in_training_is_found(npz_card):
    table = long()
    table["stimulus"][300:800] = table["stimulus"][2500:3000]
    texts = wrong(check(npz_card(table, splits=LONG)))
    assert len(texts) == 1
    assert "bins 10-509 of 'running" in texts[0]


def test_training_stimulus_in_validation_is_noted(npz_card):
    table = long()
    table["stimulus"][300:500] = table["stimulus"][2000:2200]
    found = check(npz_card(table, splits=LONG))
    (text,) = [f.text for f in found if "validation shows" in f.text]
    assert "bins 10-209 of 'validation" in text and not wrong(found)


def test_times_in_milliseconds_are_wrong(npz_card):
    card = npz_card(long(), splits=LONG, frame_s=20.0)
    (text,) = [t for t in wrong(check(card)) if "milliseconds" in t]
    assert "a frame lasts 20 s" in text


def test_a_test_too_short_to_be_told_from_training_is_noted(npz_card):
    table = long()
    kept, values = np.exp(-1 / 60), table["stimulus"]
    for i in range(1, len(values)):
        values[i] += kept * values[i - 1]
    found = check(npz_card(table, splits=LONG))
    texts = [f.text for f in found if (f.level, f.about) == ("note", "splits")]
    assert "too short to tell" in texts[0] and texts[0].endswith(
        "clip running_2500_3000"
    )
    assert not any("no test stimulus" in f.text for f in found)


def test_test_images_in_training_are_found(npz_card):
    rng = np.random.default_rng(0)
    table = long() | {"stimulus": rng.choice(np.array([-1, 1], np.int8), (3000, 3, 4))}
    card = npz_card(table, splits=LONG, coding="contrast")
    assert not [text for text in wrong(check(card)) if "bins" in text]
    table["stimulus"][400:406] = table["stimulus"][2700:2706]
    texts = wrong(check(npz_card(table, splits=LONG, coding="contrast")))
    assert any("leave these frames out of training" in text for text in texts)


def test_splits_that_share_frames_are_found(npz_card):
    splits = LONG.replace("[2000, 2500]", "[1900, 2500]")
    texts = wrong(check(npz_card(long(), splits=splits)))
    assert any("train (10, 2000) and validation (1900, 2500)" in text for text in texts)


def test_spike_times_in_other_units_are_found(npz_card):
    table = long()
    table["spike_s"] = table["spike_s"] / 1000
    texts = wrong(check(npz_card(table, splits=LONG)))
    assert any("are they in seconds" in text for text in texts)


def test_times_of_frames_in_milliseconds_are_refused(npz_card):
    """Else all spikes would be fitted as the answer to the first few frames."""
    table = long()
    table["onsets_s"] = np.arange(3001) * 100.0
    with pytest.raises(BadResponse, match="and the times of frames .* not millisec"):
        load(npz_card(table, splits=LONG, frame_s=100.0))


def test_spikes_that_come_as_frames_begin_are_told(npz_card):
    """Of counts made into times, rounding decides which frame each falls into."""
    table = long()
    table["spike_s"] = np.floor(table["spike_s"] / 0.1) / 10
    notes = load(npz_card(table, splits=LONG)).notes
    assert any("add half a frame to the times" in note for note in notes)
    table["spike_s"] = table["spike_s"] + 0.05
    assert not load(npz_card(table, splits=LONG)).notes


def test_which_part_says_when_to_stop_is_told(npz_card):
    (said,) = (f.text for f in check(npz_card(arrays())) if "stopped by" in f.text)
    assert said.startswith(
        "fitted to 19 s (train_10_200), stopped by 5 s that are not "
    )


def test_light_that_is_called_contrast_is_found(npz_card):
    table = long()
    table["stimulus"] = 128 + 40 * table["stimulus"]
    findings = check(npz_card(table, splits=LONG, coding="contrast"))
    (text,) = [f.text for f in findings if f.about == "coding"]
    assert "mean 0" in text and 'write coding = "light"' in text
    assert not levels(check(npz_card(table, splits=LONG)), "coding")


def test_what_a_card_lacks_is_listed(npz_card):
    card = npz_card(long(), splits=LONG)
    text = card.read_text()
    digest = text.split('sha256 = "')[1].split('"')[0]
    card.write_text(
        text.replace(digest, "").replace(
            'stimulus_unit = "arbitrary"', "publish = false"
        )
    )
    findings = check(card)
    assert wrong(findings) == ["the card lacks stimulus_unit"]
    assert any(digest in f.text and f.level == "note" for f in findings)
    assert any("must not be published" in f.text for f in findings)
    assert any("real bytes" in f.text for f in findings)


def test_missing_files_end_the_list(npz_card, cache):
    card = npz_card(long(), splits=LONG)
    (cache / "small" / "small.npz").unlink()
    last = check(card)[-1]
    assert last.level == "wrong" and f"retina fetch {card}" in last.text


def test_a_silent_cell_does_not_end_the_checks(npz_card):
    """The card's line that is advised does leave it out."""
    table = long()
    keep = (table["spike_cell"] == 0) | (table["spike_s"] > 250)
    table |= {name: table[name][keep] for name in ("spike_s", "spike_cell")}
    findings = check(npz_card(table, splits=LONG))
    (text,) = wrong(findings)
    advised = 'default_cells = "-1"'
    assert "cell 1: no spike" in text and advised in text and "--cells=-1" in text
    assert levels(findings, "alignment") and levels(findings, "repeats")
    assert not wrong(check(npz_card(table, splits=LONG), cells="-1"))
    card = npz_card(table, splits=LONG, extra=advised)
    findings = check(card)
    assert not wrong(findings) and levels(findings, "alignment")
    assert any("not among the chosen" in f.text for f in findings)
    assert [cell.name for cell in load(card).cells] == ["0"]
    assert [cell.name for cell in load(card, cells="1").cells] == ["1"]
    with pytest.raises(BadSetting, match="leaves no cell"):
        load(card, cells="-0")


def test_options_that_nobody_reads_are_refused(npz_card):
    card = npz_card(long(), splits=LONG)
    own = 'file = "small.npz"'
    more = f'{own}\ntrials = ["a.csv", "start_s"]'
    card.write_text(card.read_text().replace(own, more, 1))
    with pytest.raises(BadCard, match="options trials go with stimulus"):
        load(card)


def test_a_missing_role_is_found(npz_card):
    splits = LONG.split("[[splits]]")
    texts = wrong(check(npz_card(long(), splits="[[splits]]" + splits[1])))
    assert "there is no validation split" in texts and "there is no test split" in texts


@pytest.mark.parametrize("lag", [0, 1, 5])
def test_the_average_finds_a_filter(lag):
    """White noise through one tap: the STA is the tap, up to its error."""
    rng = np.random.default_rng(lag)
    stimulus = rng.standard_normal((20000, 3)).astype(np.float32)
    drive = np.roll(stimulus[:, 1], lag)
    response = rng.poisson(np.exp(drive - 1))[None, :, None].astype(np.float32)
    lags = range(-3, 8)
    average = sta([Clip("a", stimulus, response, skip=10)], lags)
    # Under exp(drive - 1) the mean of a unit Gaussian stimulus at an event is 1.
    wanted = np.zeros((11, 1, 3))
    wanted[lag + 3, 0, 1] = 1.0
    # The standard error of a mean with these weights; 5 of them bound all 33 entries.
    error = np.sqrt((response**2).sum()) / response.sum()
    np.testing.assert_allclose(average, wanted, atol=5 * error)
    at, signs = peaks(average, lags)
    assert (at.tolist(), signs.tolist()) == ([lag], [1])


LIT = 'mean_rstar_per_s = 3000.0\nmean_rstar_source = "Somebody (2020), p. 3"'


def test_how_bright_it_was_is_told_and_reaches_the_model(npz_card):
    (asked,) = [f for f in check(npz_card(long(), splits=LONG)) if f.about == "light"]
    assert asked.level == "note" and "mean_rstar_per_s" in asked.text
    card = npz_card(long(), splits=LONG, extra=LIT)
    told = [f.text for f in check(card) if f.about == "light"]
    assert "mean 3000 R*/photoreceptor/s (Somebody (2020), p. 3)" in told
    # White noise about 0 is no light from 0 up.
    assert any("below 0, which is darkness" in text for text in told)
    assert split(load(card)).spec.mean_rstar_per_s == 3000
