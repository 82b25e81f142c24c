"""Trials of one long recording: their common clock, and those that deviate from it."""

from __future__ import annotations

import numpy as np
import pytest

from retina.data.caveats import caveats
from retina.data.parts import Part
from retina.data.trials import together, within
from retina.errors import BadCard, BadStimulus


def showings(drops: dict[int, int], trials: int = 5, frames: int = 6):
    """Clocks of trials, of which some have a frame that stayed on for two."""
    clocks = []
    for trial in range(trials):
        lasts = np.ones(frames)
        if trial in drops:
            lasts[drops[trial]] = 2
        clocks.append(100 * trial + np.concatenate([[0], np.cumsum(lasts)]))
    train = np.concatenate([clock[:-1] + 0.25 for clock in clocks])  # one each frame
    return clocks, [train]


@pytest.mark.parametrize("odd", [0, 3])
def test_a_trial_whose_frame_stayed_on_is_left_out_and_named(odd):
    clocks, trains = showings({odd: 2})
    part, note = together(np.arange(6), clocks, trains)
    np.testing.assert_allclose(np.diff(part.onsets_s), 1)
    assert part.spikes is not None and len(part.spikes) == 4
    for (train,) in part.spikes:
        np.testing.assert_allclose(train - part.onsets_s[:-1], 0.25)
    assert f"trial {odd} (frame 2 for 2): left out, 4 of 5 trials are taken" in note
    assert caveats([note]) == (note,)


def test_a_frame_that_stays_on_in_every_trial_is_no_deviation():
    clocks, trains = showings(dict.fromkeys(range(5), 2))
    part, note = together(np.arange(6), clocks, trains)
    assert not note and part.spikes is not None and len(part.spikes) == 5
    np.testing.assert_allclose(np.diff(part.onsets_s), [1, 1, 2, 1, 1, 1])


def test_trials_that_nearly_all_deviate_stay_and_are_named():
    clocks, trains = showings({0: 0, 1: 1, 2: 2, 3: 3})
    part, note = together(np.arange(6), clocks, trains)
    assert part.spikes is not None and len(part.spikes) == 5
    np.testing.assert_allclose(np.diff(part.onsets_s), 1)
    assert "3 (frame 3 for 2): too many to be left out" in note


def test_a_time_that_came_late_is_no_frame_that_stayed_on():
    clocks, trains = showings({})
    clocks[1][3] += 0.6
    part, note = together(np.arange(6), clocks, trains)
    assert not note and part.spikes is not None and len(part.spikes) == 5
    np.testing.assert_allclose(np.diff(part.onsets_s), 1)


def test_times_that_jitter_by_less_than_half_a_frame_leave_no_trial_out():
    rng = np.random.default_rng(0)
    clocks, trains = showings({2: 40}, trials=8, frames=200)
    clocks = [clock + rng.uniform(-0.4, 0.4, len(clock)) for clock in clocks]
    part, note = together(np.arange(200), clocks, trains)
    assert part.spikes is not None and len(part.spikes) == 7
    assert "trial 2 (frame 40 for 2): left out, 7 of 8 trials are taken" in note


def test_no_frame_lasts_one_and_a_half():
    """Half of the trials have it twice as long, each of them another one too."""
    clocks, trains = showings({0: 0, 1: 0, 2: 1, 3: 1}, trials=4)
    clocks[0][4:] += 1
    clocks[2][4:] += 1
    clocks[3][5:] += 1
    part, note = together(np.arange(6), clocks, trains)
    assert "too many" in note
    np.testing.assert_allclose(np.diff(part.onsets_s), 1)


def test_a_dropped_frame_that_the_clock_forgot_is_not_called_a_long_trial():
    movie = np.random.default_rng(0).integers(0, 99, 40)
    movie[30:] = movie[10:20]
    whole = Part(movie, np.arange(41.0), ((np.array([1.0]),),))
    part, note = within(whole, np.array([10.0, 30]), 10, "here")
    assert not note and len(part.stimulus) == 10
    with pytest.raises(BadStimulus, match="other frames from frame 0.*dropped"):
        within(whole, np.array([10.0, 31]), 10, "here")
    first = np.array([10.0, 30])
    with pytest.raises(BadCard, match="smaller one, or take out its start"):
        within(Part(movie[:-1], np.arange(40.0), whole.spikes), first, 10, "here")


def test_times_within_a_movie_must_rise():
    clock = np.arange(41.0)
    clock[[20, 21]] = clock[[21, 20]]
    part = Part(np.arange(40), clock, ((np.array([1.0]),),))
    with pytest.raises(BadStimulus, match="do not rise: that of frame 21 is 20 s"):
        within(part, np.array([10.0, 30]), 10, "here")


def test_a_last_frame_that_lasts_a_little_longer_keeps_its_spikes():
    movie = np.random.default_rng(0).integers(0, 99, 40)
    movie[30:] = movie[10:20]
    clock = np.arange(41.0)
    clock[20] += 0.3
    part = Part(movie, clock, ((np.array([19.5, 20.2, 39.5]),),))
    made, _ = within(part, np.array([10.0, 30]), 10, "here")
    assert made.spikes is not None and [len(t) for (t,) in made.spikes] == [2, 1]


def test_a_trial_that_the_recording_cuts_off_is_left_out():
    movie = np.random.default_rng(0).integers(0, 99, 37)
    movie[15:25] = movie[2:12]
    movie[30:37] = movie[2:9]
    spikes = ((np.array([3.5, 16.5, 31.5]),),)
    first = np.array([2.0, 15, 30])
    part, note = within(Part(movie, np.arange(38.0), spikes), first, 10, "here")
    assert part.spikes is not None and [len(t) for (t,) in part.spikes] == [1, 1]
    assert note == "the recording ends within a trial: 2 of 3 trials are whole"
    assert caveats([note]) == (note,)
