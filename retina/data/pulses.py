"""Times of frames that are not as many as the frames: which ones seem missing."""

from __future__ import annotations

import numpy as np

from retina.data.finding import some


def ticks(times: np.ndarray) -> np.ndarray:
    """(time - 1,) how many usual intervals each one lasts."""
    lasts = np.diff(times)
    return np.maximum(np.rint(lasts / np.median(lasts)), 1).astype(int)


def miscounted(times: np.ndarray, frames: int) -> str:
    """What to say of times that are not as many as the frames.

    >>> miscounted(np.array([0.0, 1, 2, 4, 5]), 6)
    '5 times for 6 frames; interval 2 (x 2) is long: pulses missing? Put their times in'
    """
    long = np.flatnonzero(ticks(times) > 1)
    told = f"{len(times)} times for {frames} frames"
    if len(times) > frames:
        lasts = np.diff(times)
        short = np.flatnonzero(lasts < np.median(lasts) / 2)
        which = some([str(n) for n in short], "interval")
        odd = f"; {which} short" if len(short) else ""
        return f"{told}{odd}: pulses that show no frame? Take their times out"
    if not len(long):
        return f"{told}, none missing between them: which frames have no time?"
    each = ticks(times)[long]
    which = some([f"{n} (x {m})" for n, m in zip(long, each, strict=True)], "interval")
    verb = "is" if len(long) == 1 else "are"
    lacking = frames - len(times)
    if int((ticks(times) - 1).sum()) == lacking:
        return f"{told}; {which} {verb} long: pulses missing? Put their times in"
    return (
        f"{told}; {which} {verb} long: pulses missing in {lacking}, frames dropped in "
        f"the others? Put the {lacking} missing times in"
    )


def filled(times: np.ndarray) -> np.ndarray:
    """Times with those put in that long intervals lack, evenly.

    >>> filled(np.array([0.0, 1, 2, 4, 5])).tolist()
    [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    """
    at = np.concatenate([[0], np.cumsum(ticks(times))])
    return np.interp(np.arange(at[-1] + 1), at, times)
