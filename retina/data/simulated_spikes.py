"""Spikes with refractoriness: sampled, and their exact expected number."""

from __future__ import annotations

import numpy as np

from retina.data.simulated_circuit import STEP_S, SUBSTEPS

CLOCKS = 4  # spiking steps per circuit step
CLOCK_S = STEP_S / CLOCKS  # 1/960 s
PER_FRAME = CLOCKS * SUBSTEPS
ABSOLUTE_S = 2 * CLOCK_S  # 2.1 ms without a spike; chosen
RELATIVE_S = 0.004  # recovery after it; chosen
AGES = (
    24  # steps after which recovery is complete: 1 - exp(-22 / 3.84) = 0.997, set to 1
)


def recovery() -> np.ndarray:
    """By what the hazard is multiplied, per step since the last spike.

    returns: (AGES + 1,) float64; entry k holds k + 1 steps after the spike's own step,
             so the first two are 0 (absolute refractoriness), and the last is 1.

    >>> recovery()[[0, 1, -1]].tolist()
    [0.0, 0.0, 1.0]
    """
    since_s = CLOCK_S * (1 + np.arange(AGES + 1)) - ABSOLUTE_S
    values = np.where(since_s > 0, -np.expm1(-since_s / RELATIVE_S), 0.0)
    values[-1] = 1.0
    return values.astype(float)


def sample(
    hazard: np.ndarray, trials: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Spikes of a point process with this hazard and refractoriness.

    hazard:  (block, step, cell) Hz, held for CLOCKS spiking steps.
    trials:  independent presentations of each block.
    returns: (block, trial, cell) spike counts, and the spiking step of each spike in
             one row, ordered by block, trial, cell and time.

    >>> counts, steps = sample(np.full((1, 240, 1), 50.0), 2, np.random.default_rng(0))
    >>> counts.shape, int(counts.sum()) == len(steps), int(np.diff(steps[:9]).min()) > 2
    ((1, 2, 1), True, True)
    """
    blocks, steps, cells = hazard.shape
    allowed = recovery()
    age = np.full((blocks, trials, cells), AGES)
    found = [(0, np.zeros(0, int))]
    for step in range(steps):
        mean = hazard[:, None, step] * CLOCK_S
        # Minus the logarithm of a uniform draw is exponential: a spike where it is
        # less than the integrated hazard, with probability 1 - exp(-hazard dt).
        draws = generator.standard_exponential((CLOCKS, blocks, trials, cells))
        for clock in range(CLOCKS):
            fired = draws[clock] < mean * allowed[age]
            age += 1
            np.minimum(age, AGES, out=age)
            if fired.any():
                age[fired] = 0
                found.append((step * CLOCKS + clock, np.flatnonzero(fired)))
    train = np.concatenate([where for _, where in found])
    when = np.concatenate([np.full(len(where), at) for at, where in found])
    counts = np.bincount(train, minlength=age.size).reshape(age.shape)
    return counts, when[np.argsort(train, kind="stable")]


def expected(hazard: np.ndarray) -> np.ndarray:
    """The expected spikes of `sample`, averaged exactly over the spike history.

    hazard:  (block, step, cell) Hz.
    returns: (block, frame, cell) float64, spikes per frame. The probabilities of all
             ages since the last spike are carried from step to step, so no trial is
             drawn: this is the mean of infinitely many.

    >>> expected(np.zeros((1, 8, 1))).tolist()
    [[[0.0]]]
    """
    blocks, steps, cells = hazard.shape
    allowed = recovery().reshape(-1, 1, 1)
    age = np.zeros((AGES + 1, blocks, cells))
    age[-1] = 1
    total = np.zeros((steps // SUBSTEPS, blocks, cells))
    for step in range(steps):
        survive = np.exp(hazard[:, step] * -CLOCK_S * allowed)
        for _ in range(CLOCKS):
            kept = age * survive
            fired = 1 - kept.sum(0)
            age[1:] = kept[:-1]
            age[-1] += kept[-1]
            age[0] = fired
            total[step // SUBSTEPS] += fired
    return total.transpose(1, 0, 2)
