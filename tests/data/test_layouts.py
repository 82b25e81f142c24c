"""Each public layout, written in small by its own library, comes back as it was."""

from __future__ import annotations

import dataclasses
import sys

import h5py
import numpy as np
import pytest

from retina.data.load import load
from retina.data.split import split
from retina.errors import (
    BadCard,
    BadResponse,
    BadStimulus,
    MissingData,
    MissingExtra,
    RetinaError,
    ShapeMismatch,
    UnreadableFile,
)

from . import layouts
from .conftest import unsummed
from .layouts import ALL, BLOCKS, CELLS, FRAMES, TEST, movie, spikes, times


def whole(clips):
    """Scored frames and counts, end to end."""
    shown = np.concatenate([clip.stimulus[clip.skip :] for clip in clips])
    said = np.concatenate([clip.response[:, clip.skip :] for clip in clips], 1)
    return shown, said


def scored(blocks, history, share):
    """Frames that are fitted where no history crosses from block to block."""
    each = FRAMES // blocks
    start, stop = (round(s * FRAMES) for s in share)
    return [i for i in range(start, stop) if i % each >= history]


@pytest.mark.parametrize("name", ALL)
def test_it_is_read(cache, name):
    made = split(load(ALL[name].card(cache)))
    assert made.train and made.validation and made.test
    assert made.spec.cells == len(made.cells) == CELLS


def test_stanford(cache):
    made = split(load(layouts.STANFORD.card(cache)))
    shown, said = whole(made.train)
    kept = scored(BLOCKS, 5, (0, 0.75))
    np.testing.assert_array_equal(shown, movie()[kept])
    np.testing.assert_array_equal(said[0], spikes()[0][kept])
    # History never comes from another block: each clip begins with its own.
    assert [clip.skip for clip in made.train] == [3, 3]
    np.testing.assert_array_equal(made.train[1].stimulus[:3], movie()[22:25])
    test = made.test[0]
    np.testing.assert_array_equal(test.stimulus, movie(TEST, 5))
    np.testing.assert_array_equal(test.response, spikes(TEST + 1, 5, 6)[:, :TEST])
    assert any("the last bin was left out" in note for note in made.notes)
    assert [cell.name for cell in made.cells] == ["0", "1", "2"]


@dataclasses.dataclass(frozen=True)
class _Written:
    """`layouts.stanford` with other settings."""

    settings: dict

    def __call__(self, folder):
        return layouts.stanford(folder, **self.settings)


def stanford(**settings):
    return dataclasses.replace(layouts.STANFORD, write=_Written(settings))


def test_stanford_repeats_in_one_array(cache):
    two = split(load(stanford(layout="array").card(cache)))
    np.testing.assert_array_equal(
        two.test[0].response, spikes(TEST + 1, 5, 6)[:, :TEST]
    )


def test_stanford_without_repeats_is_one_trial(cache):
    made = split(load(stanford(layout="none").card(cache)))
    assert len(made.test[0].response) == 1


def test_stanford_smoothed_rates_are_graded(cache):
    options = layouts.STANFORD.options + '\nresponse = "firing_rate_10ms"'
    one = stanford(layout="array")
    with pytest.raises(BadCard, match='smoothed rate, not counts.*"graded"'):
        load(one.card(cache, options))
    made = split(load(one.card(cache, options, extra='event = "graded"')))
    assert made.spec.event == "graded"
    np.testing.assert_allclose(
        made.test[0].response, spikes(TEST + 1, 5, 6)[:, :TEST] * 0.95, rtol=1e-6
    )


def test_stanford_more_than_one_bin_too_many_is_not_guessed_at(cache):
    with pytest.raises(ShapeMismatch, match="26 bins for 24 frames"):
        load(stanford(extra=2).card(cache))


def test_stanford_blocks_that_do_not_fit(cache):
    options = layouts.STANFORD.options.replace("blocks = 3", "blocks = 7")
    with pytest.raises(ShapeMismatch, match="60 training frames are not 7 blocks"):
        load(layouts.STANFORD.card(cache, options))


