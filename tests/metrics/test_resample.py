"""The bootstrap against itself done the long way, and its small parts."""

from __future__ import annotations

import time

import numpy as np
import pytest

from retina import registry
from retina.errors import BadSetting
from retina.metrics.clips import bound, evaluate, sums_of
from retina.metrics.medians import middle, p_value, percentiles, spread_of_median
from retina.metrics.resample import block_starts, interval, resampled
from tests.metrics.simulated import clip, draw_cells, null_rate

BIN_S = 1 / 30


def pairs_of(seed: int = 0, lengths=(200, 130), trials: int = 4, cells: int = 6):
    rng = np.random.default_rng(seed)
    about = draw_cells(rng, cells)
    made = [clip(rng, about, bins, trials) for bins in lengths]
    return [(model, response) for model, _, response in made], null_rate(about)


def by_time(name: str) -> bool:
    sums = sums_of(bound(name, np.ones(1), BIN_S)[0])
    return sums is not None and sums.over == "time" and sums.local


@pytest.mark.parametrize("name", [n for n in registry.names("metrics") if by_time(n)])
def test_a_draw_from_sums_is_the_metric_on_the_drawn_blocks(name: str):
    """The draws are repeated from the same generator and scored by definition."""
    pairs, null = pairs_of()
    (made,) = resampled(
        name,
        [pairs],
        BIN_S,
        rng=np.random.default_rng(1),
        null_rate=null,
        draws=5,
        block_s=1.0,
    )
    starts = block_starts([200, 130], BIN_S, 1.0)
    rate = np.concatenate([p for p, _ in pairs])
    response = np.concatenate([y for _, y in pairs], axis=1)
    blocks = np.split(np.arange(len(rate)), starts[1:])
    assert made.blocks == len(blocks)
    weights = np.random.default_rng(1).multinomial(
        len(blocks), np.full(len(blocks), 1 / len(blocks)), size=5
    )
    for row, value in zip(weights, made.values, strict=True):
        chosen = [blocks[b] for b, times in enumerate(row) for _ in range(times)]
        at = np.concatenate(chosen)
        direct = evaluate(name, [(rate[at], response[:, at])], null, BIN_S)
        # Float64 rounding: the sums are centred on all the data, not on the draw.
        np.testing.assert_allclose(value, direct, rtol=1e-9)


def test_a_metric_without_sums_gets_the_same_draws(tmp_path):
    file = tmp_path / "slow.py"
    file.write_text(
        "from retina.metrics.cc_norm import cc_norm\n\n\n"
        "def slow(rate, response):\n    return cc_norm(rate, response)\n"
    )
    pairs, _ = pairs_of()
    quick, slow = (
        interval(name, pairs, BIN_S, rng=np.random.default_rng(2), draws=50)
        for name in ("cc_norm", str(file))
    )
    np.testing.assert_allclose(quick, slow, rtol=1e-9)


def test_blocks_never_cross_clips_and_are_nearly_equal():
    lengths = [200, 7, 130, 45]
    starts = block_starts(lengths, BIN_S, block_s=1.0)
    assert {0, 200, 207, 337} <= set(starts.tolist())
    sizes = np.diff([*starts, sum(lengths)])
    assert sizes.sum() == sum(lengths)
    assert sizes.min() == 7  # the short clip is one block
    long = np.sort(sizes)[1:]
    assert long.min() >= 22 and long.max() <= 45


@pytest.mark.parametrize(
    ("seconds", "blocks"),
    [
        (9, 30),  # blocks of 0.3 s
        (3, 10),  # never shorter
        (20, 30),
        (750, 750),  # never longer than 1 s
    ],
)
def test_the_default_block(seconds: int, blocks: int):
    assert len(block_starts([seconds * 30], BIN_S)) == blocks


def test_a_bin_longer_than_a_block_is_a_block():
    assert block_starts([4], bin_s=5.0).tolist() == [0, 1, 2, 3]
    with pytest.raises(BadSetting, match="block_s=0"):
        block_starts([4], 1.0, 0.0)
    with pytest.raises(BadSetting, match="bin_s=0"):
        block_starts([4], 0.0)


