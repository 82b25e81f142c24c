"""The verb `split`: a recording on the model's clock, in train, validation and test."""

from __future__ import annotations

import math

import numpy as np

from retina.data.coding import check_varies, moments, odd_coding
from retina.data.reclocked import averaged, taken
from retina.errors import BadResponse, BadSetting, BadStimulus
from retina.types import GRADED, Block, Clip, Recording, Spec, Split, one_of

# Two clocks within a thousandth are one: 0.0333 is meant to be 1/30.
_SAME = 1e-3
# Numbers that tell a mean and an s.d.; of more, each n-th frame is looked at.
_ENOUGH = 2**31

_GRADED = (
    "responses are graded, in units of their own: the Poisson loss that they are "
    "fitted with is a quasi-likelihood, and no figure per spike is given"
)

_UNCUT = (
    "bins are shorter than frames and do not divide them, or counts have a clock of "
    "their own: every model runs on one clock, that of the bins"
)


def split(recording: Recording, bin_s: float | None = None) -> Split:
    """A recording on one clock, divided into what is fitted, chosen on, and tested.

    recording: from `retina.load`.
    bin_s:     seconds per bin. By default one bin per frame, from its onset to the
               next (lag 0 is the frame on the screen during the bin), or the bin of the
               published counts. Shorter bins hold the stimulus: a frame is cut into
               `Spec.bins_per_frame` equal bins where they divide it, and a model that
               hears its own spikes runs on two clocks (`retina.clocks`); else a bin
               shows the frame that is on at its start. Longer ones must be multiples;
               the stimulus is averaged over them.
    returns:   clips keep the recording's stimulus as it is stored, without a copy
               wherever one bin is one frame. Of a movie that is read from disk, what
               other bins show is written beside it, once: see `retina.data.reclocked`.
    raises:    BadSetting for a clock that the recording cannot give; BadResponse for a
               cell without any event in training; BadStimulus for a stimulus that
               never changes. What is not as models expect it is told in Split.notes.

    >>> from retina.types import Cell
    >>> onsets = np.arange(5) / 30
    >>> spikes = ((np.array([0.01, 0.05]),),)
    >>> block = Block("a", "train", np.eye(4)[:, :1], onsets, spikes)
    >>> made = split(Recording("x", "none", (Cell("0"),), (block,), 1 / 30, "contrast"))
    >>> made.train[0].response[0, :, 0].tolist()
    [1.0, 1.0, 0.0, 0.0]
    """
    native = recording.native_bin_s or recording.frame_s
    if bin_s is None:
        bin_s = native
    if not (math.isfinite(bin_s) and bin_s > 0):
        raise BadSetting(f"bin_s is {bin_s:g}; it must be seconds, above 0")
    for clock in (native, recording.frame_s):
        if _same(bin_s, clock):
            bin_s = clock
    each = _bins_per_frame(recording, bin_s)
    bin_s = recording.frame_s / each if each > 1 else bin_s
    clips = {
        role: tuple(
            _clip(block, recording, bin_s, each) for block in recording.role(role)
        )
        for role in ("train", "validation", "test")
    }
    _check_silent(clips["train"], recording)
    check_varies(clips["train"], recording.name)
    mean, sd = 0.0, 1.0
    if recording.coding == "light":
        size = sum(clip.stimulus[clip.skip :].size for clip in clips["train"])
        mean, sd = moments(clips["train"], 1 + size // _ENOUGH)
        if sd <= 1e-6 * abs(mean):  # one pixel that flickers in its last digits
            raise BadStimulus(
                f"{recording.name}: the training stimulus is constant ({mean:g})"
            )
    odd = odd_coding(recording.coding, clips["train"])
    spec = Spec(
        frame=recording.frame,
        cells=len(recording.cells),
        bin_s=bin_s,
        stimulus_mean=mean,
        stimulus_sd=sd,
        dataset=recording.name,
        event=recording.event,
        mean_rstar_per_s=recording.mean_rstar_per_s,
        bins_per_frame=each,
        pixel_um=recording.pixel_um,
    )
    return Split(
        spec,
        **clips,
        cells=recording.cells,
        notes=(
            *recording.notes,
            *odd,
            *((_UNCUT,) if each == 1 and bin_s < recording.frame_s else ()),
            *_unheard(clips["validation"], recording),
            *((_GRADED,) if recording.event == GRADED else ()),
        ),
        publish=recording.publish,
        species=recording.species,
        frame_s=recording.frame_s,
    )


def _bins_per_frame(recording: Recording, bin_s: float) -> int:
    """Into how many bins of `bin_s` each frame can be cut; 1 where they do not fit.

    Counts have a clock of their own: it may not have left that of the frames by a bin.
    """
    each = round(recording.frame_s / bin_s)
    if each < 2 or not _same(each * bin_s, recording.frame_s):
        return 1
    for block in recording.blocks:
        shown_s = float(block.onsets_s[-1] - block.onsets_s[0])
        nominal_s = len(block.stimulus) * recording.frame_s
        if block.counts is not None and abs(shown_s - nominal_s) > bin_s / 2:
            return 1
    return each


def _clip(block: Block, recording: Recording, bin_s: float, each: int) -> Clip:
    frame_s = recording.frame_s
    if block.counts is not None and bin_s < block.count_s * (1 - _SAME):  # type: ignore
        raise BadSetting(
            f"{recording.name} publishes counts per {block.count_s:g} s; bin_s = "
            f"{bin_s:g} is shorter: leave bin_s out, or take a multiple"
        )
    if _same(bin_s, frame_s):
        edges, stimulus, skip = block.onsets_s, block.stimulus, block.lead
    elif each > 1:
        share = np.arange(each) / each
        # A hair early, as below; an onset itself is where it is.
        share = np.where(share > 0, share - 1e-6 / each, 0)
        edges = block.onsets_s[:-1, None] + np.diff(block.onsets_s)[:, None] * share
        edges = np.append(edges.ravel(), block.onsets_s[-1])
        row = np.repeat(np.arange(len(block.stimulus)), each)
        stimulus, skip = taken(block.stimulus, row), block.lead * each
    elif bin_s > frame_s:
        frames = _multiple(bin_s, frame_s, recording.name, "frame")
        # Bins are laid so that the first scored frame begins one.
        start = block.lead % frames
        bins = (len(block.stimulus) - start) // frames
        rows = slice(start, start + bins * frames)
        edges = block.onsets_s[start : start + bins * frames + 1 : frames]
        stimulus = averaged(block.stimulus[rows], frames)
        skip = block.lead // frames
    else:
        start, stop = block.onsets_s[0], block.onsets_s[-1]
        bins = math.floor((stop - start) / bin_s + 1e-6)
        # A hair early, so that an event exactly on an edge falls into the later bin
        # whatever the rounding of start + k * bin_s.
        edges = start + (np.arange(bins + 1) - 1e-6) * bin_s
        row = np.searchsorted(block.onsets_s, edges[:-1] + 2e-6 * bin_s, "right") - 1
        stimulus = taken(block.stimulus, row)
        skip = math.ceil((block.onsets_s[block.lead] - start) / bin_s - 1e-6)
    if skip >= len(stimulus):
        scored_s = block.onsets_s[-1] - block.onsets_s[block.lead]
        raise BadSetting(
            f"{recording.name}, block {block.name!r}: bin_s = {bin_s:g} is longer than "
            f"what of its {scored_s:.4g} s can be fitted or scored: take a shorter bin"
        )
    return Clip(
        name=block.name,
        stimulus=stimulus,
        response=_response(block, recording, edges, bin_s),
        skip=skip,
        group=block.group,
    )


def _response(
    block: Block, recording: Recording, edges: np.ndarray, bin_s: float
) -> np.ndarray:
    """(trial, time, cell) float32: events in [edge k, edge k + 1)."""
    if block.spikes is not None:
        return np.stack(
            [
                np.stack(
                    [np.diff(np.searchsorted(train, edges, "left")) for train in trial],
                    axis=-1,
                )
                for trial in block.spikes
            ]
        ).astype(np.float32)
    assert block.counts is not None and block.count_s is not None
    bins = len(edges) - 1
    each = _multiple(bin_s, block.count_s, recording.name, "count bin")
    offset = (edges[0] - block.onsets_s[0]) / block.count_s
    first = round(offset)
    if abs(offset - first) > 0.01:
        raise BadSetting(
            f"block {block.name!r}: its first bin begins {offset:.2f} count bins of "
            f"{block.count_s:g} s after its counts do: choose a lead that ends at the "
            "edge of a count bin"
        )
    counts = block.counts[:, first : first + bins * each]
    if counts.shape[1] < bins * each:
        # The last bin's counts may end before its last frame does.
        missing = bins * each - counts.shape[1]
        raise BadResponse(
            f"block {block.name!r}: the counts end {missing} bins before the stimulus"
        )
    trials, _, cells = counts.shape
    if each == 1:
        return counts.astype(np.float32)
    return counts.reshape(trials, bins, each, cells).sum(2, dtype=np.float32)


def _same(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=_SAME)


def _multiple(bin_s: float, unit_s: float, name: str, unit: str) -> int:
    times = round(bin_s / unit_s)
    if times < 1 or not _same(bin_s, times * unit_s):
        near = max(times, 1) * unit_s
        raise BadSetting(
            f"bin_s = {bin_s:g} is not a multiple of {name}'s {unit} of {unit_s:g} s: "
            f"take {near:.6g}, or leave bin_s out"
        )
    return times


def _silent(clips: tuple[Clip, ...], recording: Recording) -> list[str]:
    """Names of the cells without an event in the scored bins."""
    events = sum(clip.response[:, clip.skip :].sum((0, 1)) for clip in clips)
    return [
        cell.name
        for cell, n in zip(recording.cells, np.atleast_1d(events), strict=True)
        if n == 0
    ]


def _unheard(validation: tuple[Clip, ...], recording: Recording) -> tuple[str, ...]:
    """A note on the cells that validation cannot judge; if it is all, `fit` refuses."""
    silent = _silent(validation, recording) if validation else []
    if len(silent) in (0, len(recording.cells)):
        return ()
    return (
        f"cell {', '.join(silent)} has no {one_of(recording.event)} in the validation "
        "blocks: the other cells alone say when a fit stops",
    )


def _check_silent(train: tuple[Clip, ...], recording: Recording) -> None:
    if not train:
        raise BadResponse(f"{recording.name} has no training block to fit on")
    silent = _silent(train, recording)
    if silent:
        out = ",".join("-" + name for name in silent)
        raise BadResponse(
            f"{recording.name}: cell {', '.join(silent)} has no "
            f"{one_of(recording.event)} in the training blocks, so nothing can be "
            f"fitted to it: leave it out with --cells={out} (or cells={out!r}), "
            f'or for good with default_cells = "{out}" in the card'
        )
