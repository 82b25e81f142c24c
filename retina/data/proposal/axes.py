"""Which axis of an array is which, by its shape and those of others."""

from __future__ import annotations

from collections.abc import Sequence

from retina.data.proposal.seen import Seen

FINEST = 100  # bins of a frame
FRAMES = 50  # at least, of anything that is called a stimulus


def stimulus_axes(
    shown: Seen, onsets: Seen | None, heard: Sequence[Seen]
) -> tuple[int, str, bool]:
    """Frames, the words of the axes, and whether the frames' axis is certain.

    As many as the times of frames, or as the bins of a response, are the frames; else
    the longest axis by far, or the first, or of MATLAB's the last.

    onsets: times of frames. heard: arrays that are called counts.

    >>> movie = Seen("a.npz", "movie", (4, 5, 400), "u", lambda: ...)
    >>> stimulus_axes(movie, None, [])
    (400, 'y, x, frame', True)
    """
    sizes = shown.shape
    lengths = {n for one in heard for n in one.shape if n >= FRAMES}
    lengths = {onsets.shape[0]} if onsets is not None else lengths
    # Onsets may have an end, and counts a bin too many.
    for some in (lengths, {n - 1 for n in lengths}):
        among = [i for i, n in enumerate(sizes) if n in some]
        if among:
            at, sure = max(among, key=lambda i: sizes[i]), len(among) == 1
            break
    else:
        at, longest = int(sizes.index(max(sizes))), sorted(sizes)
        sure = len(sizes) == 1 or longest[-1] >= 2 * longest[-2]
        if not sure:
            matlab = shown.file.lower().endswith(".mat") and not shown.turned
            at = len(sizes) - 1 if matlab else 0
    rest = ["x"] if len(sizes) == 2 else ["y", "x", "channel"][: len(sizes) - 1]
    rest = rest[::-1] if shown.turned else rest
    return sizes[at], ", ".join([*rest[:at], "frame", *rest[at:]]), sure


def counts_axes(one: Seen, frames: int) -> tuple[str, int, int, bool, int] | None:
    """The words of the axes, cells, trials, whether all are certain, bins of a frame.

    None where no axis is as long as the frames, or one longer or shorter, or so many
    times as long.

    >>> counts_axes(Seen("a.mat", "counts", (3, 400, 6), "u", lambda: ..., True), 400)
    ('cell, bin, trial', 3, 6, False, 1)
    """
    at = [i for i, n in enumerate(one.shape) if abs(n - frames) <= 1]
    each = 1
    if not at:
        at = [i for i, n in enumerate(one.shape) if n and n % frames == 0]
        each = one.shape[at[0]] // frames if at else 1
    if not at or each > FINEST:
        return None
    others = [n for i, n in enumerate(one.shape) if i != at[0]]
    if len(one.shape) == 1:
        return "bin", 1, 1, True, each
    if len(one.shape) == 2:
        words = ["cell", "cell"]
        words[at[0]] = "bin"
        return ", ".join(words), others[0], 1, len(at) == 1, each
    # Two axes are left, of trials and of cells; nothing tells which.
    words = ["cell", "trial"] if one.turned else ["trial", "cell"]
    number = dict(zip(words, others, strict=True))
    words.insert(at[0], "bin")
    return ", ".join(words), number["cell"], number["trial"], False, each