def test_middle_is_numpys_nanmedian():
    values = np.random.default_rng(0).normal(size=(40, 7))
    values[values > 1] = np.nan
    values[0] = [np.nan] * 3 + [1.0, 2.0, 4.0, 8.0]
    np.testing.assert_array_equal(middle(values), np.nanmedian(values, axis=1))
    assert np.isnan(middle(np.array([np.nan, np.nan])))
    assert np.isnan(middle(np.empty((2, 0)))).all()


def test_percentiles_are_plain_for_many_samples_and_wider_for_few():
    draws = np.random.default_rng(0).normal(size=1000)
    low, high = percentiles(draws, 10**6)
    want = np.quantile(draws, [0.025, 0.975])
    np.testing.assert_allclose([low, high], want, atol=0.05)  # one order statistic
    few = percentiles(draws, 10)
    assert few[0] < low and few[1] > high
    # t with 9 degrees, 2.262, times sqrt(10 / 9): 2.38 standard deviations. The 0.9 %
    # quantile of 1000 draws has an error of about 0.1.
    np.testing.assert_allclose(few, [-2.38, 2.38], atol=0.3)
    assert np.isnan(percentiles(draws, 1)).all()
    assert np.isnan(percentiles(np.full(5, np.nan), 100)).all()


@pytest.mark.parametrize("samples", [8, 20, 10**6])
def test_p_is_below_five_percent_where_the_interval_excludes_zero(samples: int):
    draws = np.sort(np.random.default_rng(0).normal(size=1000))
    for centre in np.linspace(1.5, 3.5, 41):
        low, _ = percentiles(draws + centre, samples)
        p = p_value(draws + centre, samples)
        # Both are read off single draws: within one of them of 0 either may say so.
        if abs(low) > 0.1:
            assert (p < 0.05) == (low > 0), (centre, low, p)


def test_p_is_never_zero_and_at_most_one():
    draws = np.random.default_rng(0).normal(size=1000)
    assert 0 < p_value(draws + 100, 10**6) < 0.005
    assert p_value(np.zeros(1000), 10) == 1
    np.testing.assert_allclose(p_value(draws + 5, 30), p_value(-draws - 5, 30))


def test_the_spread_counts_each_source_of_noise_once():
    """Variance of the mean-like median: cells, shared and own noise add up.

    For normal values the median of C cells has variance pi / 2 of the mean's, for the
    noise as for the cells; shared noise passes in full. C = 101, 4000 draws, so each
    variance is known to 2-3 %, the square root below to 15 %.
    """
    rng = np.random.default_rng(0)
    count, draws = 101, 4000
    ratio = []
    for _ in range(20):
        own = 0.8
        truth = rng.normal(size=count)
        observed = truth + own * rng.normal(size=count)
        shared = 0.15 * rng.normal(size=(draws, 1))
        values = observed + shared + own * rng.normal(size=(draws, count))
        medians, _ = spread_of_median(observed, values, rng, blocks=500)
        expected = np.pi / 2 * (1 + own**2) / count + 0.15**2
        ratio.append(np.var(medians) / expected)
    assert 0.8 < np.mean(ratio) < 1.25


def test_without_shared_noise_only_the_cells_are_drawn():
    rng = np.random.default_rng(0)
    observed = rng.normal(size=61)
    values = observed + rng.normal(size=(2000, 61))
    medians, samples = spread_of_median(observed, values, rng, blocks=50)
    cells_only = middle(observed[rng.integers(0, 61, (2000, 61))])
    # Drawing time as well would add as much again, twice.
    assert np.var(medians) < 1.25 * np.var(cells_only)
    assert samples == 50


