"""Whether stimulus and response are shifted against each other, and where."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from retina.data.finding import Finding, some
from retina.data.groups import by_group
from retina.data.leak import memory
from retina.data.sta import peaks, sta
from retina.movie import pieces
from retina.types import Clip, Split

FURTHEST = 3  # bins either way
BETTER = 1.15  # times the correlation without a shift
WEAK = 0.1  # correlation with what the average predicts, below which none is told
PIECES, SURE = 8, 3.0  # of a trial, and standard errors over them
FAR = 4.0  # times: another part is predicted so much better
KNOWN = 6.0  # standard errors of an average, from which on a peak is one
SOON, LATE = 0.04, 0.25  # seconds; see `_latency`
CLEAR = 1.5  # of an average's peak in the past to the highest in the future
SHIFT = "its frames are shifted against its events"  # how such a finding ends


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
    at, signs = peaks(found.values, found.lags)
    early, clear = sides(made, found)
    names = np.array([cell.name for cell in made.cells])
    if early.any():
        # A peak that chance may have made says something where most cells have one.
        sure = sides(made, found, sure=True)[0].any() or 2 * early.sum() > len(early)
        text = f"the STA of {some(names[early])} peaks in frames that came after the "
        text += "events: "
        shifted = "stimulus and response are shifted against each other"
        text += shifted if sure else "by chance, or is that cell shifted?"
        yield Finding("wrong" if sure else "note", "alignment", text)
    if clear.any():
        lag, sign = at[clear], signs[clear]
        each = [f"{int((lag == one).sum())} at {one}" for one in np.unique(lag)]
        text = (
            f"STA peaks of {len(lag)} cells, by lag in bins of {made.spec.bin_s:.4g} "
            f"s: {', '.join(each)}; {int((sign < 0).sum())} negative, "
            f"{int((sign > 0).sum())} positive"
        )
        yield Finding("ok", "alignment", text)
        yield from _latency(float(np.median(lag)), made.spec.bin_s)
    if (~clear & ~early).any():
        vague = names[~clear & ~early]
        text = f"no clear STA peak in the past: {some(vague)}"
        yield Finding("note", "alignment", text)
    if clear.any():
        yield from between_parts(made, found.past, clear)


def sides(
    made: Split, found: Averages, sure: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """(cell,) whose average peaks after the events, and whose clearly before them.

    sure: of the first, those alone whose peak no chance makes.
    """
    average, lags, _ = found
    size = np.abs(average).reshape(len(lags), made.spec.cells, -1).max(-1)
    past, future = size[-lags.start :].max(0), size[: -lags.start].max(0)
    chance = size[: lags.stop // 2].max(0)
    real = peaked(made, found)
    early = (peaks(average, lags)[0] < 0) & (future > BETTER * past) & real
    early |= (chance > CLEAR * past) & (real | (not sure))
    # A frame that stays on for several bins is also on after the event.
    return early, (past > CLEAR * chance) & ~early


def peaked(made: Split, found: Averages) -> np.ndarray:
    """(cell,) whose average has a peak, before the events or after, beyond chance."""
    size = np.abs(found.values).reshape(len(found.lags), made.spec.cells, -1)
    return size.max((0, 2)) > KNOWN * _scatter(made) * np.sqrt(1 + 2 * found.same)


def _scatter(made: Split) -> np.ndarray:
    """(cell,) s.d. of an average of as many frames at random."""
    counts = np.sum(
        [c.response[:, c.skip :].sum((0, 1), dtype=np.float64) for c in made.train],
        axis=0,
    )
    # Of the most varied clip: one may be grey, and of no variance all would be sure.
    rows = max(10_000 // len(made.train), 100)
    each = [c.stimulus[:rows].std(dtype=np.float64) for c in made.train]
    sd = float(max(each))
    return sd / np.sqrt(np.maximum(counts, 1.0))


def _latency(lag: float, bin_s: float) -> Iterator[Finding]:
    """A retina answers after some 30 to 200 ms, whatever the animal."""
    if lag < 1 and bin_s < SOON:
        text = f"half of the cells answer within {(lag + 1) * bin_s:.3g} s"
    elif lag * bin_s > LATE:
        text = f"half of the cells answer after {lag * bin_s:.3g} s or more"
    else:
        return
    text += ": a retina takes some 0.03 to 0.2 s; is lag 0 the frame on the screen?"
    yield Finding("note", "alignment", text)


def between_parts(
    made: Split, past: np.ndarray, cells: np.ndarray, furthest: int | None = None
) -> Iterator[Finding]:
    """What the training part's averages predict, held against the other parts.

    A part whose frames are late against its events correlates better when shifted. The
    shift is looked for in one half of its pieces and judged in the other.

    past:  (lag, cell, *frame) averages, lag 0 first.
    cells: (cell,) which are looked at.
    furthest: bins either way; None: as many as there are lags.
    """
    average = np.nan_to_num(past[:, cells]).reshape(len(past), int(cells.sum()), -1)
    most = min(furthest or len(past), len(past))
    parts = {"validation": list(made.validation)}
    parts |= {f"test {group!r}": clips for group, clips in by_group(made.test).items()}
    each = {
        name: np.concatenate(
            [_correlations(c, average, made, cells, most) for c in clips]
        )
        for name, clips in parts.items()
        if clips
    }
    known = [float(one.mean(0).max()) for one in each.values() if len(one)]
    for name, correlations in each.items():
        yield _judged(correlations, name, max(known, default=0.0))


def _correlations(
    clip: Clip, average: np.ndarray, made: Split, cells: np.ndarray, most: int
) -> np.ndarray:
    """(piece, shift) of prediction and response, the mean over cells; or no piece."""
    time, reach = len(clip.stimulus), len(average)
    drive = np.zeros((time, average.shape[1]))
    begin = 0
    for piece in pieces(clip.stimulus):
        shown = piece.reshape(len(piece), -1).astype(np.float32)
        shown = shown - made.spec.stimulus_mean
        for lag in range(reach):
            later = drive[begin + lag : begin + lag + len(piece)]
            later += shown[: len(later)] @ average[lag].T.astype(np.float32)
        begin += len(piece)
    heard = clip.response[..., cells].mean(0, dtype=np.float64)
    rows = np.arange(max(clip.skip, reach) + reach, time - reach)
    number = min(PIECES, len(rows) // (2 * reach))
    shifts = range(-most, most + 1)
    if number < 1:
        return np.zeros((0, len(shifts)))
    return np.array(
        [
            [_mean(_pearson(drive[own], heard[own + by])) for by in shifts]
            for own in np.array_split(rows, number)
        ]
    )


def _judged(each: np.ndarray, name: str, known: float) -> Finding:
    """known: the best correlation of any part."""
    reach = each.shape[1] // 2
    if len(each) < 4:
        return Finding("note", "alignment", f"{name}: too short to tell a shift")
    halves = each[::2], each[1::2]
    best = [int(half.mean(0).argmax()) - reach for half in halves]
    judged = list(zip(best, halves[::-1], strict=True))
    gain = np.concatenate([own[:, by + reach] - own[:, reach] for by, own in judged])
    most = float(np.mean([own[:, by + reach].mean() for by, own in judged]))
    none = float(each[:, reach].mean())
    agreed = abs(best[0] - best[1]) <= 1 and 0 not in best
    sure = gain.mean() > SURE * gain.std(ddof=1) / np.sqrt(len(gain))
    if agreed and sure and most > WEAK:
        by = round(float(np.mean(best)))
        bins = f"{abs(by)} bin{'s' if abs(by) > 1 else ''}"
        text = (
            f"{name}: events come {bins} {'early' if by < 0 else 'late'} beside what "
            f"the training part's averages predict (correlation {most:.2f}, as it "
            f"stands {none:.2f}): "
        )
        if most > BETTER * none:
            text += (
                f"if it grows along the recording, two clocks that drift; else {SHIFT}"
            )
            return Finding("wrong", "alignment", text)
        text += "a small shift, or cells that have become slower or faster"
        return Finding("note", "alignment", text)
    if none >= WEAK:
        text = f"{name}: no shift fits better than none (correlation {none:.2f})"
        return Finding("ok", "alignment", text)
    if known > FAR * WEAK and each.mean(0).max() < known / FAR:
        text = (
            f"{name}: the training part's averages predict nothing of it (correlation "
            f"{none:.2f}, elsewhere {known:.2f}): are its frames those that were shown?"
        )
        return Finding("wrong", "alignment", text)
    text = f"{name}: the averages predict too little to tell a shift"
    return Finding("note", "alignment", text)


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
        text = f"test {clip.group or clip.name!r}: shifted against the other trials, "
        text += f"in bins of {made.spec.bin_s:.4g} s: {told}{more}: a late trigger, or "
        yield Finding("note", "repeats", text + "another latency")


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
