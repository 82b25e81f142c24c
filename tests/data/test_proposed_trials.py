"""Cards proposed for one long recording whose screen repeats itself in trials."""

from __future__ import annotations

import csv
import tomllib

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from retina.data.load import load
from retina.data.proposal.draft import draft
from retina.data.split import split
from retina.errors import (
    BadResponse,
    BadStimulus,
    MissingData,
    ShapeMismatch,
)

from .proposed import CELLS, FRAMES, T, movie, of_units, spikes, written

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
