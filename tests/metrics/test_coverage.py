"""Whether a 95 % interval holds the truth 95 times in 100, over 400 simulations each.

A share of 95 % is known from 400 simulations to 1.1 %; 92 to 98 % is within three such
errors. Measured here: bits_per_spike 95 to 96 %, pearson 96 to 97 %, cc_norm 96 %; four
cells held fixed 95 %; figures of the data 94 to 96 %; time rescaling 95 %; the others,
with 600 bins and 9 trials, 95 to 97 %. Sixteen cells held fixed, which
nothing does by default, come to 96 to 99 %: the bootstrap of a median of noisy cells is
too wide by up to 15 %, each cell's noise being in the data and again in the draws.
"""

from __future__ import annotations

import numpy as np
import pytest

from retina import registry
from retina.metrics import victor_purpura
from retina.metrics.clips import evaluate
from retina.metrics.compare import paired
from retina.metrics.resample import interval, resampled
from retina.search.ratio import of_two, over
from tests.metrics.simulated import clip, draw_cells, null_rate

pytestmark = pytest.mark.slow

SIMULATIONS, DRAWS, BIN_S = 400, 400, 1 / 30
NAMES = ("bits_per_spike", "pearson", "cc_norm")
OTHERS = ("bits_per_second", "deviance", "feve", "pearson_trial", "van_rossum")
OF_THE_DATA = (
    "signal_power",
    "cc_max",
    "split_half",
    "fano",
    "oracle",
    "spike_information",
)


def test_every_metric_is_held_to_its_interval():
    tested = {*NAMES, *OTHERS, *OF_THE_DATA, "victor_purpura", "time_rescaling"}
    assert tested == set(registry.names("metrics"))


def truth_of_all_cells(
    names: tuple[str, ...], trials: int, bins: int = 3000
) -> dict[str, float]:
    """Median over a population of cells, each scored on 100 s.

    pearson depends on the number of trials; the others do not but for cc_norm's ratio.
    """
    rng = np.random.default_rng(10**6)
    values: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for _ in range(10):
        cells = draw_cells(rng, 40)
        rate, _, response = clip(rng, cells, bins, trials)
        for name in names:
            scored = evaluate(name, [(rate, response)], null_rate(cells), BIN_S)
            values[name].append(scored)
    return {name: float(np.median(parts)) for name, parts in values.items()}


def covered(
    names: tuple[str, ...], truth: dict[str, float], bins: int, trials: int
) -> None:
    """New cells, stimulus and spikes each time, as from another retina."""
    held = dict.fromkeys(names, 0)
    for seed in range(SIMULATIONS):
        rng = np.random.default_rng(seed)
        cells = draw_cells(rng, 16)
        rate, _, response = clip(rng, cells, bins, trials)
        for name in names:
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


@pytest.mark.parametrize(
    ("bins", "trials", "names"),
    [(600, 9, NAMES), (270, 20, NAMES), (270, 4, OTHERS)],
)
def test_the_interval_of_the_median_over_cells(
    bins: int, trials: int, names: tuple[str, ...]
):
    covered(names, truth_of_all_cells(names, trials), bins, trials)


def test_the_interval_of_distances_that_are_drawn(monkeypatch):
    """Fewer drawn trains than by default: their mean is the same."""
    monkeypatch.setattr(victor_purpura, "DRAWN", 3)
    name = ("victor_purpura",)
    covered(name, truth_of_all_cells(name, 1, 600), 120, 1)


def test_the_interval_over_cells_alone():
    """Other cells under the same stimulus, which a third of every drive comes from.

    The truth is the median of 160 of them, whose own error costs about 1 %.
    """
    held = 0
    for seed in range(SIMULATIONS):
        rng = np.random.default_rng(seed)
        cells = draw_cells(rng, 176)
        rate, _, response = clip(rng, cells, 200, 2)
        name, first = "time_rescaling", [(rate[:, :16], response[..., :16])]
        truth = np.median(evaluate(name, [(rate[:, 16:], response[..., 16:])]))
        low, high, _ = interval(name, first, BIN_S, rng=rng, draws=DRAWS)
        held += low <= truth <= high
    assert 0.92 <= held / SIMULATIONS <= 0.98, held / SIMULATIONS


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


def test_the_intervals_of_a_difference_and_of_a_ratio():
    """A model beside one that knows as much and dares less: sixteen cells, nine trials.

    The truth is the median of 400 cells of 100 s, as of `truth_of_all_cells`.
    """
    name = "bits_per_spike"

    def two(rng, cells, bins):
        rate, _, response = clip(rng, cells, bins, 9)
        flat = 0.6 * rate + 0.4 * null_rate(cells)
        return ([(flat, response)], [(rate, response)]), null_rate(cells)

    rng = np.random.default_rng(10**6)
    each = []
    for _ in range(10):
        pairs, null = two(rng, draw_cells(rng, 40), 3000)
        each.append([evaluate(name, one, null, BIN_S) for one in pairs])
    flat, whole = np.concatenate(each, axis=1)
    difference, ratio = np.median(flat - whole), np.nanmedian(over(flat, whole))
    held = {"difference": 0, "ratio": 0}
    for seed in range(SIMULATIONS):
        rng = np.random.default_rng(seed)
        pairs, null = two(rng, draw_cells(rng, 16), 600)
        low, high = paired(
            name, *pairs, BIN_S, rng=rng, null_rate=null, draws=DRAWS
        ).ci95
        held["difference"] += low <= difference <= high
        drawn = resampled(name, pairs, BIN_S, rng=rng, null_rate=null, draws=DRAWS)
        low, high = of_two("", name, ("flat", drawn[0]), ("whole", drawn[1])).ci95
        held["ratio"] += low <= ratio <= high
    for figure, count in held.items():
        assert 0.92 <= count / SIMULATIONS <= 0.98, (figure, count / SIMULATIONS)


@pytest.mark.parametrize("name", OF_THE_DATA)
def test_the_jackknife_of_figures_of_the_data(name: str):
    """One stimulus, its repeats recorded anew; seven cells held fixed.

    Known given the rates, but for oracle, whose truth is its own mean. Signal power's
    median is itself biased, by 0.7 of its scatter: noise moves cells about the middle.
    """
    rng = np.random.default_rng(0)
    cells = draw_cells(rng, 7)
    _, true, _ = clip(rng, cells, 300, 1)
    # All splits of six trials are few; nine would take a hundred drawn ones.
    trials = 6 if name == "split_half" else 9

    def repeats(seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
        counts = np.random.default_rng(seed).poisson(true, (trials, *true.shape))
        return [(true, counts)]

    signal, noise = true.var(axis=0, ddof=1), true.mean(axis=0)
    relative, ceiling = true / noise, np.sqrt(signal / (signal + noise / trials))
    known = {
        "signal_power": signal,
        "cc_max": ceiling,
        "split_half": ceiling,
        "fano": np.ones(7),
        "spike_information": (relative * np.log2(relative)).mean(axis=0),
    }
    if name == "oracle":
        others = (evaluate(name, repeats(10**6 + seed)) for seed in range(400))
        truth = np.mean([np.median(each) for each in others])
    else:
        truth = np.median(known[name])
    held = 0
    for seed in range(SIMULATIONS):
        low, high, _ = interval(name, repeats(seed), BIN_S, rng=rng, draws=DRAWS)
        held += low <= truth <= high
    assert 0.92 <= held / SIMULATIONS <= 0.98, held / SIMULATIONS
