"""Cards proposed from files: what is found, and what is said when nothing is."""

from __future__ import annotations

import csv
import tomllib

import h5py
import numpy as np
import pytest
from scipy.io import savemat
from typer.testing import CliRunner

from retina.cli.main import app
from retina.data import hdf5
from retina.data.load import load
from retina.data.proposal.axes import stimulus_axes
from retina.data.proposal.draft import draft
from retina.data.proposal.guess import guess_of
from retina.data.proposal.seen import Seen
from retina.data.split import split
from retina.errors import (
    BadCard,
    BadResponse,
    BadSetting,
    BadStimulus,
    MissingData,
    ShapeMismatch,
    UnreadableFile,
)

FRAMES, CELLS = 400, 3


def movie(*axes: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.integers(0, 255, (FRAMES, 4, 5), np.uint8).transpose(*axes)


def counts(trials: int = 1) -> np.ndarray:
    return np.random.default_rng(1).poisson(1.0, (trials, FRAMES, CELLS))


def spikes() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    return np.sort(rng.uniform(0, 40, 900)), rng.integers(0, CELLS, 900)


def written(folder, name: str):
    """The recording of a proposed card whose blanks are filled with anything."""
    path = folder / f"{name}.toml"
    text = draft(name, sorted(p for p in folder.iterdir() if p.suffix != ".toml"))
    table = tomllib.loads(text)
    assert text.count("<- fill in") >= 6 and table["stimulus_unit"] == ""
    assert (table["frame_s"] == 0) == ("frame_s = 0.0  # <- fill in" in text)
    text = text.replace("frame_s = 0.0", "frame_s = 0.1")
    path.write_text(text.replace('stimulus_unit = ""', 'stimulus_unit = "grey"'))
    return load(path), table


def holds(recording, trials: int = 1) -> None:
    assert len(recording.cells) == CELLS and recording.frame == (4, 5)
    assert {block.role for block in recording.blocks} == {"train", "validation", "test"}
    shown = np.concatenate([b.stimulus[b.lead :] for b in recording.role("train")])
    np.testing.assert_array_equal(shown, movie(0, 1, 2)[30 : 30 + len(shown)])
    assert all(block.trials == trials for block in recording.blocks)


def test_npz_with_names_of_ones_own(tmp_path):
    np.savez(
        tmp_path / "a.npz", the_movie=movie(1, 2, 0), resp=counts()[0].T, frame_times=T
    )
    recording, table = written(tmp_path, "mine")
    assert table["options"]["parts"]["all"] == {
        "stimulus": "the_movie",
        "stimulus_axes": "y, x, frame",
        "onsets": "frame_times",
        "counts": "resp",
        "counts_axes": "cell, bin",
    }
    assert table["frame_s"] == pytest.approx(0.1)
    holds(recording)


T = np.arange(FRAMES) * 0.1


def test_hdf5_of_several_stretches(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as store:
        for name, trials in (("train", 1), ("test", 5)):
            store[f"{name}/stimulus"] = movie(0, 1, 2)
            store[f"{name}/response/binned"] = counts(trials)
            store[f"{name}/time"] = T
    _, table = written(tmp_path, "mine")
    assert set(table["options"]["parts"]) == {"train", "test"}
    roles = [(rule["role"], rule["part"]) for rule in table["splits"]]
    assert roles == [("train", "train"), ("validation", "train"), ("test", "test")]
    assert table["splits"][2]["group"] == "frozen"


def test_matlab_with_spike_times(tmp_path):
    times, cell = spikes()
    held = {"stimulus": movie(0, 1, 2), "spike_times": times, "unit": cell + 1.0}
    savemat(tmp_path / "a.mat", held | {"onsets": T})
    recording, table = written(tmp_path, "mine")
    assert table["reader"] == "matlab5" and table["cell_count"] == CELLS
    assert table["options"]["first"] == 1
    holds(recording)
    total = sum(len(t) for b in recording.blocks for t in (b.spikes or ((),))[0])
    assert 0 < total <= 900


def test_units_and_trials_that_matlab_counts(tmp_path):
    times, cell = spikes()
    trial = np.random.default_rng(3).integers(1, 5, 900)
    held = {"stimulus": movie(0, 1, 2), "spike_times": times, "unit": cell + 1}
    savemat(tmp_path / "a.mat", held | {"onsets": T, "trial": trial})
    recording, _ = written(tmp_path, "mine")
    holds(recording, trials=4)


@pytest.mark.parametrize("trials", [False, True])
def test_numbers_that_a_sorter_gave(tmp_path, trials):
    times, cell = spikes()
    held = {"stimulus": movie(0, 1, 2), "spike_times": times, "frame_times": T}
    held["cluster"] = np.array([3, 17, 250])[cell]
    if trials:
        held["trial"] = np.random.default_rng(3).integers(1, 5, 900)
    np.savez(tmp_path / "a.npz", **held)  # type: ignore[arg-type]
    recording, table = written(tmp_path, "mine")
    assert table["options"]["cells"] == [3, 17, 250]
    assert [one.name for one in recording.cells] == ["3", "17", "250"]
    holds(recording, trials=4 if trials else 1)
    train = next(b for b in recording.blocks if b.role == "train").spikes
    assert train is not None
    wanted = np.sum((cell == 2) & (times < train_stop(recording)))
    assert sum(len(one[2]) for one in train) == wanted


def train_stop(recording) -> float:
    return float(recording.role("train")[0].onsets_s[-1])


def test_counts_of_one_cell(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as store:
        store["stimulus"], store["counts"] = movie(0, 1, 2), counts()[0, :, 0]
    recording, table = written(tmp_path, "mine")
    assert table["cell_count"] == len(recording.cells) == 1
    held = recording.role("train")[0].counts
    assert held is not None
    np.testing.assert_array_equal(held[0, :, 0], counts()[0, : held.shape[1], 0])


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_table_of_spikes_beside_a_stimulus(tmp_path, kind):
    times, cell = spikes()
    np.save(tmp_path / "movie.npy", movie(0, 1, 2))
    labels = np.array(["left", "right", "middle"])[cell]
    if kind == "csv":
        with open(tmp_path / "spikes.csv", "w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["cell", "time_s"])
            rows.writerows(zip(labels, times, strict=True))
    else:
        pa = pytest.importorskip("pyarrow")
        parquet = pytest.importorskip("pyarrow.parquet")
        parquet.write_table(
            pa.table({"cell": labels, "time_s": times}), tmp_path / "spikes.parquet"
        )
    path = tmp_path / "mine.toml"
    text = draft("mine", [tmp_path / f"spikes.{kind}", tmp_path / "movie.npy"])
    # Nothing says how long a frame is: the card does not load until someone does.
    assert "frame_s = 0.0  # <- fill in" in text
    path.write_text(text)
    with pytest.raises(BadCard, match="frame_s: Input should be greater than 0"):
        load(path)
    text = text.replace("frame_s = 0.0", "frame_s = 0.1")
    path.write_text(text.replace("lead = ", "# lead = ").replace("[options]", LEAD))
    recording = load(path)
    assert [cell.name for cell in recording.cells] == ["left", "middle", "right"]


LEAD = "lead = 10\n[options]"


def test_nwb_by_its_stimuli(tmp_path):
    pytest.importorskip("pynwb")
    from retina.data.export import export

    export("simulated", tmp_path / "a.nwb", "nwb", cells="10,11")
    text = draft("mine", [tmp_path / "a.nwb"])
    table = tomllib.loads(text)
    assert table["reader"] == "nwb" and table["cell_count"] == 2
    assert len(table["options"]["parts"]) > 3 and "# repeats = " in text


def test_axes_that_cannot_be_told_are_marked(tmp_path):
    square = np.zeros((200, 200, 3))
    square[0, 0] = 1
    np.savez(tmp_path / "a.npz", movie=square, counts=np.ones((4, 200, 5), np.int64))
    text = draft("mine", [tmp_path / "a.npz"])
    (line,) = [x for x in text.splitlines() if x.startswith("stimulus_axes")]
    assert "look at this" in line
    (line,) = [x for x in text.splitlines() if x.startswith("counts_axes")]
    assert '"trial, bin, cell"' in line and "look at this" in line


def test_nothing_that_looks_like_a_recording_is_told_with_what_there_is(tmp_path):
    np.savez(tmp_path / "a.npz", weights=np.zeros((3, 3)), movie=movie(0, 1, 2))
    with pytest.raises(MissingData, match="weights 3x3, movie 400x4x5: nothing of it"):
        draft("mine", [tmp_path / "a.npz"])
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(BadSetting, match="end in .txt: one of .h5"):
        draft("mine", [tmp_path / "a.txt"])
    with pytest.raises(MissingData, match="there is no"):
        draft("mine", [tmp_path / "lost.npz"])
    (tmp_path / "cut.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:200])
    with pytest.raises(UnreadableFile, match="not a readable npz"):
        draft("mine", [tmp_path / "cut.npz"])


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("bad.parquet", b"PAR1garbage", "not a readable Parquet file"),
        (
            "bad.csv",
            "cell,time_s\nOFF \xb5,0.1\n".encode("latin-1"),
            "save it as UTF-8",
        ),
        ("bad.csv", b'cell,time_s\n"a,0.1\n', "not a readable CSV file"),
    ],
)
def test_a_table_that_cannot_be_read_is_told(tmp_path, name, data, said):
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    np.save(tmp_path / "movie.npy", movie(0, 1, 2))
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UnreadableFile, match=said) as caught:
        draft("mine", [tmp_path / name, tmp_path / "movie.npy"])
    assert "\n" not in str(caught.value)


def test_a_card_that_is_there_is_not_written_over(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("a.npz", movie=movie(0, 1, 2), counts=counts(), frame_times=T)
    (tmp_path / "mine.toml").write_text("mine")
    arguments = ["new", "dataset", "mine", "--from", "a.npz"]
    assert CliRunner().invoke(app, arguments).exit_code == 1
    assert (tmp_path / "mine.toml").read_text() == "mine"
    arguments[2] = "other"
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0 and "retina check ./other.toml" in done.output


@pytest.mark.parametrize("response", ["counts", "units"])
def test_a_full_field_of_a_name_of_its_own(tmp_path, response):
    light = np.random.default_rng(0).standard_normal(FRAMES)
    with h5py.File(tmp_path / "a.h5", "w") as store:
        store["led"], store["frame_times"] = light[:, None], T + 5
        if response == "counts":
            store["counts"] = counts()[0]
        else:
            for n, times in enumerate(of_units()):
                store[f"spikes/unit_{n}"] = times + 5
    recording, table = written(tmp_path, "mine")
    (part,) = table["options"]["parts"].values()
    assert (part["stimulus"], part["stimulus_axes"]) == ("led", "frame")
    assert 'stimulus = "led"  # <- look at this' in (tmp_path / "mine.toml").read_text()
    (train,) = recording.role("train")
    shown = light[: len(train.stimulus)].astype(np.float32)
    np.testing.assert_array_equal(train.stimulus.ravel(), shown)


def test_whose_each_spike_is_may_be_called_ids_or_is_asked_for(tmp_path):
    times, cell = spikes()
    held = {"movie": movie(0, 1, 2), "spike_times": times, "frame_times": T}
    np.savez(tmp_path / "a.npz", **held, spike_ids=cell)  # type: ignore[arg-type]
    assert 'spike_cell = "spike_ids"' in draft("mine", [tmp_path / "a.npz"])
    np.savez(tmp_path / "a.npz", **held, whose=cell)  # type: ignore[arg-type]
    assert 'spike_cell = ""  # <- fill in' in draft("mine", [tmp_path / "a.npz"])


def test_the_half_that_is_missing_is_named(tmp_path):
    file = tmp_path / "a.npz"
    np.savez(file, movie=movie(0, 1, 2), extra=T[:7])
    with pytest.raises(MissingData, match="like a response to movie, which has 400.*i"):
        draft("mine", [file])
    np.savez(file, counts=counts(), one=np.zeros(FRAMES), two=np.ones(FRAMES))
    with pytest.raises(MissingData, match="like the stimulus: call the array of fr"):
        draft("mine", [file])
    np.savez(file, extra=T[:7])
    with pytest.raises(MissingData, match="a stimulus, nor like a response: call"):
        draft("mine", [file])


def test_the_bins_of_a_response_tell_which_axis_is_time(tmp_path):
    """Of a short movie of many pixels, not the longest."""
    shown = np.random.default_rng(0).integers(0, 9, (60, 80, 100), np.uint8)
    np.savez(tmp_path / "a.npz", movie=shown, counts=counts()[0, :60])
    (part,) = tomllib.loads(draft("mine", [tmp_path / "a.npz"]))["options"][
        "parts"
    ].values()
    assert (part["stimulus_axes"], part["counts_axes"]) == ("frame, y, x", "bin, cell")
    # As many cells as rows of pixels: the longer axis is time.
    film = Seen("a.npz", "movie", (60, 80, 400), "u", lambda: shown)
    said = Seen("a.npz", "counts", (400, 60), "u", lambda: shown)
    assert stimulus_axes(film, None, [said]) == (400, "y, x, frame", False)


def test_times_that_were_rounded_do_not_change_the_clock(tmp_path):
    clock = np.round(np.arange(FRAMES) / 6, 2)
    np.savez(
        tmp_path / "a.npz", movie=movie(0, 1, 2), counts=counts(), frame_times=clock
    )
    recording, table = written(tmp_path, "mine")
    assert table["frame_s"] == pytest.approx(1 / 6, rel=1e-4)
    said = recording.role("train")[0].counts
    assert said is not None  # counts of frames have no other clock
    np.testing.assert_array_equal(said[0], counts()[0, : said.shape[1]])


def test_counts_of_several_bins_a_frame(tmp_path):
    """And frames that jitter."""
    said = np.random.default_rng(1).poisson(1.0, (4 * FRAMES, CELLS))
    clock = T + np.random.default_rng(2).uniform(-0.01, 0.01, FRAMES)
    held = {"movie": movie(0, 1, 2), "counts": said, "frame_times": clock}
    np.savez(tmp_path / "a.npz", **held)  # type: ignore[arg-type]
    recording, table = written(tmp_path, "mine")
    (part,) = table["options"]["parts"].values()
    assert part["count_s"] == pytest.approx(table["frame_s"] / 4)
    (clip,) = split(recording).train
    wanted = said.reshape(FRAMES, 4, CELLS).sum(1)
    np.testing.assert_array_equal(clip.response[0], wanted[: len(clip.stimulus)])


def test_times_of_frames_in_milliseconds_look_odd(tmp_path):
    held = {"movie": movie(0, 1, 2), "counts": counts(), "frame_times": T * 1000}
    np.savez(tmp_path / "a.npz", **held)  # type: ignore[arg-type]
    (line,) = [
        one
        for one in draft("mine", [tmp_path / "a.npz"]).splitlines()
        if one.startswith("frame_s")
    ]
    assert line.startswith("frame_s = 100.0 ") and "are those in seconds" in line


def test_a_name_does_not_make_a_stimulus_of_frame_times():
    seen = [
        Seen("a", "frame_times", (400,), "f", lambda: T),
        Seen("a", "light", (400,), "f", lambda: np.sin(T)),
    ]
    guess = guess_of(seen)
    assert guess is not None and guess.stimulus.name == "light"
    assert guess.onsets is not None and guess.onsets.name == "frame_times"


def test_what_is_left_out_is_told(tmp_path):
    np.savez(tmp_path / "a.npz", movie=movie(0, 1, 2), depth=counts()[0], extra=T[:7])
    text = draft("mine", [tmp_path / "a.npz"])
    # Nothing says that these are counts but their shape.
    (line,) = (one for one in text.splitlines() if one.startswith("counts ="))
    assert '"depth"' in line and "look at this" in line
    assert "# Not used: extra" in text and tomllib.loads(text)


def of_units() -> list[np.ndarray]:
    times, cell = spikes()
    return [times[cell == n] for n in range(CELLS)]


def kept(folder, kind: str) -> None:
    """Times of one cell in each array, as a lab keeps them."""
    each, shown = of_units(), {"movie": movie(0, 1, 2), "frame_times": T}
    flat = {f"unit_{n}": times for n, times in enumerate(each)}
    if kind == "npz":
        np.savez(folder / "a.npz", **shown, **flat)  # type: ignore[arg-type]
    elif kind == "mat":
        cells = np.empty(CELLS, object)
        cells[:] = each
        savemat(folder / "a.mat", shown | {"spikes": cells})
    elif kind == "v73":
        from .layouts import v73

        # As MATLAB has it: axes the other way round, and two of them in a row.
        v73(folder / "a.mat", {"movie": movie(0, 2, 1), "frame_times": T[None]})
        with h5py.File(folder / "a.mat", "r+") as file:
            held = [
                file.create_dataset(f"#refs#/{n}", data=times[None]).ref
                for n, times in zip("cba", each, strict=True)
            ]
            file.create_dataset("spikes", data=[held], dtype=h5py.ref_dtype)
    else:
        with h5py.File(folder / "a.h5", "w") as file:
            for name, held in shown.items():
                file[name] = held
            for name, times in flat.items():
                file[f"spikes/{name}"] = times


@pytest.mark.parametrize("kind", ["hdf5", "npz", "mat", "v73"])
def test_an_array_for_each_unit(tmp_path, kind):
    kept(tmp_path, kind)
    recording, table = written(tmp_path, "mine")
    wanted = {"hdf5": "spikes/unit_", "npz": "unit_"}.get(kind, "spikes")
    assert table["options"]["parts"]["all"]["units"] == wanted
    assert [cell.name for cell in recording.cells] == ["0", "1", "2"]
    holds(recording)
    for block in recording.blocks:
        assert block.spikes is not None
        for train, whole in zip(block.spikes[0], of_units(), strict=True):
            start, stop = block.onsets_s[[0, -1]]
            inside = whole[(whole >= start) & (whole < stop)]
            np.testing.assert_array_equal(train, inside)


@pytest.mark.parametrize("kind", ["hdf5", "npz"])
def test_only_numbers_are_units_where_there_are_any(tmp_path, kind):
    kept(tmp_path, kind)
    ids = np.arange(CELLS)
    if kind == "hdf5":
        with h5py.File(tmp_path / "a.h5", "r+") as file:
            file["spikes/unit_ids"] = ids
    else:
        held = {**np.load(tmp_path / "a.npz"), "unit_ids": ids}
        np.savez(tmp_path / "a.npz", **held)  # type: ignore[arg-type]
    recording, _ = written(tmp_path, "mine")
    assert [cell.name[-1] for cell in recording.cells] == ["0", "1", "2"]


def test_trials_of_cells_are_not_as_many_cells(tmp_path):
    """A cell array of two axes: each of its arrays would be a cell."""
    kept(tmp_path, "mat")
    written(tmp_path, "mine")
    cells = np.empty((2, CELLS), object)
    for n, times in enumerate(of_units()):
        cells[0, n] = cells[1, n] = times
    shown = {"movie": movie(0, 1, 2), "frame_times": T}
    savemat(tmp_path / "a.mat", shown | {"spikes": cells})
    with pytest.raises(ShapeMismatch, match="'spikes' is 2 x 3, wanted one array for"):
        load(tmp_path / "mine.toml")


def test_what_is_no_row_of_spike_times_is_no_unit(tmp_path):
    kept(tmp_path, "hdf5")
    written(tmp_path, "mine")
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        del file["spikes/unit_1"]
        file["spikes/unit_1"] = of_units()[1][::-1]
    with pytest.raises(BadResponse, match="unit 1 does not rise"):
        load(tmp_path / "mine.toml")
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        del file["spikes/unit_1"]
        file["spikes/unit_1/times"] = of_units()[1]
    with pytest.raises(BadResponse, match="'spikes/unit_1/times' lies deeper"):
        load(tmp_path / "mine.toml")


def test_arrays_beside_the_units_hide_none(tmp_path, monkeypatch):
    """MATLAB's references, and other groups, come first by their names."""
    kept(tmp_path, "hdf5")
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        for n in range(8):
            file[f"#refs#/{n}"] = np.zeros(2)
    monkeypatch.setattr(hdf5, "MANY", 8)
    written(tmp_path, "mine")
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        for n in range(8):
            file[f"more/{n}"] = np.zeros(2)
    assert len(load(tmp_path / "mine.toml").cells) == CELLS
    with pytest.raises(UnreadableFile, match="/ holds more than 8 arrays: put"):
        draft("mine", [tmp_path / "a.h5"])
    monkeypatch.setattr(hdf5, "MANY", 2)
    with pytest.raises(UnreadableFile, match="/spikes holds more than 2 arrays: put"):
        load(tmp_path / "mine.toml")


REPEATS, EACH = 5, 40  # trials, and frames of one; the last 40 frames of each 80


def session(folder, kind: str) -> np.ndarray:
    """One long recording whose screen repeats itself; gives the starts of trials."""
    rng, shown = np.random.default_rng(3), movie(0, 1, 2).copy()
    jitter = rng.uniform(-0.01, 0.01, FRAMES)  # the clock of a screen is no ruler
    clock = 100 + T + jitter
    first = 80 * np.arange(REPEATS) + 40
    for row in first:
        shown[row : row + EACH] = shown[first[0] : first[0] + EACH]
    starts_s = clock[first] + 0.003  # a trigger is a little late
    times, cell = spikes()
    times = times + 100
    if kind == "whole":  # the movie is of one trial, the times are of all frames
        shown = shown[first[0] : first[0] + EACH]
        shown = np.concatenate([shown, movie(0, 1, 2)[:EACH]])
        starts_s = clock[:: 2 * EACH]
    with open(folder / "spikes.csv", "w", newline="") as file:
        csv.writer(file).writerows([("cell", "time_s"), *zip(cell, times, strict=True)])
    np.save(folder / "movie.npy", shown)
    np.save(folder / "frame_times.npy", clock)
    if kind == "array":
        np.save(folder / "trial_starts.npy", starts_s)
    else:
        with open(folder / "trials.csv", "w", newline="") as file:
            rows = list(enumerate(starts_s.tolist()))
            csv.writer(file).writerows([("trial", "start_s"), *rows])
    return clock


@pytest.mark.parametrize("kind", ["csv", "array"])
def test_trials_of_one_long_recording(tmp_path, kind):
    clock = session(tmp_path, kind)
    recording, table = written(tmp_path, "mine")
    assert table["options"]["trial_frames"] == EACH
    assert table["frame_s"] == pytest.approx(0.1, rel=0.05)
    (test,) = recording.role("test")
    assert test.trials == REPEATS and len(test.stimulus) == EACH
    times, cell = spikes()
    times = times + 100
    assert test.spikes is not None
    made = split(recording)
    (clip,) = made.test
    for trial in range(REPEATS):  # counts of frames, each by its own clock
        edges = clock[80 * trial + 40 :][: EACH + 1]
        if len(edges) == EACH:
            edges = np.append(edges, edges[-1] + table["frame_s"])
        for unit in range(CELLS):
            wanted = np.histogram(times[cell == unit], edges)[0]
            said = clip.response[trial, :, unit]
            np.testing.assert_array_equal(said, wanted)
    rows = [
        (round((b.onsets_s[b.lead] - 100) / 0.1), round((b.onsets_s[-1] - 100) / 0.1))
        for role in ("train", "validation")
        for b in recording.role(role)
    ]
    scored = {frame for a, b in rows for frame in range(a, b)}
    assert len(scored) > 100
    assert not any(frame % 80 >= 40 for frame in scored)  # no frame of a trial


@pytest.mark.parametrize("kind", ["npy", "hdf5"])
def test_few_onsets_beside_those_of_frames_are_starts_of_trials(tmp_path, kind):
    if kind == "npy":
        session(tmp_path, "array")
        (tmp_path / "trial_starts.npy").rename(tmp_path / "onsets.npy")
        table = written(tmp_path, "mine")[1]
        assert table["options"]["trials"] == ["onsets.npy"]
    else:
        stored(tmp_path, "hdf5")
        with h5py.File(tmp_path / "all.h5", "r+") as store:
            store.move("trial_starts", "onset_s")
        table = written(tmp_path, "mine")[1]
        assert table["options"]["trials"] == ["all.h5", "onset_s"]
    assert table["options"]["trial_frames"] == EACH
    text = (tmp_path / "mine.toml").read_text()
    (line,) = [one for one in text.splitlines() if one.startswith("trials = ")]
    assert "look at this" in line


def test_few_times_at_which_no_frames_come_again_are_no_trials(tmp_path):
    session(tmp_path, "array")
    (tmp_path / "trial_starts.npy").rename(tmp_path / "onsets.npy")
    np.save(tmp_path / "movie.npy", movie(0, 1, 2))
    text = draft("mine", sorted(tmp_path.iterdir()))
    assert "# Not used: onsets.npy" in text and "trials" not in text


@pytest.mark.parametrize("same", [1, 3])
def test_what_comes_again_by_chance_is_no_trial(tmp_path, same):
    """When a recording began and ended, and times with a few same frames after them."""
    clock, shown = session(tmp_path, "array"), movie(0, 1, 2).copy()
    ends = clock[[0, -1]] if same == 1 else clock[[0, 100, 200]]
    for row in (100, 200):
        shown[row : row + same] = shown[:same]
    np.save(tmp_path / "trial_starts.npy", ends)
    (tmp_path / "trial_starts.npy").rename(tmp_path / "session_time.npy")
    np.save(tmp_path / "movie.npy", shown)
    text = draft("mine", sorted(tmp_path.iterdir()))
    assert "# Not used: session_time.npy" in text and "trials" not in text


def test_trials_and_stimulus_of_one_file(tmp_path):
    session(tmp_path, "array")
    held = {path.stem: np.load(path) for path in tmp_path.glob("*.npy")}
    for name in held:
        (tmp_path / f"{name}.npy").unlink()
    np.savez(tmp_path / "screen.npz", **held)  # type: ignore[arg-type]
    recording, table = written(tmp_path, "mine")
    assert table["options"]["trials"] == ["screen.npz", "trial_starts"]
    assert recording.role("test")[0].trials == REPEATS


def test_each_trial_shows_the_whole_movie(tmp_path):
    session(tmp_path, "whole")
    recording, table = written(tmp_path, "mine")
    assert {rule["part"] for rule in table["splits"]} == {"trials"}
    assert all(block.trials == REPEATS for block in recording.blocks)
    train = recording.role("train")[0]
    np.testing.assert_array_equal(
        train.stimulus, np.load(tmp_path / "movie.npy")[: len(train.stimulus)]
    )


def test_starts_that_show_no_repeat_are_told(tmp_path):
    session(tmp_path, "csv")
    np.save(tmp_path / "movie.npy", movie(0, 1, 2))
    with pytest.raises(BadStimulus, match="does not show the same frames at these 5"):
        written(tmp_path, "mine")
    (tmp_path / "trials.csv").write_text("trial,kind\n0,a\n")
    with pytest.raises(MissingData, match="trials.csv has the columns.*start_s"):
        written(tmp_path, "mine")


def test_starts_that_are_none_or_nothing_are_told(tmp_path):
    session(tmp_path, "whole")
    written(tmp_path, "mine")
    card = tmp_path / "mine.toml"
    text = card.read_text().replace('"trials.csv", "start_s"', '"starts.npy"')
    card.write_text(text + '[[files]]\npath = "starts.npy"\n')
    for bad, said in (([103.0, np.nan], "holds 2 starts"), ([], "holds 0 starts")):
        np.save(tmp_path / "starts.npy", np.array(bad))
        with pytest.raises(BadStimulus, match=f"{said}.*finite number"):
            load(card)


@pytest.mark.parametrize("second", [0.0, 0.6], ids=["twice", "overlap"])
def test_trials_of_each_others_frames_are_no_repeats(tmp_path, second):
    session(tmp_path, "array")
    written(tmp_path, "mine")
    starts_s = np.load(tmp_path / "trial_starts.npy")
    np.save(tmp_path / "trial_starts.npy", [*starts_s, starts_s[0] + second])
    with pytest.raises(BadStimulus, match="40 frames one begins [06] frames after"):
        load(tmp_path / "mine.toml")


def test_trial_frames_say_that_trials_lie_within_a_movie(tmp_path):
    """Of one start alone the whole movie would be moved there."""
    clock = session(tmp_path, "array")
    written(tmp_path, "mine")
    np.save(tmp_path / "trial_starts.npy", np.load(tmp_path / "trial_starts.npy")[:1])
    (test,) = load(tmp_path / "mine.toml").role("test")
    np.testing.assert_array_equal(test.onsets_s[:-1], clock[40:80])


def test_every_trial_needs_times_in_their_order(tmp_path):
    clock = session(tmp_path, "whole")
    written(tmp_path, "mine")
    clock[[90, 95]] = clock[[95, 90]]
    np.save(tmp_path / "frame_times.npy", clock)
    with pytest.raises(BadStimulus, match="do not rise throughout trial 1"):
        load(tmp_path / "mine.toml")


def stored(folder, kind: str) -> None:
    """The session of `session`, its spikes as another lab keeps them."""
    session(folder, "array")
    arrays = {path.stem: np.load(path) for path in folder.glob("*.npy")}
    (folder / "spikes.csv").unlink()
    each = [times + 100 for times in of_units()]
    cells = np.empty(CELLS, object)
    cells[:] = each
    flat = {f"unit_{n}": times for n, times in enumerate(each)}
    if kind == "mat beside npy":
        savemat(folder / "spikes.mat", {"spikes": cells})
        return
    if kind == "npz beside csv":
        for name in ("frame_times", "trial_starts"):
            text = "\n".join(["time_s", *map(repr, arrays[name].tolist())])
            (folder / f"{name}.npy").unlink()
            (folder / f"{name}.csv").write_text(text)
        np.savez(folder / "spikes.npz", **flat)  # type: ignore[arg-type]
        return
    for name in arrays:
        (folder / f"{name}.npy").unlink()
    if kind == "mat":
        savemat(folder / "all.mat", arrays | {"spikes": cells})
    else:
        with h5py.File(folder / "all.h5", "w") as store:
            for name, held in {**arrays, **flat}.items():
                store[f"spikes/{name}" if name in flat else name] = held


@pytest.mark.parametrize("kind", ["mat beside npy", "npz beside csv", "mat", "hdf5"])
def test_trials_whatever_files_hold_the_session(tmp_path, kind):
    for name in ("own", "csv"):
        (tmp_path / name).mkdir()
    stored(tmp_path / "own", kind)
    session(tmp_path / "csv", "array")
    recording, table = written(tmp_path / "own", "mine")
    wanted, _ = written(tmp_path / "csv", "mine")
    assert table["options"]["trial_frames"] == EACH
    for one, other in zip(recording.blocks, wanted.blocks, strict=True):
        assert (one.role, one.trials) == (other.role, other.trials)
        np.testing.assert_array_equal(one.onsets_s, other.onsets_s)
        for mine, theirs in zip(one.spikes or (), other.spikes or (), strict=True):
            for a, b in zip(mine, theirs, strict=True):
                np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("kind", ["csv", "hdf5"])
def test_missed_pulses_are_named_in_the_card_and_at_load(tmp_path, kind):
    session(tmp_path, "array") if kind == "csv" else stored(tmp_path, kind)
    whole = draft("mine", sorted(tmp_path.iterdir()))
    if kind == "csv":
        clock = np.load(tmp_path / "frame_times.npy")
        np.save(tmp_path / "frame_times.npy", np.delete(clock, [11, 300]))
    else:
        with h5py.File(tmp_path / "all.h5", "r+") as store:
            clock = np.asarray(store["frame_times"])
            del store["frame_times"]
            store["frame_times"] = np.delete(clock, [11, 300])
    said = "398 times for 400 frames; interval 10 (x 2), 298 (x 2) are long"
    text = draft("mine", sorted(tmp_path.iterdir()))
    (line,) = [one for one in text.splitlines() if one.startswith("onsets")]
    assert said in line and "look at this" in line
    assert "missed_pulses = false  # <- look at this" in text
    # All else is as with every pulse there: training is not moved into the trials.
    assert tomllib.loads(text)["splits"] == tomllib.loads(whole)["splits"]
    (tmp_path / "mine.toml").write_text(text.replace('unit = ""', 'unit = "grey"'))
    with pytest.raises(ShapeMismatch, match="interval 10 .x 2., 298 .x 2. are long"):
        load(tmp_path / "mine.toml")
    card = (tmp_path / "mine.toml").read_text()
    card = card.replace("missed_pulses = false", "missed_pulses = true")
    (tmp_path / "mine.toml").write_text(card)
    (test,) = load(tmp_path / "mine.toml").role("test")
    assert test.trials == REPEATS and len(test.stimulus) == EACH


def test_of_the_trial_of_each_spike_and_starts_one_file_may_hold_both(tmp_path):
    rng = np.random.default_rng(0)
    table = {"movie": movie(0, 1, 2), "trial_starts": np.array([0.0, 50.0])}
    table |= {"spike_s": rng.uniform(0, 9, 90), "spike_cell": rng.integers(0, 3, 90)}
    table |= {"spike_trial": np.arange(90) % 2}
    np.savez(tmp_path / "a.npz", **table)  # type: ignore[arg-type]
    text = draft("mine", [tmp_path / "a.npz"])
    (part,) = tomllib.loads(text)["options"]["parts"].values()
    assert part["spike_trial"] == "spike_trial" and part["trial_count"] == 2


def test_a_last_trial_without_a_spike_is_a_trial(tmp_path):
    times, cell = spikes()
    held = {"movie": movie(0, 1, 2), "spike_s": times, "spike_cell": cell}
    held |= {"spike_trial": np.arange(900) % 3, "frame_times": T}
    np.savez(tmp_path / "a.npz", **held)  # type: ignore[arg-type]
    recording, _ = written(tmp_path, "mine")
    assert {block.trials for block in recording.blocks} == {3}
    card = tmp_path / "mine.toml"
    text = card.read_text()
    card.write_text(text.replace("trial_count = 3", "trial_count = 5"))
    assert {block.trials for block in load(card).blocks} == {5}
    card.write_text(text.replace("trial_count = 3", "trial_count = 2"))
    with pytest.raises(BadResponse, match="trial_count = 2, but the spikes are of 3"):
        load(card)
    # Of spikes without a trial all are of the first: four would be made up.
    lines = [x for x in text.splitlines() if not x.startswith("spike_trial")]
    card.write_text("\n".join(lines).replace("trial_count = 3", "trial_count = 5"))
    with pytest.raises(BadResponse, match="trial_count = 5.* were shown, 1 to 1"):
        load(card)


def test_numbers_that_rise_are_no_times_of_frames(tmp_path):
    """Some fewer than the frames, and not called so."""
    table = {"movie": movie(0, 1, 2), "counts": counts(), "index": np.arange(398)}
    np.savez(tmp_path / "a.npz", **table)  # type: ignore[arg-type]
    (part,) = tomllib.loads(draft("mine", [tmp_path / "a.npz"]))["options"][
        "parts"
    ].values()
    assert "onsets" not in part


def test_files_without_spike_times_are_told_what_to_do(tmp_path):
    np.save(tmp_path / "movie.npy", movie(0, 1, 2))
    np.save(tmp_path / "counts.npy", counts())
    with pytest.raises(BadSetting, match="none.*holds spike times.*numpy.savez"):
        draft("mine", [tmp_path / "movie.npy", tmp_path / "counts.npy"])


def test_history_is_as_long_as_models_look_back(tmp_path):
    np.savez(tmp_path / "a.npz", movie=movie(0, 1, 2)[:300], counts=counts()[:, :300])
    assert tomllib.loads(draft("mine", [tmp_path / "a.npz"]))["lead"] == 30
