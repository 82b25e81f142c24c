"""Whether test stimulus was also shown where models are fitted or chosen."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from weakref import WeakKeyDictionary

import numpy as np

from retina.data.copied import changes, copied, enough, full_field, sentence
from retina.data.rules import SplitRule
from retina.errors import Leak
from retina.types import Clip, Split

# Full-field stretches are compared by correlation: the same movie may be sampled
# a little differently. Flicker of 50 independent values reaches 0.85 by chance once in
# 1e14 tries; a shorter stretch says nothing.
_RUN, _SHORTEST, _ALIKE = 500, 50, 0.85
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


def refuse_across(splits: Sequence[Split]) -> None:
    """Nothing, where no split's test stimulus was shown in the training of another.

    What several recordings share is fitted to all of them at once.

    raises: Leak that names both recordings.
    """
    for i, one in enumerate(splits):
        for j, other in enumerate(splits):
            same = one.spec.frame == other.spec.frame and math.isclose(
                one.spec.bin_s, other.spec.bin_s, rel_tol=1e-3
            )
            if i == j or not same:
                continue
            said = leak(one.test, (*other.train, *other.validation))
            if said:
                tested, fitted = (
                    split.spec.dataset or f"recording {n}"
                    for n, split in ((i, one), (j, other))
                )
                raise Leak(
                    f"test of {tested}, training or validation of {fitted}: {said}: "
                    "what both share may not be fitted to test stimulus: leave these "
                    f"frames out of {fitted}"
                )


def shared(rules: Sequence[SplitRule]) -> Iterator[str]:
    """A sentence for each two splits of other roles that take the same frames."""
    for one, other, text in _meetings(rules):
        if one.role != other.role:
            yield text


def twice(rules: Sequence[SplitRule]) -> Iterator[str]:
    """A sentence for each two splits of one role that take the same frames: no leak."""
    for one, other, text in _meetings(rules):
        if one.role == other.role:
            yield f"{text}: they count twice"


def replayed(rules: Sequence[SplitRule]) -> Iterator[str]:
    """A sentence for each two splits of other roles: same frames, other trials.

    No leak only where each trial is shown a stimulus of its own; the reader knows.

    >>> trials = {"train": (0, 5), "validation": (5, 10)}
    >>> each = [SplitRule(role=r, frames=[(0, 9)], trials=t) for r, t in trials.items()]
    >>> list(replayed(each)), list(shared(each))
    (['train (0, 9) and validation (0, 9) share frames'], [])
    """
    for one, other, text in _meetings(rules, apart=True):
        if one.role != other.role:
            yield text


def _meetings(
    rules: Sequence[SplitRule], apart: bool = False
) -> Iterator[tuple[SplitRule, SplitRule, str]]:
    """Splits that share frames of the same trials; with `apart`, of other trials."""
    for i, one in enumerate(rules):
        for other in rules[:i]:
            first, second = one.trials, other.trials
            disjoint = bool(first and second and not _meet(first, second))
            if one.part != other.part or disjoint != apart:
                continue
            for a in one.frames or (one.share,):
                for b in other.frames or (other.share,):
                    if a and b and _meet(a, b):
                        text = f"{other.role} {b} and {one.role} {a} share frames"
                        yield one, other, text


def _meet(one: tuple[float, float], other: tuple[float, float]) -> bool:
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
    "bins 400-999 of '1000' are bins 0-599 of '1400'"
    """
    if not (test and fitted):
        return ""
    said = copied(test, fitted)
    if not said and full_field(test):
        # Of on and off no change says anything, but noise does in what each bin shows.
        said = copied(test, fitted, every=True) or _alike(test, fitted)
    return said


def too_short(test: Sequence[Clip], fitted: Sequence[Clip]) -> list[str]:
    """Names of the test clips that hold too little for `leak` to say more than "".

    An exact copy of a full-field clip is found in any case, one sampled differently
    only where the clip has many independent values.

    >>> x = np.random.default_rng(0).standard_normal(1000).astype(np.float32)
    >>> clips = [Clip(str(n), x[:n], np.zeros((1, n, 1))) for n in (1000, 60, 40)]
    >>> too_short(clips[1:], clips[:1])
    ['40']
    """
    if not (test and fitted):
        return []
    if full_field(test):
        least = _SHORTEST * _each(fitted)
        longest = max(clip.bins for clip in fitted)
        return [c.name for c in test if min(c.bins, longest) < least]
    least = enough([changes(clip)[0] for clip in fitted])
    return [clip.name for clip in test if len(changes(clip)[0]) < least]


def _each(fitted: Sequence[Clip]) -> int:
    """Bins for which one value of a full-field stimulus tells the next."""
    return 1 + memory(max(map(_scored, fitted), key=len), _LONGEST)


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
    each = _each(fitted)
    for clip in test:
        shown = _scored(clip)
        for other in fitted:
            past = _scored(other)
            # Half of a short clip: what follows a copy, such as grey, is none.
            size = max(_SHORTEST * each, min(_RUN * each, len(shown) // 2))
            size = min(size, len(shown), len(past))
            if size < _SHORTEST * each:
                continue
            # They overlap, so that no copy lies half in one and half in the next.
            last = len(shown) - size
            starts = sorted({*range(0, last, max(size // 2, 1)), last})
            runs = {start: shown[start : start + size] for start in starts}
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
                    return sentence(clip, (start, size), other, (at, size))
    return ""


def _moving_sd(past: np.ndarray, size: int) -> np.ndarray:
    sums = np.concatenate([[0.0], np.cumsum(past)])
    squares = np.concatenate([[0.0], np.cumsum(past**2)])
    mean = (sums[size:] - sums[:-size]) / size
    variance = (squares[size:] - squares[:-size]) / size - mean**2
    return np.sqrt(np.maximum(variance, 1e-6 * max(float(past.var()), 1e-12)))


def _scored(clip: Clip) -> np.ndarray:
    return clip.stimulus[clip.skip :].reshape(-1).astype(np.float64)
