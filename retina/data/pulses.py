"""Times of frames, as a recorder's pulses give them: missing, late, and jittering."""

from __future__ import annotations

import numpy as np

from retina.data.finding import some

FEW = 7  # times either side over which a jitter is taken out; as many may come late
NEAR = 15  # times either side that say where the ticks of the clock lie
MOST = 2**31  # ticks of one interval that are told apart
LOOSE = 0.35  # ticks that intervals are off on average: then they keep to no clock


def usual(lasts: np.ndarray) -> float:
    """Seconds of a frame: the mean of those that did not stay on.

    Times that were rounded to milliseconds have another median.

    lasts: any shape, seconds, one or more.

    >>> round(usual(np.array([17, 16, 17, 17, 50, 16.0])), 6)
    16.6
    """
    middle = (lasts.size - 1) // 2
    median = np.partition(lasts, middle, axis=None)[middle]
    return float(lasts[np.abs(lasts / median - 1) < 0.5].mean())


def ticks(times: np.ndarray, frame_s: float | None = None) -> np.ndarray:
    """(time - 1,) for how many ticks of the screen's clock each frame was on.

    Times jitter about the ticks, by less than half a frame. What tells is where the
    ticks lie among the times before and after: a time that came late alone makes one
    interval long and the next as much shorter, and no frame stayed on.

    times:   (time,) seconds, rising.
    frame_s: seconds of a tick; None: the usual interval.

    >>> ticks(np.array([0, 1, 3, 4, 5, 6.0])).tolist()
    [1, 2, 1, 1, 1]
    >>> ticks(np.array([0, 1, 2, 3.6, 4, 5])).tolist()
    [1, 1, 1, 1, 1]
    """
    lasts = np.diff(times)
    if not len(lasts) or not np.isfinite(times).all():
        return np.ones(len(lasts), int)
    each_s = frame_s or usual(lasts)
    if np.all(np.abs(lasts / each_s - 1) < 0.5):
        return np.ones(len(lasts), int)
    # Of so many ticks the seconds of each are better known.
    each_s = float(times[-1] - times[0]) / _in_step(times, each_s).sum()
    made = _in_step(times, each_s)
    if np.abs(lasts / each_s - made).mean() > LOOSE:
        return np.clip(np.rint(lasts / each_s), 1, MOST).astype(int)
    return made


def _in_step(times: np.ndarray, frame_s: float) -> np.ndarray:
    at = (times - times[0]) / frame_s
    row = np.arange(len(at))
    # Ticks that frames stayed on for add up and never come back: a median over some
    # times in a row leaves those where they are, and takes out what each jitters.
    ahead = np.pad(at - row, FEW, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(ahead, 2 * FEW + 1)
    ahead = np.median(windows, axis=-1)
    sums = np.append(0, np.cumsum(np.exp(2j * np.pi * (ahead % 1))))
    low, high = np.maximum(row - NEAR, 0), np.minimum(row + NEAR + 1, len(at))
    phase = np.unwrap(np.angle(sums[high] - sums[low])) / (2 * np.pi)
    return np.clip(1 + np.diff(np.rint(ahead - phase)), 1, MOST).astype(int)


def miscounted(times: np.ndarray, frames: int) -> str:
    """What to say of times that are not as many as the frames.

    >>> miscounted(np.array([0.0, 1, 2, 4, 5]), 6)[:62]
    '5 times for 6 frames; interval 2 (x 2) is long: pulses missing'
    """
    each = ticks(times)
    long = np.flatnonzero(each > 1)
    told = f"{len(times)} times for {frames} frames"
    if len(times) > frames:
        lasts = np.diff(times)
        short = np.flatnonzero(lasts < np.median(lasts) / 2)
        which = some([str(n) for n in short], "interval")
        odd = f"; {which} short" if len(short) else ""
        return f"{told}{odd}: pulses that show no frame? Take their times out"
    if not len(long):
        return f"{told}, none missing between them: which frames have no time?"
    which = some([f"{n} (x {each[n]})" for n in long], "interval")
    verb = "is" if len(long) == 1 else "are"
    lacking = frames - len(times)
    if int((each - 1).sum()) == lacking:
        return (
            f"{told}; {which} {verb} long: pulses missing? Write missed_pulses = true "
            "on the card, above its tables, and their times are put in"
        )
    return (
        f"{told}; {which} {verb} long: pulses missing in {lacking}, frames dropped in "
        f"the others? Put the {lacking} missing times in"
    )


def filled(times: np.ndarray) -> np.ndarray:
    """Times with those put in that long intervals lack, evenly.

    As they are where more would be put in than there are: those are pauses.

    >>> filled(np.array([0.0, 1, 2, 4, 5])).tolist()
    [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    """
    at = np.concatenate([[0], np.cumsum(ticks(times))])
    if at[-1] > 2 * len(times):
        return times
    return np.interp(np.arange(at[-1] + 1), at, times)
