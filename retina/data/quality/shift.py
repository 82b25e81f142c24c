"""Whether stimulus and response are shifted against each other, and where."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from retina.data.finding import Finding, some
from retina.data.leak import memory
from retina.data.sta import peaks, sta
from retina.movie import pieces
from retina.types import Clip, Split

FURTHEST = 3  # bins either way
BETTER = 1.15  # times the correlation without a shift
WEAK = 0.1  # correlation with what the average predicts, below which none is told
PIECES, SURE = 8, 3.0  # of a trial, and standard errors over them
CLEAR = 1.5  # of an average's peak in the past to the highest in the future


class Averages(NamedTuple):
    """Spike-triggered averages of the training part, (lag, cell, *frame).

    lags: from the future, where only chance speaks, into the past.
    same: bins over which the stimulus resembles itself.
    """

    values: np.ndarray
    lags: range
    same: int

    @property
    def past(self) -> np.ndarray:
        """Those of lag 0 and on."""
        return self.values[-self.lags.start :]


def averages(made: Split) -> Averages:
    """Of the last 0.35 s before the events, at least 6 bins, and half of that after."""
    longest = max(round(0.35 / made.spec.bin_s), 6)
    same = memory(made.train[0].stimulus, longest)
    lags = range(-(longest // 2) - same, longest)
    # Clips enough for a clear peak, and few enough to take seconds.
    per_bin = 2 * len(lags) * made.spec.cells * max(1, int(np.prod(made.spec.frame)))
    clips, bins = [], 0
    for clip in made.train:
        if clips and bins * per_bin > 4e10:
            break
        clips.append(clip)
        bins += len(clip.stimulus)
    return Averages(sta(clips, lags, made.spec.stimulus_mean), lags, same)


def alignment(made: Split, found: Averages) -> Iterator[Finding]:
    """STA peaks must lie in the past; lags in the future say what chance gives."""
    average, lags, same = found
    longest = lags.stop
    at, signs = peaks(average, lags)
    size = np.abs(average).reshape(len(lags), made.spec.cells, -1).max(-1)
    # A frame that stays on for several bins is also on after the event.
    chance = size[: longest // 2].max(0)
    clear = size[longest // 2 :].max(0) > CLEAR * chance
    early = clear & (at < -same) | (chance > CLEAR * size[longest // 2 :].max(0))
    names = np.array([cell.name for cell in made.cells])
    if early.any():
        text = (
            f"the STA of {some(names[early])} peaks in frames that came after the "
            "events: stimulus and response are shifted against each other"
        )
        yield Finding("wrong", "alignment", text)
    if (clear & ~early).any():
        lag = at[clear & ~early]
        sign = signs[clear & ~early]
        each = [f"{int((lag == one).sum())} at {one}" for one in np.unique(lag)]
        text = (
            f"STA peaks of {len(lag)} cells, by lag in bins of {made.spec.bin_s:.4g} "
            f"s: {', '.join(each)}; {int((sign < 0).sum())} negative, "
            f"{int((sign > 0).sum())} positive"
        )
        yield Finding("ok", "alignment", text)
    if (~clear & ~early).any():
        vague = names[~clear & ~early]
        text = f"no clear STA peak in the past: {some(vague)}"
        yield Finding("note", "alignment", text)
    if (clear & ~early).any():
        yield from between_parts(made, found.past, clear & ~early)


def between_parts(
    made: Split, past: np.ndarray, cells: np.ndarray
) -> Iterator[Finding]:
    """What the training part's averages predict, held against the other parts.

    A part whose frames are late against its events correlates better when shifted.

    past:  (lag, cell, *frame) averages, lag 0 first.
    cells: (cell,) which are looked at.
    """
    average = np.nan_to_num(past[:, cells]).reshape(len(past), int(cells.sum()), -1)
    parts: dict[str, list[Clip]] = {}
    for clip in (*made.validation, *made.test):
        name = f"test {clip.group!r}" if clip.group else "validation"
        parts.setdefault(name, []).append(clip)
    for name, clips in parts.items():
        each = np.array([_correlation(clip, average, made, cells) for clip in clips])
        weights = [clip.bins for clip in clips]
        yield from _best(np.average(each, axis=0, weights=weights), name)


def _correlation(
    clip: Clip, average: np.ndarray, made: Split, cells: np.ndarray
) -> np.ndarray:
    """(shift,) correlation of prediction and response, the mean over cells."""
    time, lags = len(clip.stimulus), len(average)
    drive = np.zeros((time, average.shape[1]))
    begin = 0
    for piece in pieces(clip.stimulus):
        shown = piece.reshape(len(piece), -1).astype(np.float32)
        shown = shown - made.spec.stimulus_mean
        for lag in range(lags):
            later = drive[begin + lag : begin + lag + len(piece)]
            later += shown[: len(later)] @ average[lag].T.astype(np.float32)
        begin += len(piece)
    heard = clip.response[..., cells].mean(0, dtype=np.float64)
    start = max(clip.skip, lags) + FURTHEST
    if time - start <= 2 * FURTHEST + 2:
        return np.zeros(2 * FURTHEST + 1)
    rows = np.arange(start, time - FURTHEST)
    return np.array(
        [
            _mean(_pearson(drive[rows], heard[rows + shift]))
            for shift in range(-FURTHEST, FURTHEST + 1)
        ]
    )


def _best(correlation: np.ndarray, name: str) -> Iterator[Finding]:
    none, best = correlation[FURTHEST], int(correlation.argmax()) - FURTHEST
    most = correlation[best + FURTHEST]
    if most < WEAK:
        text = f"{name}: the averages predict too little to tell a shift"
        yield Finding("note", "alignment", text)
    elif best and most > BETTER * none:
        frames = f"{abs(best)} bin{'s' if abs(best) > 1 else ''}"
        late = "early" if best < 0 else "late"
        text = (
            f"{name}: events come {frames} {late} beside what the training part's "
            f"averages predict (correlation {most:.2f}, as it stands {none:.2f}): its "
            "frames are shifted against its events"
        )
        yield Finding("wrong", "alignment", text)
    else:
        text = f"{name}: no shift fits better than none (correlation {none:.2f})"
        yield Finding("ok", "alignment", text)


def between_trials(made: Split) -> Iterator[Finding]:
    """Each repeat against the mean of the others: one may have begun late."""
    for clip in made.test:
        trials, bins = clip.response.shape[0], clip.bins
        if trials < 3 or bins <= 10 * PIECES:
            continue
        counts = clip.response[:, clip.skip :].astype(np.float64)
        total = counts.sum(0)
        each = [_later(own, total - own) for own in counts]
        shifted = [(trial + 1, by) for trial, by in enumerate(each) if by]
        if not shifted:
            continue
        told = ", ".join(f"trial {trial} by {by:+d}" for trial, by in shifted[:8])
        more = f" and {len(shifted) - 8} more" if len(shifted) > 8 else ""
        text = f"test {clip.group!r}: shifted against the other trials, in bins of "
        text += f"{made.spec.bin_s:.4g} s: {told}{more}: a late trigger, or another "
        yield Finding("note", "repeats", text + "latency")


def _later(own: np.ndarray, others: np.ndarray) -> int:
    """By how many bins one trial fits the others better, surely, than as it stands.

    own, others: (time, cell). Pieces of the trial must agree with each other.
    """
    pieces = []
    for rows in np.array_split(np.arange(FURTHEST, len(own) - FURTHEST), PIECES):
        shifts = range(-FURTHEST, FURTHEST + 1)
        pieces.append([_mean(_pearson(others[rows], own[rows + by])) for by in shifts])
    each = np.array(pieces)
    best = int(each.mean(0).argmax())
    gain = each[:, best] - each[:, FURTHEST]
    noise = gain.std(ddof=1) / np.sqrt(PIECES)
    most, none = each[:, best].mean(), each[:, FURTHEST].mean()
    if most < WEAK or most < BETTER * none or gain.mean() < SURE * noise:
        return 0
    return best - FURTHEST


def _pearson(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(cell,) correlation over time; nan where one is constant."""
    one, other = one - one.mean(0), other - other.mean(0)
    size = np.sqrt(np.square(one).sum(0) * np.square(other).sum(0))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(size > 0, (one * other).sum(0) / size, np.nan)


def _mean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else 0.0
