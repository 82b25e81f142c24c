"""Whether any cell follows the stimulus at all."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from retina.data.finding import Finding
from retina.data.groups import by_group, same_trials
from retina.data.quality.shift import Averages, peaked, sides
from retina.types import Clip, Split

FEW = 1000  # bins of training, from which on an average would show something
TRIALS, PIECES = 4, 8  # repeats, and parts of them that must agree
SURE = 2.5  # standard errors
LITTLE = 0.05  # of the squared mean rate: what a rate varies by where none follows


def follows(made: Split, found: Averages) -> Iterator[Finding]:
    """Wrong where neither averages nor repeats show a signal in any cell.

    Of one weak cell that says nothing: all cells are asked together, and repeats must
    show that there is next to none. Without repeats it is a note: cells that answer to
    light and dark alike have no average.
    """
    bins = sum(clip.bins for clip in made.train)
    early, clear = sides(made, found, sure=True)
    # Bursts make peaks beyond chance on either side, few cells and lags clear ones.
    seen = early | (clear & peaked(made, found))
    if bins < FEW or seen.any() or _leaning(found) > SURE:
        return
    shares = [share for share in map(_signal, by_group(made.test).values()) if share]
    if any(mean > SURE * error for mean, error in shares):
        return
    # One repeated part may be grey: of the others too it must be known.
    none = bool(shares) and all(mean + 3 * error < LITTLE for mean, error in shares)
    silent = " and the repeats share nothing" if none else ""
    text = f"no cell follows the stimulus: no average has a peak{silent}: are events "
    text += "and frames on one clock, and are the frames those that were shown?"
    yield Finding("wrong" if none else "note", "alignment", text)


def _leaning(found: Averages) -> float:
    """Standard errors by which the averages are larger before events than after."""
    size = np.abs(np.nan_to_num(found.values))
    size = size.reshape(*size.shape[:2], -1)
    as_many = found.lags.stop // 2
    past = size[-found.lags.start :][:as_many].max((0, 2))
    chance = size[:as_many].max((0, 2))
    known = (past > 0) & (chance > 0)
    if known.sum() < 2:
        return 0.0
    ratio = np.log(past[known] / chance[known])
    error = ratio.std(ddof=1) / np.sqrt(len(ratio))
    return float(ratio.mean() / max(error, 1e-12))


def _signal(clips: list[Clip]) -> tuple[float, float] | None:
    """Variance that repeats share over the squared mean, of all cells, and its error.

    A cell whose rate goes up and down by a fifth has 0.04. Of few events hardly two
    meet in a bin by chance, and the pieces agree on nothing: the error is at least that
    of so many meetings. None where there are too few repeats, or no event.
    """
    clips = same_trials(clips)
    counts = np.concatenate([clip.response[:, clip.skip :] for clip in clips], axis=1)
    trials, bins = counts.shape[:2]
    if trials < TRIALS or bins < 10 * PIECES:
        return None
    usual = np.square(counts.mean((0, 1), dtype=np.float64)).sum()
    if not usual > 0:
        return None
    meetings = usual * trials * (trials - 1) * bins / 2
    each = []
    for piece in np.array_split(counts.astype(np.float64), PIECES, axis=1):
        noise = piece.var(1, ddof=1).mean(0)
        shared = (trials * piece.mean(0).var(0, ddof=1) - noise) / (trials - 1)
        each.append(shared.sum() / usual)
    error = max(np.std(each, ddof=1) / np.sqrt(PIECES), 1 / np.sqrt(meetings))
    return float(np.mean(each)), float(error)
