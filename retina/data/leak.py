"""Whether test stimulus was also shown where models are fitted or chosen."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from weakref import WeakKeyDictionary

import numpy as np

from retina.data.card import SplitRule
from retina.errors import Leak
from retina.types import Clip, Split

# Full-field stretches are compared by correlation: the same movie may be sampled
# a little differently. Flicker of 50 independent values reaches 0.85 by chance once in
# 1e14 tries; a shorter stretch says nothing.
_RUN, _SHORTEST, _ALIKE = 500, 50, 0.85
# Images are compared exactly. This many in a row that each differ from the one before
# do not come twice by chance; more of them where there are few to choose from.
_IMAGES, _CHANCE = 5, 1e-14
_LONGEST = 1000  # bins over which a stimulus is asked whether it resembles itself

_said: WeakKeyDictionary[Split, str] = WeakKeyDictionary()


def refuse(split: Split) -> None:
    """Nothing, where no test stimulus was shown in training or validation.

    A split is looked through once, however many models are fitted to it.

    raises: Leak with the first stretch found; `retina check` says the same.
    """
    if split not in _said:
        _said[split] = leak(split.test, (*split.train, *split.validation))
    if _said[split]:
        raise Leak(
            f"{split.spec.dataset or 'the recording'}: {_said[split]}: test stimulus "
            "may not be fitted to: leave these frames out of training and validation"
        )


def shared(rules: Sequence[SplitRule]) -> Iterator[str]:
    """A sentence for each two splits of a card that take the same frames."""
    for i, one in enumerate(rules):
        for other in rules[:i]:
            trials = not (one.trials and other.trials) or _meet(
                one.trials, other.trials
            )
            if one.part != other.part or not trials:
                continue
            for a in one.frames:
                for b in other.frames:
                    if _meet(a, b):
                        yield f"{other.role} {b} and {one.role} {a} share frames"


def _meet(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def leak(test: Sequence[Clip], fitted: Sequence[Clip]) -> str:
    """A sentence about the first stretch found in both, "" where there is none.

    test, fitted: clips on one clock; only scored bins count. A stimulus that stays on
                  for many bins is compared over as many more.

    >>> x = np.random.default_rng(0).standard_normal(3000).astype(np.float32)
    >>> response = np.zeros((1, 1000, 1), np.float32)
    >>> clips = [Clip(str(i), x[i : i + 1000], response) for i in (0, 1000, 1400)]
    >>> leak(clips[:1], clips[1:2])
    ''
    >>> leak(clips[1:2], clips[2:])
    "bins 500-999 of '1000' are bins 100-599 of '1400'"
    """
    if not (test and fitted):
        return ""
    images = int(np.prod(test[0].stimulus.shape[1:])) > 1
    return (_same_images if images else _alike)(test, fitted)


def memory(stimulus: np.ndarray, longest: int) -> int:
    """Bins over which the stimulus resembles itself: 0 for one value drawn per bin."""
    some = stimulus[:20000].reshape(len(stimulus[:20000]), -1)[:, :64]
    some = some.astype(np.float64)
    some -= some.mean()
    power = (some**2).mean()
    for lag in range(1, min(longest, len(some) - 1)):
        if (some[lag:] * some[:-lag]).mean() < 0.2 * power:
            return lag - 1
    return longest


def _alike(test: Sequence[Clip], fitted: Sequence[Clip]) -> str:
    each = 1 + memory(max(map(_scored, fitted), key=len), _LONGEST)
    for clip in test:
        shown = _scored(clip)
        size = min(_RUN * each, len(shown))
        if size < _SHORTEST * each:
            continue
        starts = range(0, len(shown) - size + 1, size)
        runs = {start: shown[start : start + size] for start in starts}
        for other in fitted:
            past = _scored(other)
            if len(past) < size:
                continue
            # One transform of the longer serves all runs; a circle as long as it is
            # wraps only the offsets at which a run would stick out.
            length = 1 << (len(past) - 1).bit_length()
            over, sd = np.fft.rfft(past, length), _moving_sd(past, size)
            for start, run in runs.items():
                if run.std() < 1e-6 * max(abs(run.mean()), 1e-6):
                    continue  # grey is no test of anything
                unit = (run - run.mean()) / (run.std() * size)
                along = np.fft.irfft(over * np.fft.rfft(unit, length).conj(), length)
                along = along[: len(past) - size + 1] / sd
                if along.max() > _ALIKE:
                    at = int(along.argmax())
                    return _sentence(clip, (start, size), other, (at, size))
    return ""


def _moving_sd(past: np.ndarray, size: int) -> np.ndarray:
    sums = np.concatenate([[0.0], np.cumsum(past)])
    squares = np.concatenate([[0.0], np.cumsum(past**2)])
    mean = (sums[size:] - sums[:-size]) / size
    variance = (squares[size:] - squares[:-size]) / size - mean**2
    return np.sqrt(np.maximum(variance, 1e-6 * max(float(past.var()), 1e-12)))


def _same_images(test: Sequence[Clip], fitted: Sequence[Clip]) -> str:
    shown = [(clip, *_changes(clip)) for clip in test]
    kinds = len(np.unique(np.concatenate([names for _, names, _ in shown])))
    if kinds < 3:
        return ""  # on, off, on: all such stretches are alike
    size = max(_IMAGES, math.ceil(-math.log10(_CHANCE) / math.log10(kinds - 1)))
    seen = {
        run: (clip, at)
        for clip, names, edges in shown
        for run, at in _runs(names, edges, size, range(len(names)))
    }
    first = np.array([run[0] for run in seen], np.int64)
    for clip in fitted:
        names, edges = _changes(clip)
        begun = np.flatnonzero(np.isin(names, first))
        for run, at in _runs(names, edges, size, begun):
            if run in seen:
                return _sentence(*seen[run], clip, at)
    return ""


def _changes(clip: Clip) -> tuple[np.ndarray, np.ndarray]:
    """A number for each image that replaces another, and the bins where each begins."""
    frames = clip.stimulus[clip.skip :]
    names = np.array([hash(image.tobytes()) for image in frames], np.int64)
    new = np.flatnonzero(np.diff(names, prepend=~names[:1]))
    return names[new], np.append(new, len(names))


def _runs(names: np.ndarray, edges: np.ndarray, size: int, begun: Iterable[int]):
    """Each run of images, and where it is: its first bin, how many bins."""
    for i in begun:
        if i + size <= len(names):
            at = int(edges[i]), int(edges[i + size] - edges[i])
            yield tuple(names[i : i + size].tolist()), at


def _scored(clip: Clip) -> np.ndarray:
    return clip.stimulus[clip.skip :].reshape(-1).astype(np.float64)


def _sentence(
    clip: Clip, at: tuple[int, int], other: Clip, there: tuple[int, int]
) -> str:
    start, begin = at[0] + clip.skip, there[0] + other.skip
    return (
        f"bins {start}-{start + at[1] - 1} of {clip.name!r} are bins {begin}-"
        f"{begin + there[1] - 1} of {other.name!r}"
    )
