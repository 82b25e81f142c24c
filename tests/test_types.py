"""What a record says of itself at the prompt: a line, whatever it holds."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np
import pytest

import retina
from retina.errors import BadResponse, BadSetting, ShapeMismatch
from retina.types import Block, Clip, Spec
from tests.fitting import synthetic


def test_each_record_is_one_short_line():
    split = synthetic.split(synthetic.truth((3, 4)), train=200, held_out=100)
    model = retina.model("mean", split.spec)
    fit = retina.fit(model, split, key=jax.random.key(0), seeds=2)
    point = retina.measure(fit, split, "mine", ["bits_per_spike"])
    metric = point.score.metrics["bits_per_spike"]
    for one in (split, split.train[0], fit, point.score, metric, point.cost, point):
        said = repr(one)
        assert said.startswith(type(one).__name__ + "(") and said.endswith(")")
        assert "\n" not in said and "array" not in said and len(said) < 300, said
    said = repr(split)
    for words in ("2 cells", "3 x 4", "0.05 s", "2 clips of 392 bins", "spikes/s"):
        assert words in said
    rate = split.train[0].response[:, 4:].mean() + split.train[1].response[:, 4:].mean()
    assert f"{rate / 2 / 0.05:.3g} spikes/s per cell" in said
    assert "2 seeds" in repr(fit) and "mean on" in repr(fit)
    assert "bits_per_spike" in repr(point.score)


def test_a_recording_and_its_blocks():
    recording = retina.load("simulated")
    said = repr(recording)
    assert said == (
        "Recording('simulated': 12 cells, frames of 20 x 20 and 0.03333 s, "
        "18 train blocks, 3 validation blocks, 3 test blocks)"
    )
    assert "1800 frames of 20 x 20, 1 trial, 12 cells" in repr(recording.blocks[0])


def test_trials_that_are_none_or_of_unequal_cells_are_refused():
    shown, onsets, train = np.zeros(3), np.arange(4.0), np.array([0.5])
    with pytest.raises(BadResponse, match="no trials"):
        Block("b", "train", shown, onsets, ())
    with pytest.raises(ShapeMismatch, match="of 1 cells, another of 2"):
        Block("b", "train", shown, onsets, ((train,), (train, train)))


def test_a_clock_that_does_not_run_and_a_history_longer_than_its_clip_are_refused():
    spec = Spec((), 1, 0.01)
    for name in ("cells", "bin_s", "stimulus_sd", "bins_per_frame"):
        with pytest.raises(BadSetting, match=f"{name} 0: above 0"):
            dataclasses.replace(spec, **{name: 0})
    for skip in (-1, 4):
        with pytest.raises(ShapeMismatch, match=f"skip {skip} is not within its 3"):
            Clip("c", np.zeros(3), np.zeros((1, 3, 1)), skip)