def test_marre(cache):
    made = split(load(layouts.MARRE.card(cache)))
    shown, said = whole(made.train)
    np.testing.assert_array_equal(shown, movie()[1:45])
    np.testing.assert_array_equal(said[0], spikes()[0][1:45])
    # cell_2, cell_7, cell_12: by their number, not as a file sorts them.
    np.testing.assert_array_equal(whole(made.test)[1], spikes(TEST, 4, 6)[:, 1:])


def composed(images, fixation):
    """One frame of a fixation movie, pixel by pixel: slow, and plainly right."""
    image, x, y = (int(n) for n in fixation)
    screen = np.zeros((600, 800))
    for row in range(600):
        line = y - 300 + row
        if 0 <= line < images.shape[1]:
            columns = x - 400 + np.arange(800)
            there = (columns >= 0) & (columns < images.shape[2])
            screen[row, there] = images[image - 1, line, columns[there]]
    return screen


def test_gollisch_fixation_movie(cache):
    made = split(load(layouts.GOLLISCH.card(cache)))
    each = FRAMES // BLOCKS
    fixed = layouts.looked(BLOCKS, each, 9).reshape(-1, 3)
    kept = scored(BLOCKS, 3, (0, 0.75))
    shown, said = whole(made.train)
    np.testing.assert_array_equal(said[0], spikes()[0][kept])
    for i in (0, 7, len(kept) - 1):
        screen = composed(layouts.pictures(7), fixed[kept[i]])
        wanted = screen.reshape(6, 100, 8, 100).mean((1, 3))
        # Sums of 600 000 bytes are exact in float64; the mean is rounded to float32.
        np.testing.assert_allclose(shown[i], wanted, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(made.test[0].response, spikes(TEST, 6, 6))


def test_gollisch_window(cache):
    options = 'file = "fixationmovie_data.mat"\nshrink = 100\n'
    all_, crop = (
        split(load(layouts.GOLLISCH.card(cache, options + more))).test[0].stimulus
        for more in ("", "crop = [1, 2, 3, 4]")
    )
    np.testing.assert_array_equal(crop, all_[:, 1:4, 2:6])
    with pytest.raises(BadCard, match=r"crop = \[5, 0, 3, 4\]"):
        load(layouts.GOLLISCH.card(cache, options + "crop = [5, 0, 3, 4]"))
    with pytest.raises(BadCard, match="shrink = 7 does not divide"):
        load(layouts.GOLLISCH.card(cache, options.replace("100", "7")))


def test_gollisch_gratings(cache):
    recording = load(layouts.GRATINGS.card(cache))
    info, order = layouts.shown_gratings()
    kept = scored(BLOCKS, layouts.NT - 1, (0, 0.75))
    shown, said = whole(split(recording).train)
    np.testing.assert_array_equal(said[0], spikes()[0][kept])
    y, x = np.mgrid[:600, :800] + 0.5
    for i in (0, 9, len(kept) - 1):
        cycles, turn, phase = info[order.ravel()[kept[i]]]
        along = x * np.cos(turn) + y * np.sin(turn)
        wanted = np.sin(2 * np.pi * cycles * along + phase)
        wanted = wanted.reshape(6, 100, 8, 100).mean((1, 3))
        # Sums of 10 000 sines in float64, the mean rounded to float32.
        np.testing.assert_allclose(shown[i], wanted, rtol=1e-6, atol=1e-7)
    # What was shown before the first count of a block is there, as its history.
    clip = split(recording).train[1]
    cycles, turn, phase = info[order[1, layouts.NT - 1 - clip.skip]]
    first = np.sin(2 * np.pi * cycles * (x * np.cos(turn) + y * np.sin(turn)) + phase)
    first = first.reshape(6, 100, 8, 100).mean((1, 3))
    np.testing.assert_allclose(clip.stimulus[0], first, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("orderfit", lambda a: a + 3, "there are 7"),
        ("orderfit", lambda a: a[:-1], "as many samples"),
        ("orderfit", lambda a: a[:, ::-1], "histories go on with the one before"),
        ("stiminfo", lambda a: a[:2], "must be .grating, 3."),
        ("spX", lambda a: a[:-1], "shrink = 100 does not divide"),
        ("stiminfo", lambda a: a * np.nan, "NaN or infinity"),
    ],
)
def test_gratings_that_do_not_fit(cache, name, change, said):
    card = layouts.GRATINGS.card(cache)
    with h5py.File(cache / "small" / "gratingflicker_data.mat", "r+") as store:
        held = np.asarray(store[name])
        del store[name]
        store[name] = change(held)
    card.write_text(unsummed(card.read_text()))
    with pytest.raises(RetinaError, match=said):
        load(card)


