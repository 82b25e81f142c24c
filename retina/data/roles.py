"""In one line, what of a split is fitted, what says when to stop, what is tested on."""

from __future__ import annotations

from collections.abc import Sequence

from retina.types import Clip, Split


def roles(split: Split) -> str:
    """Seconds and clips of each role, a repeated clip once.

    >>> import numpy as np
    >>> from retina.types import Spec
    >>> clips = [Clip(n, np.zeros(30), np.zeros((1, 30, 1)), 10) for n in ("a", "b")]
    >>> roles(Split(Spec((), 1, 0.1), (clips[0],), (clips[1],), ()))
    'fitted to 2 s (a), stopped by 2 s that are not fitted to (b), tested on nothing'
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
    seconds = sum(clip.bins for clip in clips) * bin_s
    told = f"{seconds:.0f}" if seconds >= 10 else f"{seconds:.2g}"
    trials = {len(clip.response) for clip in clips} - {1}
    each = f" x {max(trials)}" if len(trials) == 1 else ""
    rest = f" and {len(clips) - 2} more" if len(clips) > 2 else ""
    names = ", ".join(clip.name for clip in clips[:2])
    return f"{told} s{each}{more} ({names}{rest})"
