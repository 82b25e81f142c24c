"""NWB files as pynwb writes them: repeats, units of time, and the types of series."""

from __future__ import annotations

import datetime
import tomllib

import h5py
import numpy as np
import pytest

from retina.data.load import load
from retina.data.proposal.draft import draft
from retina.errors import BadCard, BadResponse, ShapeMismatch, UnreadableFile

from . import layouts
from .conftest import unsummed
from .layouts import CELLS, movie


def nwb_of(rows, ends=70, add=None, observed=False, **series):
    """A movie of 10 s, shown in the rows (start, stop) of a table of trials.

    add:  in place of a TimeSeries of it: adds to the file what is called "movie".
    ends: of the spikes, s.
    """

    def plain(pynwb, file):
        told = {"name": "movie", "unit": "a.u.", "rate": 10.0, **series}
        file.add_stimulus(pynwb.TimeSeries(data=movie(100), **told))

    def write(folder):
        pynwb = pytest.importorskip("pynwb")
        start = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
        file = pynwb.NWBFile("small", "small", start)
        (add or plain)(pynwb, file)
        for one in rows:
            file.add_trial(start_time=float(one[0]), stop_time=float(one[1]))
        rng = np.random.default_rng(5)
        for _ in range(CELLS):
            seen = {"obs_intervals": [[0.0, 100.0]]} if observed else {}
            file.add_unit(spike_times=np.sort(rng.uniform(0, ends, 800)), **seen)
        with pynwb.NWBHDF5IO(str(folder / "own.nwb"), "w") as io:
            io.write(file)
        return ["own.nwb"]

    options = 'file = "own.nwb"\n[options.parts.a]\nstimulus = "movie"\n'
    splits = layouts.SPLITS.format(train="a", test="a").replace("0, 1.0", "9, 1.0")
    splits = splits.replace("[0.75, 1.0]", "[0.75, 0.9]")
    return layouts.Layout("nwb", write, options + 'repeats = "trials"', splits)


def test_nwb_rows_that_are_no_complete_showing_are_refused(cache):
    rows = [(0, 10), (20, 23), (40, 50.05), (60, 61)]
    with pytest.raises(ShapeMismatch, match=r"the rows 1 \(3 s\), 3 \(1 s\) do not"):
        load(nwb_of(rows).card(cache))
    made = load(nwb_of(rows[::2]).card(cache))
    assert {block.trials for block in made.blocks} == {2}


def test_nwb_trials_within_a_long_movie(cache):
    shown = movie(100)
    shown[60:80] = shown[20:40]

    def add(pynwb, file):
        clock = np.arange(100) * 0.1
        told = {"name": "movie", "unit": "a.u.", "timestamps": clock}
        file.add_stimulus(pynwb.TimeSeries(data=shown, **told))

    card = nwb_of([(2, 4), (6, 8)], add=add).card(cache)
    with pytest.raises(ShapeMismatch, match="write trial_frames = how many"):
        load(card)
    text = card.read_text().replace(
        'repeats = "trials"', 'repeats = "trials"\ntrial_frames = 20'
    )
    at = text.rindex('part = "a"')  # the test
    text = text[:at] + text[at:].replace('part = "a"', 'part = "trials"', 1)
    card.write_text(text)
    (test,) = load(card).role("test")
    assert test.trials == 2
    np.testing.assert_array_equal(test.stimulus, shown[40 - len(test.stimulus) : 40])
    card.write_text(text.replace('repeats = "trials"\n', ""))
    with pytest.raises(BadCard, match="trial_frames of 'a' goes with repeats"):
        load(card)
    # All of this is proposed.
    text = draft("small", [card.parent / "small" / "own.nwb"])
    (part,) = tomllib.loads(text)["options"]["parts"].values()
    assert (part["repeats"], part["trial_frames"]) == ("trials", 20)
    card.write_text(text)
    made = load(card)
    (again,) = made.role("test")
    assert again.trials == 2 and made.frame_s == pytest.approx(0.1)
    np.testing.assert_array_equal(again.stimulus, shown[20:40])
    rows = {round(t * 10) for b in made.blocks if b.role != "test" for t in scored(b)}
    rest = {n for n in range(1, 100) if n % 40 not in (0, *range(20, 40))}
    assert rows == rest - {94}  # which leads into validation


def scored(block):
    return block.onsets_s[block.lead : -1]


def test_nwb_showings_of_a_whole_movie_are_proposed(cache):
    nwb_of([(0, 10), (20, 30), (40, 50)]).card(cache)
    text = draft("small", [cache / "small" / "own.nwb"])
    (cache / "small.toml").write_text(text)
    assert {block.trials for block in load(cache / "small.toml").blocks} == {3}
    # Those of another stimulus are left to the person.
    nwb_of([(0, 3), (20, 23)]).card(cache)
    text = draft("small", [cache / "small" / "own.nwb"])
    assert '# repeats = "trials"' in text


def test_nwb_trials_of_a_movie_beside_it(cache):
    shown = movie(100)
    shown[60:80] = shown[20:40]

    def nothing(pynwb, file):
        pass

    nwb_of([(2, 4), (6, 8)], ends=9, add=nothing).card(cache)
    np.save(cache / "small" / "movie.npy", shown)
    np.save(cache / "small" / "frame_times.npy", np.arange(100) * 0.1)
    files = [cache / "small" / n for n in ("own.nwb", "movie.npy", "frame_times.npy")]
    card = cache / "small.toml"
    card.write_text(draft("small", files))
    (test,) = load(card).role("test")
    assert test.trials == 2 and len(test.stimulus) == 20


