"""Which frames of one clip are those of another, bit for bit."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from retina.movie import pieces
from retina.types import Clip

# This many frames in a row that each differ from the one before do not come twice by
# chance; more of them where the next can be guessed.
_FRAMES, _CHANCE = 5, 1e-14
_NEVER = 10**9
_NOTHING = np.uint64(0)
_APART = 12  # frames in a row that, where they come again, are counted once
# A stretch of fewer different runs says nothing about chance.
_SHORTEST = 50


def copied(test: Sequence[Clip], fitted: Sequence[Clip], every: bool = False) -> str:
    """A sentence about the first stretch that is the same bit for bit, or "".

    every: compare bin by bin, not only where the frame changes.
    """
    shown = [changes(clip, every) for clip in (*test, *fitted)]
    size = enough([names for names, _ in shown[len(test) :]])
    runs = [_runs(names, size) for names, _ in shown]
    tested = np.concatenate(runs[: len(test)])
    for clip, (names, edges), there in zip(
        fitted, shown[len(test) :], runs[len(test) :], strict=True
    ):
        both, first = np.unique(there, return_index=True)
        for begun in np.sort(first[np.isin(both, tested)]):
            if not _varied(names[begun : begun + size]):
                continue
            n = next(n for n, one in enumerate(runs) if there[begun] in one)
            here = np.argmax(runs[n] == there[begun])
            # Its first and last frame may be cut short where a clip begins or ends.
            inner = np.array([1, size - 1])
            ends = shown[n][1][here + inner], edges[begun + inner]
            return sentence(test[n], *_whole(test[n], clip, *ends))
    return ""


def _varied(run: np.ndarray) -> bool:
    """Whether it hardly repeats itself, as flashes at a steady pace do."""
    parts = _runs(run, max(len(run) // 4, 1))
    return 3 * len(np.unique(parts)) > 2 * len(parts) - 2


def changes(clip: Clip, every: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """A number for each frame that replaces another, and the bins where each begins.

    every: each bin is a frame of its own.
    """
    frames = clip.stimulus[clip.skip :]
    if full_field([clip]):  # the value itself; adding 0 makes -0 into 0
        names = (frames.reshape(-1).astype(np.float64) + 0.0).view(np.int64)
    else:
        each = (hash(frame.tobytes()) for some in pieces(frames) for frame in some)
        names = np.fromiter(each, np.int64, len(frames))
    new = np.arange(len(names))
    if not every:
        new = np.flatnonzero(np.diff(names, prepend=~names[:1]))
    return names[new], np.append(new, len(names))


def enough(shown: Sequence[np.ndarray]) -> int:
    """Changes in a row that do not come twice by chance.

    shown: of what was fitted to: a short copy of it in the test would count as chance.

    Taken from how often two places with the same frame go on with the same frame: of
    256 grey levels that drift slowly far fewer can follow than 256. What comes again
    for long is itself copied, so it counts once.
    """
    runs = [_runs(names, _APART) for names in shown]
    _, begun = np.unique(np.concatenate(runs), return_index=True)
    # The last frames of a copy go on otherwise, but what led to them has come before.
    led = np.concatenate([_before(run) for run in runs])
    _, first = np.unique(led, return_index=True)
    anew = led == _NOTHING
    anew[first] = True
    at = begun[anew[begun]]
    if len(at) < _SHORTEST:
        return _NEVER
    pairs = list(zip(shown, runs, strict=True))
    ones, twos = (
        np.concatenate([_runs(names, n)[: len(run)] for names, run in pairs])
        for n in (1, 2)
    )
    total = len(at) * (len(at) - 1) / 2
    same, on = _pairs(ones[at]), _pairs(twos[at])
    # Where hardly a value comes twice, one that does is as rare as the one after it.
    chance = (on + 1) / (same + 1) if same > 100 else (same + 1) / total
    if chance > 0.9:
        return _NEVER  # on, off, on: all such stretches are alike
    return max(_FRAMES, math.ceil(math.log(_CHANCE) / math.log(chance)))


def _before(run: np.ndarray) -> np.ndarray:
    """The run that ends at each place, for those that begin there; 0: there is none."""
    none = np.full(min(_APART - 1, len(run)), _NOTHING)
    return np.concatenate([none, run[: len(run) - len(none)]])


def _pairs(values: np.ndarray) -> float:
    """Pairs of equal values."""
    counts = np.unique(values, return_counts=True)[1].astype(np.float64)
    return float((counts * (counts - 1) / 2).sum())


def _runs(names: np.ndarray, size: int) -> np.ndarray:
    """A number for each run of so many frames in a row; equal runs have equal ones."""
    count = max(len(names) - size + 1, 0)
    made = np.zeros(count, np.uint64)
    for i in range(size if count else 0):
        word = names[i : i + count].view(np.uint64)
        # Numbers of floats end in zeros, which a product alone would keep.
        made = (made ^ word ^ (word >> np.uint64(29))) * np.uint64(0x9E3779B97F4A7C15)
        made ^= made >> np.uint64(32)
    return made


def _whole(
    clip: Clip, other: Clip, here: np.ndarray, there: np.ndarray
) -> tuple[tuple[int, int], Clip, tuple[int, int]]:
    """The stretch about a run that both have, as `sentence` takes it.

    here, there: first bin of the run and the bin after it, among the scored ones.
    """
    a, b = clip.stimulus[clip.skip :], other.stimulus[other.skip :]
    (i, stop), (j, last) = map(int, here), map(int, there)
    while i and j and np.array_equal(a[i - 1], b[j - 1]):
        i, j = i - 1, j - 1
    more = 0
    while (
        stop + more < len(a)
        and last + more < len(b)
        and np.array_equal(a[stop + more], b[last + more])
    ):
        more += 1
    return (i, stop + more - i), other, (j, last + more - j)


def full_field(test: Sequence[Clip]) -> bool:
    return int(np.prod(test[0].stimulus.shape[1:])) == 1


def sentence(
    clip: Clip, at: tuple[int, int], other: Clip, there: tuple[int, int]
) -> str:
    start, begin = at[0] + clip.skip, there[0] + other.skip
    return (
        f"bins {start}-{start + at[1] - 1} of {clip.name!r} are bins {begin}-"
        f"{begin + there[1] - 1} of {other.name!r}"
    )
