"""Whether the headline's 95 % interval holds the true answer 95 times in 100.

Recordings with a known answer: a best model, and a cheaper one whose predictions are
those and noise of its own, so much of each cell's standard deviation that the ratio of
their correlations is known: 1 / sqrt(1 + noise^2). Its median over the cells of such a
retina is the truth.
"""

from __future__ import annotations

import numpy as np
import pytest

from retina.metrics.resample import resampled
from retina.search.headline import headline
from tests.metrics.simulated import clip, draw_cells
from tests.reports.points import point

pytestmark = pytest.mark.slow

SIMULATIONS, DRAWS, CELLS, BIN_S = 400, 200, 12, 1 / 30
SPREAD, BINS = 0.03, (300, 300)  # of the ratio over cells; of validation and test
MODELS = ("cheap", "best")
POINTS = [point(name, 0.5, 10.0**i) for i, name in enumerate(MODELS)]


def recorded(rng, cells, noise, bins):
    """What each model predicts of one stretch of time, and two trials of counts."""
    rate, _, response = clip(rng, cells, bins, 2)
    own = [level * rate.std(axis=0) * rng.normal(size=rate.shape) for level in noise]
    return [(rate + one, response) for one in own]


def of_one_retina(seed, ratio, spread, bins):
    """The headline of a recording whose cells were drawn anew, as was all else."""
    rng = np.random.default_rng(seed)
    cells = draw_cells(rng, CELLS)
    each = np.clip(ratio + spread * rng.normal(size=CELLS), 0.5, 0.999)
    noise = np.sqrt(1 / each**2 - 1), 0.0
    drawn = [{} for _ in MODELS]
    for place, length in zip(("validation", "test running"), bins, strict=True):
        told = recorded(rng, cells, noise, length)
        made = resampled(
            "pearson_trial", [[one] for one in told], BIN_S, rng=rng, draws=DRAWS
        )
        for one, of in zip(drawn, made, strict=True):
            one[place, "pearson_trial"] = of
    return headline(POINTS, drawn, 0.05, "flops_per_s_per_cell").near[0]


# Both are near the best; of the second, one validation in four says that it is not, and
# the answer is then the best itself. Measured here: 96 % of either; what misses lies
# above the truth in 32 of 33 cases, so a "shown" on the edge is not to be leaned on.
@pytest.mark.parametrize("ratio", [0.98, 0.955])
def test_the_interval_of_the_cheapest_near_the_best(ratio: float):
    held = 0
    for seed in range(SIMULATIONS):
        low, high = of_one_retina(seed, ratio, SPREAD, BINS).ci95
        held += low <= ratio <= high
    assert 0.92 <= held / SIMULATIONS <= 0.98, held / SIMULATIONS
