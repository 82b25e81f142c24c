"""In one line, what of a split is fitted, what says when to stop, what is tested on."""

from __future__ import annotations

from collections.abc import Sequence

from retina.types import Clip, Split


def roles(split: Split) -> str:
    """Seconds and clips of each role, a repeated clip once: "9 s x 219".

    >>> import numpy as np
    >>> from retina.types import Spec
    >>> clips = [Clip(n, np.zeros(30), np.zeros((1, 30, 1)), 10) for n in ("a", "b")]
    >>> roles(Split(Spec((), 1, 0.1), (clips[0],), (clips[1],), ()))
    'fitted to 2 s (a), stopped by 2 s that are not fitted to (b), tested on nothing'
    >>> clips.append(Clip("c", np.zeros(30), np.zeros((9, 30, 1)), 10))
    >>> roles(Split(Spec((), 1, 0.1), (), (), tuple(clips))).rpartition("tested")[2]
    ' on 4 s (a, b) and 2 s x 9 (c)'
    """
    bin_s = split.spec.bin_s
    said = (
        f"fitted to {_some(split.train, bin_s)}",
        f"stopped by {_some(split.validation, bin_s, ' that are not fitted to')}",
        f"tested on {_some(split.test, bin_s)}",
    )
    return ", ".join(said)


def _some(clips: Sequence[Clip], bin_s: float, more: str = "") -> str:
    if not clips:
        return "nothing"
    alike: dict[int, list[Clip]] = {}
    for clip in clips:
        alike.setdefault(len(clip.response), []).append(clip)
    told = []
    for trials, own in alike.items():
        seconds = sum(clip.bins for clip in own) * bin_s
        lasts = f"{seconds:.0f}" if seconds >= 10 else f"{seconds:.2g}"
        each = f" x {trials}" if trials > 1 else ""
        rest = f" and {len(own) - 2} more" if len(own) > 2 else ""
        names = ", ".join(clip.name for clip in own[:2])
        told.append(f"{lasts} s{each}{more} ({names}{rest})")
    return " and ".join(told)