def test_gollisch_frozen_checker_flicker(cache):
    """Running and frozen boards are those of the published generator."""
    retinawhitenoise = pytest.importorskip("retinawhitenoise")
    each = FRAMES // BLOCKS
    options = f"""
    file = "fixationmovie_data.mat"
    stimulus = "frozencheckerflicker"
    frozen_seed = -20
    [options.movie]
    seed = -10
    shape = [8, 6]
    frames = {each}
    corner = [0, 0]
    size = [8, 6]
    """
    made = split(load(layouts.GOLLISCH.card(cache, options, coding="contrast")))
    bits = retinawhitenoise.Rng(-20).ranb(TEST * 48)
    frozen = np.array(list(bits)).reshape(TEST, 8, 6).transpose(0, 2, 1) * 2 - 1
    np.testing.assert_array_equal(made.test[0].stimulus, frozen)
    bits = retinawhitenoise.Rng(-10).ranb(FRAMES * 48)
    running = np.array(list(bits)).reshape(FRAMES, 8, 6).transpose(0, 2, 1) * 2 - 1
    shown, _ = whole(made.train)
    np.testing.assert_array_equal(shown, running[scored(BLOCKS, 3, (0, 0.75))])


def test_euler(cache):
    recording = load(layouts.EULER.card(cache))
    assert [cell.name for cell in recording.cells] == ["4", "9", "17"]
    assert recording.cells[1].type == "group 24"
    made = split(recording)
    assert made.spec.frame == (5, 4, 2) and made.spec.event == "graded"
    with np.load(cache / "small" / "movie.npz") as held:
        train, test = held["train"], held["test"]
    clips = train.reshape(2, layouts.CLIPS, layouts.CLIP, 5, 4)
    order = layouts.orders()[:, 1].astype(int)
    wanted = clips[:, order].reshape(train.shape)[..., ::-1]  # a left eye
    # 48 frames in two halves of 24; the first 3 of each are history.
    kept = [*range(3, 24), *range(27, 36)]
    shown, said = whole(made.train)
    np.testing.assert_array_equal(shown, wanted.transpose(1, 2, 3, 0)[kept])
    np.testing.assert_array_equal(
        made.test[0].stimulus, test[..., ::-1].transpose(1, 2, 3, 0)
    )
    # Frame k of the presentation begins 1 s + k * 0.1 s into the recording.
    tested = layouts.TESTED * layouts.CLIP
    onsets = 1.0 + np.arange((layouts.CLIPS + 3 * layouts.TESTED) * layouts.CLIP) * 0.1
    with h5py.File(cache / "small" / "responses.h5") as store:
        trace = np.asarray(store["session_2_ventral2/natural_spikes"])[1]
    at = np.interp(onsets, np.arange(len(trace)) * 0.13, trace)
    movie_at = np.r_[at[tested : tested + 24], at[2 * tested + 24 : 2 * tested + 48]]
    np.testing.assert_allclose(
        said[0, :, 1], (movie_at / movie_at.std())[kept], rtol=1e-5
    )
    repeats = [at[s : s + tested] for s in (0, tested + 24, 2 * tested + 48)]
    np.testing.assert_allclose(
        made.test[0].response[..., 1], np.array(repeats) / movie_at.std(), rtol=1e-5
    )