def test_few_cells_are_held_fixed():
    pairs, null = pairs_of(cells=5)
    by_default, fixed, crossed = (
        interval(
            "bits_per_spike",
            pairs,
            BIN_S,
            rng=np.random.default_rng(0),
            null_rate=null,
            cross_cells=cross,
        )
        for cross in (None, False, True)
    )
    assert by_default == fixed
    assert crossed.high - crossed.low > fixed.high - fixed.low


def test_the_same_generator_gives_the_same_interval():
    pairs, _ = pairs_of(cells=15)
    one, other, third = (
        interval("cc_norm", pairs, BIN_S, rng=np.random.default_rng(seed))
        for seed in (5, 5, 6)
    )
    assert one == other and one != third


def test_other_seeds_share_the_draws():
    """Noise of the fit is taken out by the median; that of the data is not."""
    pairs, _ = pairs_of(cells=15)

    def told(*others) -> tuple[float, float, int]:
        rng = np.random.default_rng(5)
        return interval("pearson", pairs, BIN_S, rng=rng, others=others)

    assert told(pairs, pairs) == told()
    worse = [(0 * rate + response.mean(0)[::-1], response) for rate, response in pairs]
    low, high, _ = told(worse, worse)
    assert high < told()[0]
    assert told(worse, pairs) == told()


def test_draws_that_lose_a_cell_are_counted():
    """One cell fires in one block only: 1 - 1/e of the draws hold that block."""
    rng = np.random.default_rng(0)
    rate = rng.gamma(1.0, 0.5, (900, 8))
    response = rng.poisson(rate, (1, 900, 8)).astype(np.float64)
    response[..., 3] = 0
    response[0, 10, 3] = 1
    found = interval("pearson", [(rate, response)], BIN_S, rng=rng, draws=2000)
    # 1 / e of 2000, four binomial standard deviations.
    assert abs(found.undefined - 2000 * (29 / 30) ** 30) < 4 * np.sqrt(
        2000 * 0.36 * 0.64
    )
    assert np.isfinite([found.low, found.high]).all()


def test_undefined_cells_are_no_undefined_draws():
    pairs, null = pairs_of(cells=7)
    for _, response in pairs:
        response[..., 2] = 0
    found = interval("pearson", pairs, BIN_S, rng=np.random.default_rng(0))
    assert found.undefined == 0 and np.isfinite(found.low)


def test_infinitely_bad_cells_stay_in_the_interval():
    pairs, null = pairs_of(cells=7)
    for rate, response in pairs:
        rate[:, :2] = 0.0
        response[:, :, :2] = 1.0
    rng = np.random.default_rng(0)
    found = interval("bits_per_spike", pairs, BIN_S, rng=rng, null_rate=null)
    assert found.low < found.high and np.isfinite(found.high)
    for rate, response in pairs:
        rate[:], response[:] = 0.0, 1.0
    worst = interval("bits_per_spike", pairs, BIN_S, rng=rng, null_rate=null)
    assert (worst.low, worst.high) == (-np.inf, -np.inf)


def test_nothing_to_resample_gives_nan():
    pairs, _ = pairs_of(lengths=(12,))
    rng = np.random.default_rng(0)
    one_block = interval("pearson", pairs, BIN_S, rng=rng, block_s=10.0)
    assert np.isnan(one_block[:2]).all()
    silent = [(rate, 0 * response) for rate, response in pairs]
    assert np.isnan(interval("pearson", silent, BIN_S, rng=rng)[:2]).all()
    once = [(rate, response[:2]) for rate, response in pairs]
    assert np.isnan(interval("cc_max", once, BIN_S, rng=rng)[:2]).all()


def test_a_thousand_draws_of_sixty_cells_are_quick():
    """Processor time, not the clock: other work on the machine does not count."""
    pairs, null = pairs_of(lengths=(600,), trials=20, cells=60)
    rng = np.random.default_rng(0)
    begin = time.process_time()
    for name in ("bits_per_spike", "pearson", "cc_norm", "feve"):
        interval(name, pairs, BIN_S, rng=rng, null_rate=null)
    assert time.process_time() - begin < 4 * 1.5
