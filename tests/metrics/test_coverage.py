"""Whether a 95 % interval holds the truth 95 times in 100, over 400 simulations each.

A share of 95 % is known from 400 simulations to 1.1 %; 92 to 98 % is within three such
errors. Measured here: bits_per_spike 95 to 96 %, pearson 96 to 97 %, cc_norm 96 %; four
cells held fixed 95 %; jackknife 97.5 %. Sixteen cells held fixed, which
nothing does by default, come to 96 to 99 %: the bootstrap of a median of noisy cells is
too wide by up to 15 %, each cell's noise being in the data and again in the draws.
"""

from __future__ import annotations

import numpy as np
import pytest

from retina.metrics.clips import evaluate
from retina.metrics.compare import paired
from retina.metrics.resample import interval
from tests.metrics.simulated import clip, draw_cells, null_rate

pytestmark = pytest.mark.slow

SIMULATIONS, DRAWS, BIN_S = 400, 400, 1 / 30
NAMES = ("bits_per_spike", "pearson", "cc_norm")


def truth_of_all_cells(trials: int) -> dict[str, float]:
    """Median over a population of cells, each scored on 100 s.

    pearson depends on the number of trials; the others do not but for cc_norm's ratio.
    """
    rng = np.random.default_rng(10**6)
    values: dict[str, list[np.ndarray]] = {name: [] for name in NAMES}
    for _ in range(10):
        cells = draw_cells(rng, 40)
        rate, _, response = clip(rng, cells, 3000, trials)
        for name in NAMES:
            scored = evaluate(name, [(rate, response)], null_rate(cells))
            values[name].append(scored)
    return {name: float(np.median(parts)) for name, parts in values.items()}


@pytest.mark.parametrize(("bins", "trials"), [(600, 9), (270, 20)])
def test_the_interval_of_the_median_over_cells(bins: int, trials: int):
    """New cells, stimulus and spikes each time, as from another retina."""
    truth = truth_of_all_cells(trials)
    held = dict.fromkeys(NAMES, 0)
    for seed in range(SIMULATIONS):
        rng = np.random.default_rng(seed)
        cells = draw_cells(rng, 16)
        rate, _, response = clip(rng, cells, bins, trials)
        for name in NAMES:
            low, high, _ = interval(
                name,
                [(rate, response)],
                BIN_S,
                rng=rng,
                null_rate=null_rate(cells),
                draws=DRAWS,
            )
            held[name] += low <= truth[name] <= high
    for name, count in held.items():
        assert 0.92 <= count / SIMULATIONS <= 0.98, (name, count / SIMULATIONS)


def test_the_interval_of_four_cells_held_fixed():
    """Fewer than 6: these cells, another stretch of running noise, one trial."""
    cells = draw_cells(np.random.default_rng(1), 4)
    null = null_rate(cells)
    rng = np.random.default_rng(2)
    names = ("bits_per_spike", "pearson_trial")
    long = [clip(rng, cells, 60000, 1) for _ in range(4)]
    truth = {
        name: np.median(evaluate(name, [(r, y) for r, _, y in long], null))
        for name in names
    }
    held = dict.fromkeys(names, 0)
    for seed in range(SIMULATIONS):
        rng = np.random.default_rng(seed)
        pairs = []
        for bins in (900, 700, 800):
            rate, _, response = clip(rng, cells, bins, 1)
            pairs.append((rate, response))
        for name in names:
            low, high, _ = interval(
                name, pairs, BIN_S, rng=rng, null_rate=null, draws=DRAWS
            )
            held[name] += low <= truth[name] <= high
    for name, count in held.items():
        assert 0.92 <= count / SIMULATIONS <= 0.98, (name, count / SIMULATIONS)


def test_equal_models_are_seldom_told_apart():
    """Two models with errors alike in size and correlation, independent of the truth.

    "Beats" should be said of equal models in 5 % of comparisons, known to 1.1 %.
    """
    decided, small = 0, 0
    for seed in range(SIMULATIONS):
        rng = np.random.default_rng(seed)
        cells = draw_cells(rng, 16)
        _, true, response = clip(rng, cells, 600, 1)
        drives = [clip(rng, cells, 600, 1)[1] for _ in range(2)]
        models = [0.8 * true + 0.2 * drive + 0.003 for drive in drives]
        found = paired(
            "bits_per_spike",
            [(models[0], response)],
            [(models[1], response)],
            BIN_S,
            rng=rng,
            null_rate=null_rate(cells),
            draws=DRAWS,
        )
        decided += found.decided
        small += found.p < 0.05
    assert 0.01 <= decided / SIMULATIONS <= 0.08, decided / SIMULATIONS
    # p and the interval are read off neighbouring draws.
    assert abs(small - decided) <= 0.01 * SIMULATIONS


def test_the_jackknife_of_signal_power():
    """One stimulus, its repeats recorded anew: the truth is the variance of the rate.

    The cells are fixed. A jackknife of a median is rough where two cells change places.
    """
    rng = np.random.default_rng(0)
    cells = draw_cells(rng, 7)
    _, true, _ = clip(rng, cells, 300, 1)
    truth = np.median(true.var(axis=0, ddof=1))
    held = 0
    for seed in range(SIMULATIONS):
        counts = np.random.default_rng(seed).poisson(true, (9, *true.shape))
        low, high, _ = interval("signal_power", [(true, counts)], BIN_S, rng=rng)
        held += low <= truth <= high
    assert 0.92 <= held / SIMULATIONS <= 0.98, held / SIMULATIONS