@pytest.mark.parametrize("rows", [slice(0, -30), slice(12, None)])
def test_euler_invents_no_response_where_the_trace_ends(cache, rows):
    """The first frame is shown at 1 s, the last 2.5 s before the whole trace ends."""

    def write(folder):
        files = layouts.natural(folder)
        with h5py.File(folder / "responses.h5", "r+") as store:
            field = store["session_2_ventral2"]
            assert isinstance(field, h5py.Group)
            for name in ("natural_spikes", "natural_traces_times"):
                kept = np.asarray(field[name])[:, rows]
                del field[name]
                field[name] = kept
        return files

    with pytest.raises(ShapeMismatch, match=r"of 96 frames are shown outside of the"):
        load(dataclasses.replace(layouts.EULER, write=write).card(cache))


def test_euler_keeps_the_good_cells(cache):
    options = layouts.EULER.options + "\nchirp_qi = 0.35\nd_qi = 0.6\nconfidence = 0.25"
    made = load(layouts.EULER.card(cache, options, cells=2))
    assert [cell.name for cell in made.cells] == ["4", "9"]


def test_euler_times_by_start_and_step(cache):
    one = dataclasses.replace(
        layouts.EULER, write=lambda folder: layouts.natural(folder, long=False)
    )
    two = split(load(one.card(cache))).train[0].response
    three = split(load(layouts.EULER.card(cache))).train[0].response
    np.testing.assert_allclose(two, three, rtol=1e-5)


def test_euler_calcium_is_graded(cache):
    with pytest.raises(BadCard, match='calcium is no count.*"graded"'):
        load(layouts.EULER.card(cache, extra=""))


def test_gollisch_frames(cache):
    made = split(load(layouts.WATCHED.card(cache)))
    each = FRAMES // BLOCKS
    lines = layouts.gazes()
    height, width = layouts.SIZE

    def seen(line):
        image, x, y, stands = line
        shown = layouts.padded()[image][
            x + layouts.PAD - width // 2 : x + layouts.PAD + width // 2,
            y + layouts.PAD - height // 2 : y + layouts.PAD + height // 2,
        ]
        shown = shown if stands else np.fliplr(shown)
        return shown.T[1 : height - 2, 0 : width - 3]

    order = [TEST + trial * each + i for trial in (2, 0, 1) for i in range(each)]
    kept = scored(BLOCKS, 3, (0, 0.75))
    shown, said = whole(made.train)
    wanted = np.stack([seen(lines[order[i]]) for i in kept])
    np.testing.assert_array_equal(shown, wanted)
    fresh = spikes().reshape(BLOCKS, each, CELLS)[[2, 0, 1]].reshape(FRAMES, CELLS)
    np.testing.assert_array_equal(said[0], fresh[kept])
    np.testing.assert_array_equal(
        made.test[0].stimulus, np.stack([seen(line) for line in lines[:TEST]])
    )
    np.testing.assert_array_equal(made.test[0].response, spikes(TEST, 4, 6))


def test_gollisch_boards(cache):
    made = split(load(layouts.BOARDS.card(cache)))
    place = cache / "small" / "non_repeating_stimuli_1"
    trial = np.load(place / "trial_002" / "all_images.npy").transpose(2, 0, 1)
    np.testing.assert_array_equal(made.train[0].stimulus, trial)


@pytest.mark.parametrize(
    "layout, name",
    [
        (layouts.BOARDS, "non_repeating_stimuli_1/trial_001/all_images.npy"),
        (layouts.BOARDS, "repeating_stimuli_1/all_images.npy"),
        (layouts.WATCHED, "stimuli_padded_4/00003_img_103.npy"),
    ],
)
def test_gollisch_images_of_two_scales(cache, layout, name):
    """uint8 up to 255, and floats up to 1, which as uint8 would be black."""
    card = layout.card(cache)
    path = cache / "small" / name
    np.save(path, np.load(path) / np.float32(255))
    said = "(is|are) float32.*uint8: bring all to one type"
    with pytest.raises(BadStimulus, match=said):
        load(card)


@pytest.mark.parametrize("name", ["hdf5", "matlab5"])
def test_named_arrays(cache, name):
    made = split(load(ALL[name].card(cache)))
    shown, said = whole(made.train)
    kept = scored(2, 3, (0, 0.75))
    np.testing.assert_array_equal(shown, movie()[kept])
    np.testing.assert_array_equal(said[0], spikes()[0][kept])
    np.testing.assert_array_equal(made.test[0].stimulus, movie(TEST, 5))
    np.testing.assert_array_equal(made.test[0].response, spikes(TEST, 4, 6))


