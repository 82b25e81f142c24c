"""Metrics by name over several clips, and the warning about few repeats."""

from __future__ import annotations

import numpy as np
import pytest

from retina.errors import BadSetting, ShapeMismatch, UnknownName
from retina.metrics.bits_per_spike import bits_per_spike
from retina.metrics.clips import evaluate, few_repeats_note
from retina.metrics.pearson import pearson


def clips(lengths=(40, 70), trials=1, cells=3):
    rng = np.random.default_rng(0)
    rates = [rng.gamma(1.0, 0.5, (bins, cells)) for bins in lengths]
    return [(r, rng.poisson(r, (trials, *r.shape))) for r in rates]


def test_clips_of_different_lengths_are_one_long_clip():
    pairs = clips()
    rate = np.concatenate([p for p, _ in pairs])
    response = np.concatenate([y for _, y in pairs], axis=1)
    np.testing.assert_array_equal(evaluate("pearson", pairs), pearson(rate, response))
    null = np.array([0.4, 0.5, 0.6])
    np.testing.assert_array_equal(
        evaluate("bits_per_spike", pairs, null), bits_per_spike(rate, response, null)
    )


def test_clips_that_do_not_belong_together():
    one, (rate, response) = clips()
    with pytest.raises(
        ShapeMismatch, match=r"clip 0 .*\(1, 40, 3\) and clip 1 \(2, 70"
    ):
        evaluate("pearson", [one, (rate, np.repeat(response, 2, axis=0))])
    with pytest.raises(ShapeMismatch, match=r"\(1, 40, 3\) and clip 1 \(1, 70, 2\)"):
        evaluate("pearson", [one, (rate[:, :2], response[..., :2])])
    with pytest.raises(ShapeMismatch, match="at least one"):
        evaluate("pearson", [])


def test_names_and_nulls_that_are_missing():
    with pytest.raises(UnknownName, match="'pearson'"):
        evaluate("pearsn", clips())
    with pytest.raises(BadSetting, match="null_rate=fit.null_rate"):
        evaluate("bits_per_spike", clips())


def test_a_metric_from_a_file_with_a_keyword_only_null(tmp_path):
    file = tmp_path / "ratio.py"
    file.write_text(
        "def ratio(rate, response, *, null_rate):\n"
        "    return response.mean((0, 1)) / null_rate\n"
    )
    pairs = clips()
    counts = np.concatenate([y for _, y in pairs], axis=1)
    value = evaluate(str(file), pairs, np.full(3, 2.0))
    np.testing.assert_allclose(value, counts.mean((0, 1)) / 2, rtol=1e-12)


@pytest.mark.parametrize(
    ("trials", "rate", "words"),
    [
        (2, 0.05, "only 2 repeats at a median of 0.05"),
        (9, 0.05, "only 9 repeats"),
        (10, 0.05, ""),
        (4, 0.5, ""),
    ],
)
def test_the_note_on_few_repeats(trials: int, rate: float, words: str):
    note = few_repeats_note(np.full((trials, 10, 3), rate))
    assert words in note
    assert bool(words) == bool(note)
