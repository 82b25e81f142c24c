"""pynapple's objects in, and out again; what needs the library is skipped without."""

from __future__ import annotations

from types import SimpleNamespace as Some
from typing import Any

import numpy as np
import pytest

from retina.data.pynapple import from_pynapple, rates_to_pynapple, to_pynapple
from retina.data.split import split
from retina.errors import BadStimulus, Leak, MissingExtra

FRAME_S, FRAMES, REPEAT = 0.02, 200, 40


def session():
    """Frames from 10 s on, the last 40 of them shown three times over, later."""
    rng = np.random.default_rng(0)
    fresh = rng.integers(0, 255, (FRAMES, 3, 4), np.uint8)
    again = rng.integers(0, 255, (REPEAT, 3, 4), np.uint8)
    starts = 20.0 + 2.0 * np.arange(3)
    onsets = [10 + FRAME_S * np.arange(FRAMES)]
    onsets += [start + FRAME_S * np.arange(REPEAT) for start in starts]
    frames = np.concatenate([fresh, *[again] * 3])
    trains = [np.sort(rng.uniform(10, 26, 900)) for _ in range(2)]
    return np.concatenate(onsets), frames, trains, starts


def intervals(*ends):
    start, end = np.array(ends).T
    return Some(start=start, end=end)


ROLES: dict[str, Any] = {
    "train": intervals((10.0, 13.0)),
    "validation": intervals((13.0, 13.999)),
    "test": intervals(*((s, s + 0.799) for s in (20.0, 22.0, 24.0))),
}


def check(recording):
    onsets, frames, trains, starts = session()
    made = split(recording)
    assert [len(clip.stimulus) for clip in made.train] == [150]
    (test,) = made.test
    assert test.response.shape == (3, REPEAT, 2)
    for trial, start in enumerate(starts):
        edges = start + FRAME_S * np.arange(REPEAT + 1)
        for cell, train in enumerate(trains):
            # Spikes that fall on an edge to the last bit may go either way: none does.
            expected = np.histogram(train, edges)[0]
            np.testing.assert_array_equal(test.response[trial, :, cell], expected)
    np.testing.assert_array_equal(test.stimulus, frames[-REPEAT:])


def test_what_has_times_and_values_comes_in():
    onsets, frames, trains, _ = session()
    screen = Some(t=onsets, values=frames)
    spikes = {n: Some(t=train) for n, train in enumerate(trains)}
    check(from_pynapple(spikes, screen, **ROLES, lead=5))
    with pytest.raises(Leak, match=r"10-13 s \(train\) and 12-13 s \(test\) overlap"):
        from_pynapple(
            spikes, screen, train=ROLES["train"], test=intervals((12.0, 13.0))
        )
    with pytest.raises(BadStimulus, match="no frame begins within 0-9 s"):
        from_pynapple(spikes, screen, train=intervals((0.0, 9.0)))
    with pytest.raises(BadStimulus, match="6.02 s between two frames of 0.02 s"):
        from_pynapple(spikes, screen, train=intervals((10.0, 21.0)))


def test_without_the_library_nothing_goes_out(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pynapple", None)
    with pytest.raises(MissingExtra, match=r"'retina-frontier\[pynapple\]'"):
        rates_to_pynapple(np.zeros((3, 1)), 0.1)


def test_pynapple_in_and_out():
    nap = pytest.importorskip("pynapple")
    onsets, frames, trains, _ = session()
    screen = nap.TsdTensor(t=onsets, d=frames)
    spikes = nap.TsGroup(
        {n: nap.Ts(train) for n, train in enumerate(trains)},
        metadata={"name": ["on", "off"]},
    )
    roles = {k: nap.IntervalSet(one.start, one.end) for k, one in ROLES.items()}
    recording = from_pynapple(spikes, screen, **roles, lead=5)
    check(recording)
    assert [cell.name for cell in recording.cells] == ["on", "off"]
    made = to_pynapple(recording)
    assert list(made) == ["train_0", "validation_0", "test_0"]
    shown, trials = made["test_0"]
    assert isinstance(shown, nap.TsdTensor) and len(trials) == 3
    np.testing.assert_array_equal(shown.values, frames[-REPEAT:])
    block = recording.role("test")[0]
    for trial, said in zip(trials, block.spikes or (), strict=True):
        assert list(trial["name"]) == ["on", "off"]
        for cell, train in enumerate(said):  # pynapple rounds to a nanosecond
            np.testing.assert_allclose(trial[cell].t, train, atol=1e-9)
    rates = rates_to_pynapple(np.full((5, 2), 0.3), 0.1, ["on", "off"], 2.0)
    np.testing.assert_allclose(rates.values, 3.0)
    assert list(rates.columns) == ["on", "off"] and rates.t[0] == 2.0