@pytest.mark.parametrize("name", ["csv", "parquet", "nwb"])
def test_spike_times_come_back_as_counts(cache, name):
    made = split(load(ALL[name].card(cache)))
    assert [cell.name for cell in made.cells] == layouts.LABELS
    clip = made.train[0]
    start = 0
    stop = start + len(clip.stimulus)
    np.testing.assert_array_equal(clip.stimulus, movie()[start:stop])
    np.testing.assert_array_equal(clip.response[0], spikes()[0][start:stop])
    if name == "nwb":  # 4 repeats, each on the clock of its own start
        np.testing.assert_array_equal(made.test[0].response, spikes(TEST, 4, 6))


def test_neo_trials(cache):
    made = split(load(layouts.NEO.card(cache)))
    assert [cell.name for cell in made.cells] == layouts.LABELS
    clip = made.test[0]
    np.testing.assert_array_equal(clip.response, spikes(FRAMES, 4)[:, 47:60])


def neo_of(trials, *, start, event=None):
    """Segments of the same movie; each starts, and has an event, at these seconds."""

    def write(folder):
        neo = pytest.importorskip("neo")
        pq = pytest.importorskip("quantities")
        np.save(folder / "movie.npy", movie().transpose(1, 2, 0))
        np.save(folder / "on.npy", 120 + np.arange(FRAMES + 1) * 0.1)
        block = neo.Block()
        time, cell, trial = times(spikes(FRAMES, trials))
        for t in range(trials):
            segment, began = neo.Segment(index=t), 120.0 + t
            for c in range(CELLS):
                mine = np.sort(time[(trial == t) & (cell == c)]) + began
                at = mine[0] if start == "spike" else start + t
                train = neo.SpikeTrain(
                    mine * pq.s, t_start=at * pq.s, t_stop=200 * pq.s
                )
                train.name = layouts.LABELS[c]
                segment.spiketrains.append(train)
            if event is not None:
                marks = np.array([began, began + 1]) * pq.s
                segment.events.append(neo.Event(marks, ["on", "off"], name=event))
            block.segments.append(segment)
        neo.io.NeoMatlabIO(str(folder / "own.mat")).write_block(block)
        return ["movie.npy", "on.npy", "own.mat"]

    return dataclasses.replace(layouts.NEO, write=write)


def test_neo_one_segment_and_its_onsets_are_on_one_clock(cache):
    """The amplifier was switched on 110 s before the stimulus."""
    options = layouts.NEO.options.replace('"trials"', '"one"') + 'onsets = ["on.npy"]'
    recording = load(neo_of(1, start=10.0).card(cache, options))
    made = split(recording).test[0]
    np.testing.assert_array_equal(made.response, spikes(FRAMES, 1)[:, 47:])


def test_neo_trials_begin_with_their_event_or_are_refused(cache):
    for options, layout in (
        (layouts.NEO.options, neo_of(3, start=120.0)),
        (
            layouts.NEO.options + 'event = "shown"',
            neo_of(3, start=100.0, event="shown"),
        ),
    ):
        made = split(load(layout.card(cache, options))).test[0]
        np.testing.assert_array_equal(made.response, spikes(FRAMES, 3)[:, 47:])
    with pytest.raises(BadCard, match="begins with its first spike.*name an `event`"):
        load(neo_of(3, start="spike").card(cache))
    with pytest.raises(BadCard, match="no event 'shwn'.*'shown'"):
        options = layouts.NEO.options + 'event = "shwn"'
        load(neo_of(3, start="spike", event="shown").card(cache, options))


def test_a_library_that_is_not_there_is_named(cache, monkeypatch):
    for module, extra in (
        ("pyarrow.parquet", "parquet"),
        ("pynwb", "nwb"),
        ("neo", "neo"),
    ):
        monkeypatch.setitem(sys.modules, module, None)
        layout = {"parquet": layouts.PARQUET, "nwb": layouts.NWB, "neo": layouts.NEO}
        written = dataclasses.replace(
            layout[extra], write=lambda folder: _empty(folder), needs=""
        )
        card = written.card(cache)
        text = card.read_text().replace("own.nwb", "own.bin")
        card.write_text(
            text.replace("spikes.parquet", "own.bin").replace("own.mat", "own.bin")
        )
        with pytest.raises(MissingExtra, match=rf"'retina-frontier\[{extra}\]'"):
            load(card)


