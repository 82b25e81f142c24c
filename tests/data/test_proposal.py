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
    MissingData,
    ShapeMismatch,
    UnreadableFile,
)

from .proposed import CELLS, FRAMES, T, counts, holds, movie, of_units, spikes, written


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
