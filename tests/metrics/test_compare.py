"""Which model beats which: known winners, ties, words and corrections."""

from __future__ import annotations

import numpy as np
import pytest

from retina.errors import BadSetting, ShapeMismatch
from retina.metrics.clips import evaluate
from retina.metrics.compare import Difference, holm, paired
from tests.metrics.simulated import clip, draw_cells, null_rate

BIN_S = 1 / 30


def two_models(seed: int = 0, bins: int = 900, trials: int = 5, cells: int = 16):
    """A worse and a better model of the same counts; the better is the true rate."""
    rng = np.random.default_rng(seed)
    about = draw_cells(rng, cells)
    model, true, response = clip(rng, about, bins, trials)
    return [(model, response)], [(true, response)], null_rate(about)


@pytest.mark.parametrize("name", ["bits_per_spike", "cc_norm", "feve", "pearson"])
def test_the_better_model_wins(name: str):
    worse, better, null = two_models()
    found = paired(
        name,
        better,
        worse,
        BIN_S,
        rng=np.random.default_rng(0),
        null_rate=null,
        names=("true", "guess"),
    )
    difference = evaluate(name, better, null) - evaluate(name, worse, null)
    np.testing.assert_allclose(found.per_cell, difference, rtol=1e-9, atol=1e-12)
    assert found.median == pytest.approx(np.median(difference))
    assert found.wins == np.sum(difference > 0) and found.cells == 16
    assert found.decided and found.ci95[0] > 0 and found.p < 0.01
    assert found.sentence.startswith(f"true beats guess on {found.wins} of 16 cells")


def test_swapping_the_models_swaps_the_answer():
    worse, better, null = two_models()
    one, other = (
        paired(
            "bits_per_spike",
            *models,
            BIN_S,
            rng=np.random.default_rng(0),
            null_rate=null,
            names=names,
        )
        for models, names in (
            ((better, worse), ("true", "guess")),
            ((worse, better), ("guess", "true")),
        )
    )
    np.testing.assert_allclose(one.median, -other.median)
    np.testing.assert_allclose(one.ci95, (-other.ci95[1], -other.ci95[0]), rtol=1e-9)
    assert one.sentence == other.sentence
    np.testing.assert_allclose(one.p, other.p)


def test_a_model_does_not_beat_itself():
    worse, _, null = two_models()
    found = paired(
        "bits_per_spike",
        worse,
        worse,
        BIN_S,
        rng=np.random.default_rng(0),
        null_rate=null,
    )
    assert found.median == 0 and found.ci95 == (0, 0)
    assert found.wins == 0 and not found.decided and found.p == 1
    assert found.sentence == (
        "a and b cannot be told apart: a is higher on 0 of 16 cells; "
        "median Δbits_per_spike 0.00 [0.00, 0.00]"
    )


def test_pairing_is_sharper_than_two_intervals():
    """What both models share, the stimulus and its spikes, cancels."""
    from retina.metrics.resample import interval

    rng = np.random.default_rng(0)
    worse, better, null = two_models()
    close = [(0.9 * better[0][0] + 0.1 * worse[0][0], better[0][1])]
    found = paired(
        "bits_per_spike",
        better,
        close,
        BIN_S,
        rng=rng,
        null_rate=null,
        cross_cells=False,
    )
    alone = interval(
        "bits_per_spike", better, BIN_S, rng=rng, null_rate=null, cross_cells=False
    )
    assert found.ci95[1] - found.ci95[0] < 0.3 * (alone.high - alone.low)


def test_two_infinitely_bad_models_are_equal_and_one_loses():
    worse, better, null = two_models(cells=7)
    zero = [(0 * worse[0][0], worse[0][1])]
    rng = np.random.default_rng(0)
    tie = paired("bits_per_spike", zero, zero, BIN_S, rng=rng, null_rate=null)
    assert tie.median == 0 and tie.cells == 7 and not tie.decided
    lost = paired(
        "bits_per_spike",
        better,
        zero,
        BIN_S,
        rng=rng,
        null_rate=null,
        names=("ln", "0"),
    )
    assert lost.decided and lost.median == np.inf
    assert (
        lost.sentence
        == "ln beats 0 on 7 of 7 cells; median Δbits_per_spike inf " + ("[inf, inf]")
    )