def _empty(folder):
    (folder / "own.bin").write_bytes(b"nothing")
    np.save(folder / "movie.npy", movie())
    return ["own.bin", "movie.npy"]


def test_spikes_in_milliseconds_are_told(cache):
    card = layouts.CSV.card(cache)
    file = cache / "small" / "spikes.csv"
    head, *lines = file.read_text().splitlines()
    slow = [f"{c}, {1000 * float(t)}" for c, t in (line.split(", ") for line in lines)]
    file.write_text("\n".join([head, *slow]))
    card.write_text(unsummed(card.read_text()))
    with pytest.raises(BadResponse, match="lie after 6 s.*are they in seconds"):
        load(card)


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("unit, time_s\na1", UnreadableFile, "'a1' is broken off"),
        ("unit, time_s\na1, soon", BadResponse, "time_s 'soon' is no number"),
        ("unit, times\na1, 1", UnreadableFile, "0 columns 'time_s'.*'times'"),
        ("unit, time_s\na1, nan", BadResponse, "not NaN"),
        ("", UnreadableFile, "0 columns 'unit'"),
    ],
)
def test_a_csv_file_that_cannot_be_read(cache, text, error, said):
    card = layouts.CSV.card(cache)
    (cache / "small" / "spikes.csv").write_text(text)
    card.write_text(unsummed(card.read_text()))
    with pytest.raises(error, match=said):
        load(card)


def test_a_file_that_is_not_there_is_missing(cache):
    card = layouts.HDF5.card(cache)
    card.write_text(card.read_text().replace('file = "own.h5"', 'file = "other.h5"'))
    with pytest.raises(MissingData, match="there is no .*other.h5"):
        load(card)


@pytest.mark.parametrize(
    ("old", "new", "error", "said"),
    [
        ('"movie/long"', '"movie/lon"', UnreadableFile, "no array 'movie/lon'.*long"),
        (
            '"y, x, frame"',
            '"y, frame"',
            ShapeMismatch,
            r"\(5, 4, 60\) does not have axes",
        ),
        ('"y, x, frame"', '"y, z, frame"', BadCard, "not made of frame, y, x"),
        ('"cell, bin"', '"bin, cell"', ShapeMismatch, "3 bins for 60 frames"),
        ('"cell, bin"', '"cell, time"', BadResponse, "not made of trial, bin"),
        ("begin = [0, 30]", "begin = [0, 90]", BadCard, "not frames of the 60"),
        ("counts_axes", "count_axes", BadCard, "'counts_axes'"),
        ('counts = "bins"\n', "", BadCard, "either counts, or spike_s"),
    ],
)
def test_named_arrays_that_do_not_fit(cache, old, new, error, said):
    card = layouts.HDF5.card(cache)
    text = card.read_text()
    assert old in text
    card.write_text(text.replace(old, new))
    with pytest.raises(error, match=said) as caught:
        load(card)
    assert "\n" not in str(caught.value)


def test_more_cells_than_the_card_says(cache):
    with pytest.raises(RetinaError, match="3 cells"):
        load(layouts.STANFORD.card(cache, cells=2))