def test_units_that_were_not_observed_all_the_while_are_told(cache):
    def add(pynwb, file):
        told = {"name": "movie", "unit": "a.u.", "rate": 10.0}
        file.add_stimulus(pynwb.TimeSeries(data=movie(100), **told))
        seen = [[0.0, 2.0], [6.0, 8.0]]
        file.add_unit(spike_times=np.arange(1, 50) / 10, obs_intervals=seen)

    layout = nwb_of([], add=add, observed=True)
    options = layout.options.replace('repeats = "trials"', "")
    notes = load(layout.card(cache, options, cells=CELLS + 1)).notes
    assert any("movie: cell 0 (40%): observed for so much" in note for note in notes)


def test_nwb_numbers_are_times_conversion_plus_offset(cache):
    layout = nwb_of([(0, 10)], conversion=1 / 255, offset=-0.5)
    block = load(layout.card(cache)).role("train")[0]
    assert block.stimulus.dtype == np.float32
    # One multiplication and one addition, each rounded to float32.
    wanted = movie(100)[: len(block.stimulus)] / 255 - 0.5
    np.testing.assert_allclose(block.stimulus, wanted, atol=1e-7)


def test_nwb_units_in_milliseconds_are_told(cache):
    layout = nwb_of([(0, 10)], ends=10000)
    for options in (layout.options, layout.options.replace('repeats = "trials"', "")):
        with pytest.raises(BadResponse, match="are they in seconds"):
            load(layout.card(cache, options))


def test_nwb_is_read_where_it_may_end_the_process(cache, monkeypatch):
    card = nwb_of([(0, 10)]).card(cache)

    def here(*given, **named):
        raise AssertionError("read in this process")

    monkeypatch.setattr("pynwb.NWBHDF5IO", here)
    assert load(card).blocks


STILLS = movie(6, 9)  # (image, y, x)
ORDER = np.random.default_rng(7).integers(0, 6, 100, np.uint32)


def pictures(order, shapes=(1, 1)):
    """An IndexSeries, as pynwb's tutorial on images has it: x before y."""

    def add(pynwb, file):
        stills = [
            pynwb.image.GrayscaleImage(name=f"i{n}", data=one.T[:: shapes[n == 3]])
            for n, one in enumerate(STILLS)
        ]
        references = pynwb.base.ImageReferences(name="order_of_images", data=stills)
        held = pynwb.base.Images(
            name="stills", images=stills, order_of_images=references
        )
        file.add_stimulus_template(held)
        told = {"name": "movie", "unit": "N/A", "rate": 10.0}
        file.add_stimulus(
            pynwb.image.IndexSeries(data=order, indexed_images=held, **told)
        )

    return nwb_of([(0, 10)], add=add)


def test_numbered_images_are_shown_as_images(cache):
    """Not as the flicker of a full field that their numbers would make."""
    made = load(pictures(ORDER).card(cache))
    (block,) = made.role("train")
    assert made.frame == STILLS.shape[1:]
    np.testing.assert_array_equal(block.stimulus, STILLS[ORDER][: len(block.stimulus)])


def test_numbered_frames_of_a_series(cache):
    """The older way, which pynwb reads but writes no more."""

    card = pictures(ORDER).card(cache)
    with h5py.File(cache / "small" / "own.nwb", "a") as store:
        templates = store.require_group("stimulus/templates")
        series = templates.create_group("series")
        for key, value in {
            "neurodata_type": "ImageSeries",
            "namespace": "core",
            "object_id": "7c0f3c1e-0000-4000-8000-000000000000",
        }.items():
            series.attrs[key] = value
        series["data"] = STILLS.transpose(0, 2, 1)
        series["data"].attrs.update(unit="a.u.", conversion=2.0)
        series["starting_time"] = 0.0
        series["starting_time"].attrs.update(rate=10.0, unit="seconds")
        shown = store.require_group("stimulus/presentation/movie")
        del shown["indexed_images"]
        shown["indexed_timeseries"] = h5py.SoftLink("/stimulus/templates/series")
    card.write_text(unsummed(card.read_text()))
    (block,) = load(card).role("train")
    wanted = 2.0 * STILLS[ORDER][: len(block.stimulus)]
    np.testing.assert_array_equal(block.stimulus, wanted)
    # What is numbered is no stimulus of its own.
    text = draft("mine", [cache / "small" / "own.nwb"])
    assert "stimulus_axes" not in text  # numbers have none
    assert set(tomllib.loads(text)["options"]["parts"]) == {"movie"}


@pytest.mark.parametrize(
    ("order", "shapes", "said"),
    [
        (ORDER + 1, (1, 1), "shows images 1 to 6, but there are 0 to 5"),
        (ORDER, (1, 2), "wanted one shape for all"),
    ],
)
def test_numbers_of_no_image_are_refused(cache, order, shapes, said):
    with pytest.raises(UnreadableFile, match=said):
        load(pictures(order, shapes).card(cache))


def test_images_have_x_before_y_unless_the_card_says_otherwise(cache, tmp_path):
    def add(pynwb, file):
        told = {"name": "movie", "unit": "a.u.", "rate": 10.0}
        data = movie(100).transpose(0, 2, 1)
        file.add_stimulus(pynwb.image.ImageSeries(data=data, **told))

    layout = nwb_of([(0, 10)], add=add)
    (block,) = load(layout.card(cache)).role("train")
    np.testing.assert_array_equal(block.stimulus, movie(100)[: len(block.stimulus)])
    options = layout.options + '\nstimulus_axes = "frame, y, x"'
    turned = load(layout.card(cache, options))
    assert turned.frame == block.stimulus.shape[:0:-1]
    (line,) = (
        line
        for line in draft("mine", [cache / "small" / "own.nwb"]).splitlines()
        if line.startswith("stimulus_axes")
    )
    assert '"frame, x, y"' in line and "look at this" in line