def test_of_several_starts_the_median_is_compared():
    """One start that came out well by luck does not win; nor does a bad one lose."""
    worse, better, null = two_models()

    def found(starts, others, name="bits_per_spike"):
        return paired(
            name,
            starts[0],
            others[0],
            BIN_S,
            rng=np.random.default_rng(0),
            null_rate=null,
            others_a=starts[1:],
            others_b=others[1:],
        )

    plain = found([better], [worse])
    assert found([worse, better, better], [better, worse, worse]) == plain
    lucky = found([better, worse, worse], [worse])
    assert lucky.median == 0 and not lucky.decided
    with pytest.raises(ShapeMismatch, match="different responses"):
        other = [(better[0][0], better[0][1] + 1)]
        found([better, other], [worse])


def test_undefined_cells_are_left_out_of_the_count():
    worse, better, null = two_models(cells=8)
    better[0][1][..., 3] = 0  # one array, both models' response
    found = paired(
        "cc_norm", better, worse, BIN_S, rng=np.random.default_rng(0), null_rate=null
    )
    assert found.cells == 7 and np.isnan(found.per_cell[3])


def test_only_the_same_response_can_be_compared():
    worse, better, null = two_models()
    rng = np.random.default_rng(0)
    other = [(better[0][0], better[0][1] + 1)]
    with pytest.raises(ShapeMismatch, match="different responses"):
        paired("pearson", worse, other, BIN_S, rng=rng)
    halves = [
        (p[half], y[:, half])
        for p, y in better
        for half in (range(450), range(450, 900))
    ]
    with pytest.raises(ShapeMismatch, match=r"\[900\].*\[450, 450\]"):
        paired("pearson", worse, halves, BIN_S, rng=rng)


@pytest.mark.parametrize("name", ["signal_power", "cc_max"])
def test_figures_of_the_data_compare_no_models(name: str):
    worse, better, _ = two_models(bins=60)
    with pytest.raises(BadSetting, match="belongs to the data"):
        paired(name, worse, better, BIN_S, rng=np.random.default_rng(0))


def words(
    median: float, low: float, high: float, wins: int = 14, losses: int = 2
) -> str:
    return Difference(
        metric="cc_norm",
        names=("cnn", "lnln"),
        median=median,
        ci95=(low, high),
        per_cell=(1.0,) * wins + (-1.0,) * losses,
        wins=wins,
        cells=wins + losses,
        p=0.01,
    ).sentence


def test_the_sentence():
    assert words(0.06, 0.04, 0.09) == (
        "cnn beats lnln on 14 of 16 cells; median Δcc_norm 0.06 [0.04, 0.09]"
    )
    assert words(-0.06, -0.09, -0.04, wins=1, losses=15) == (
        "lnln beats cnn on 15 of 16 cells; median Δcc_norm 0.06 [0.04, 0.09]"
    )
    assert words(0.01, -0.02, 0.03, wins=9, losses=7) == (
        "cnn and lnln cannot be told apart: cnn is higher on 9 of 16 cells; "
        "median Δcc_norm 0.01 [-0.02, 0.03]"
    )
    # A narrow interval is not rounded to nothing.
    assert "0.003 [0.001, 0.006]" in words(0.003, 0.001, 0.006)
    assert "cannot be told apart" in words(0.3, np.nan, np.nan)


def test_holm_against_a_worked_example():
    """Factors 4, 3, 2, 1 on the sorted values, then the running maximum."""
    np.testing.assert_allclose(
        holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02]
    )
    np.testing.assert_allclose(holm([0.5, 0.9]), [1.0, 1.0])
    np.testing.assert_allclose(holm([0.02]), [0.02])
    np.testing.assert_allclose(holm([0.01, np.nan]), [0.02, 1.0])
    assert holm([]).shape == (0,)
    with pytest.raises(ShapeMismatch):
        holm([[0.1]])


def test_holm_keeps_the_family_wise_error():
    """Ten true nulls: some p below .05 after correction in at most 5 % of families."""
    p = np.random.default_rng(0).random((4000, 10))
    wrong = np.mean([(holm(row) < 0.05).any() for row in p])
    # Independent tests: 1 - (1 - .005)**10 = 4.9 %; three standard errors are 1 %.
    assert abs(wrong - 0.049) < 0.0105