@pytest.mark.parametrize("name", ["hdf5", "npz"])
def test_trials_counted_from_one_are_told_and_read(cache, name):
    """MATLAB's numbers: a silent trial 0 is never made up."""
    time, cell, trial = times(spikes(FRAMES, 3))
    held = {"shown": movie(), "t": time, "unit": cell + 1, "rep": trial + 1.0}
    options = """
    file = "own"
    [options.parts.all]
    stimulus = "shown"
    spike_s = "t"
    spike_cell = "unit"
    spike_trial = "rep"
    """

    def write(folder):
        if name == "npz":
            with open(folder / "own", "wb") as file:
                np.savez(file, **held)
        else:
            with h5py.File(folder / "own", "w") as store:
                for key, value in held.items():
                    store[key] = value
        return ["own"]

    splits = layouts.ONE.replace("frames", 'part = "all"\nframes')
    layout = layouts.Layout(name, write, options, splits)
    with pytest.raises(BadResponse, match="unit runs to 3, but.*first = 0 or 1"):
        load(layout.card(cache))
    with pytest.raises(BadResponse, match="trials start at 1.*write first = 1"):
        load(layout.card(cache, cells=4))
    right = layout.card(cache, options.replace('"own"', '"own"\nfirst = 1'))
    block = load(right).role("train")[0]
    assert block.trials == 3
    made = split(load(right)).test[0]
    np.testing.assert_array_equal(made.response, spikes(FRAMES, 3)[:, 47:])


def test_trials_of_a_table_count_from_first(cache):
    def write(folder):
        time, cell, trial = times(spikes(FRAMES, 2))
        lines = zip(cell.tolist(), time.tolist(), (trial + 1).tolist(), strict=True)
        text = "".join(f"{c}, {t!r}, {k}\n" for c, t, k in lines)
        (folder / "spikes.csv").write_text("cell, time_s, trial\n" + text)
        np.save(folder / "movie.npy", movie())
        return ["movie.npy", "spikes.csv"]

    options = 'spikes = "spikes.csv"\ntrial = "trial"\nstimulus = ["movie.npy"]\n'
    layout = layouts.Layout("csv", write, options)
    with pytest.raises(BadResponse, match="spikes.csv: trials start at 1.*first = 1"):
        load(layout.card(cache))
    assert load(layout.card(cache, options + "first = 1")).blocks[0].trials == 2


def session(name, unit=1.0):
    """Stretches at 0-6 s and 100-118 s of one list of spikes."""

    def write(folder):
        rng = np.random.default_rng(5)
        held = {"a": movie(), "b": movie(180, 1), "b_on": 100 + np.arange(181) * 0.1}
        held |= {"t": rng.uniform(0, 118, 3000) * unit, "c": rng.integers(0, 3, 3000)}
        with h5py.File(folder / "own.h5", "w") as store:
            for key, value in held.items():
                store[key] = value
        return ["own.h5"]

    spiking = 'spike_s = "t"\nspike_cell = "c"'
    options = f"""
    file = "own.h5"
    [options.parts.a]
    stimulus = "a"
    {spiking}
    [options.parts.b]
    stimulus = "b"
    onsets = "b_on"
    {spiking}
    """
    return layouts.Layout(
        name, write, options, layouts.SPLITS.format(train="b", test="a")
    )


def test_one_list_of_spikes_on_the_clock_of_the_session(cache):
    recording = load(session("hdf5").card(cache))
    notes = [note for note in recording.notes if "are not used" in note]
    assert len(notes) == 2 and "of 3000 spikes lie outside" in notes[0]
    rng = np.random.default_rng(5)
    time, cell = rng.uniform(0, 118, 3000), rng.integers(0, 3, 3000)
    (test,) = recording.role("test")
    assert test.spikes is not None
    shown = (time >= 0.3) & (time < 6)
    for one in range(3):
        inside = np.sort(time[shown & (cell == one)])
        held = test.spikes[0][one]
        np.testing.assert_array_equal(held[held >= 0.3], inside)


@pytest.mark.parametrize("unit", [10, 1000, 20000])
def test_other_units_of_time_are_told(cache, unit):
    """Frames, milliseconds, samples: of one stretch, or of a session."""
    with pytest.raises(BadResponse, match="seconds, not milliseconds, samples"):
        if unit != 10:
            load(session("hdf5", unit).card(cache))
        time, cell, _ = times(spikes(2000))

        def write(folder):
            np.savez(folder / "x.npz", stimulus=movie(2000), spike_s=time * unit,
                     spike_cell=cell)  # fmt: skip
            return ["x.npz"]

        splits = layouts.ONE.replace("[50, 60]", "[50, 2000]")
        load(layouts.Layout("npz", write, 'file = "x.npz"', splits).card(cache))
