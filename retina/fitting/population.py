"""The verb `population`: what cells share, as recorded and as a fit predicts it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import jax
import numpy as np

from retina.data.groups import by_group, same_trials
from retina.errors import MissingData
from retina.exact import in_float32
from retina.fitting.score import SEED, rates
from retina.fitting.simulate import simulate
from retina.metrics.medians import middle
from retina.metrics.population import cells_needed, effective_rank, noise_correlations
from retina.metrics.rebin import bins_in, rebinned
from retina.types import GRADED, Clip, Fit


@dataclasses.dataclass(frozen=True)
class Population:
    """Noise that cells share and predictions that are redundant, on one test group.

    pairs:          of cells, of which both have noise, recorded and simulated.
    noise_recorded, noise_simulated: median noise correlation over pairs; nan without
                    repeats.
    noise_r:        correlation of the two over pairs.
    noise_chance:   of one pair, what it comes to where nothing is shared.
    effective_rank, cells_needed: of the predicted rates; see
                    `retina.metrics.population`.
    bin_s:          seconds per bin that all of this was found in.
    """

    group: str
    cells: int
    trials: int
    pairs: int
    noise_recorded: float
    noise_simulated: float
    noise_r: float
    noise_chance: float
    effective_rank: float
    cells_needed: int
    bin_s: float

    @property
    def sentence(self) -> str:
        """In words, for a report."""
        words = (
            f"{self.group}: {self.cells} predictions have an effective rank of "
            f"{self.effective_rank:.1f}; {self.cells_needed} cells tell the rest"
        )
        if not self.pairs:
            return words + "; no repeats of two cells to tell shared noise from"
        return (
            f"{words}; median noise correlation of {self.pairs} pairs: recorded "
            f"{self.noise_recorded:.3f}, simulated {self.noise_simulated:.3f} (r over "
            f"pairs {self.noise_r:.2f}, chance {self.noise_chance:.3f})"
        )


@in_float32
def population(
    fit: Fit, clips: Sequence[Clip], *, bin_s: float | None = None
) -> tuple[Population, ...]:
    """Noise correlations and redundancy on each group of test clips.

    clips:   of `split.test`.
    bin_s:   of the bins that counts are compared in, a multiple of the model's own,
             which it is by default; noise that is shared slowly grows with it.
    returns: per group, of the fit that was kept. Spikes are drawn with a fixed seed, as
             many trials as were recorded; a model without history shares no noise.
    raises:  MissingData without test clips; BadSetting for a bin_s that is no multiple.

    With a fit at hand: ``population(fit, split.test)[0].sentence``.
    """
    bins = bins_in(bin_s, fit.model.spec.bin_s)
    if not clips:
        raise MissingData("no test clips: the data set's card names no test split")
    groups = by_group(clips).items()
    return tuple(_group(fit, name, same_trials(some), bins) for name, some in groups)


def _group(fit: Fit, group: str, clips: list[Clip], bins: int) -> Population:
    trials = len(clips[0].response)
    told_rates = rebinned(rates(fit, fit.params, clips), bins)
    predicted = np.concatenate([rate for rate, _ in told_rates])
    time, cells = predicted.shape
    pairs, told = 0, (np.nan, np.nan, np.nan)
    if trials > 1 and cells > 1 and fit.model.spec.event != GRADED:
        recorded = [clip.response[:, clip.skip :] for clip in clips]
        drawn = _drawn(fit, clips, trials)
        both = rebinned(list(zip(drawn, recorded, strict=True)), bins)
        pairs, *told = _noise([said for _, said in both], [said for said, _ in both])
    return Population(
        group,
        cells,
        trials,
        pairs,
        *told,
        noise_chance=float(1 / np.sqrt((trials - 1) * time)) if pairs else np.nan,
        effective_rank=effective_rank(predicted),
        cells_needed=cells_needed(predicted),
        bin_s=bins * fit.model.spec.bin_s,
    )


def _drawn(fit: Fit, clips: list[Clip], trials: int) -> list[np.ndarray]:
    keys = jax.random.split(jax.random.key(SEED), len(clips))
    return [
        simulate(fit.model, fit.params, clip.stimulus, key=key, trials=trials)[
            :, clip.skip :
        ]
        for clip, key in zip(clips, keys, strict=True)
    ]


def _noise(
    recorded: list[np.ndarray], drawn: list[np.ndarray]
) -> tuple[int, float, float, float]:
    one, other = (
        noise_correlations(np.concatenate(some, axis=1)) for some in (recorded, drawn)
    )
    upper = np.triu_indices(len(one), 1)
    one, other = one[upper], other[upper]
    both = ~np.isnan(one + other)
    one, other = one[both], other[both]
    many = len(one) > 2 and np.ptp(one) > 0 and np.ptp(other) > 0
    r = float(np.corrcoef(one, other)[0, 1]) if many else float("nan")
    return len(one), float(middle(one)), float(middle(other)), r
