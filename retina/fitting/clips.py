"""Training data, once, and the table of clips to be cut from it.

A clip is `lead` bins of history and `bins` bins of loss, contiguous, inside one block
and one trial. Clips share the stimulus; nothing is copied per window.

Gradients go back through the lead to its first bin: no state is cut off from what made
it. What lies before the lead is lost, and with a lead of `burn_in_s` that is little; a
gradient that is stopped where the loss begins lacks what the parameters do to the state
there. Figures for a slow leak and for the kinetics: tests/fitting/test_warm_up.py.
"""

from __future__ import annotations

import dataclasses
import os

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from retina.errors import BadSetting, ShapeMismatch
from retina.fitting.streaming import Movie
from retina.stage import Model, Tree
from retina.types import Clip

# Bytes of a stimulus as stored; a larger one stays where it is. Of a device that tells
# how much memory it has, this share: the rest is for what is computed.
STREAMED = 2**30
SHARE = 4


@dataclasses.dataclass(frozen=True, eq=False)
class Table:
    """Blocks laid end to end, and where clips may start.

    stimulus: (row, *frame), as stored, on the device; or a Movie, of which `at_hand`
              brings there what some clips need.
    counts:   (row, cell) float32; zeros in the row before each trial.
    first:    (clip, 2) int32: a clip's first row in stimulus, and the row of counts
              that precedes its first bin.
    seen:     (clip,) int32: leading bins of loss that the clip before had already: the
              last clip of a block reaches back over it.
    lead, bins: rows of history and of loss in each clip.
    """

    stimulus: jax.Array | Movie
    counts: jax.Array
    first: np.ndarray
    seen: np.ndarray
    lead: int
    bins: int


def tabulate(
    model: Model,
    clips: tuple[Clip, ...],
    bins: int,
    warm_up_s: float | None = None,
    stream: bool | None = False,
) -> Table:
    """Lay the clips of a split out for fitting.

    bins:      bins of loss per clip; shortened to what the shortest block holds.
    warm_up_s, stream: as in `Recipe`.
    raises:    ShapeMismatch where a block is shorter than the model's history;
               BadSetting where the stimulus is to be held and is larger than memory.
    """
    bin_s, burn_in_s = model.spec.bin_s, model.stage.burn_in_s
    if warm_up_s is not None:
        burn_in_s = min(burn_in_s, warm_up_s)
    burn_in = int(np.ceil(burn_in_s / bin_s))
    # A clip begins with a frame: nothing before it says what is on the screen.
    each = model.spec.bins_per_frame
    lead = -(-max(model.stage.lags, burn_in) // each) * each
    longest = min(len(clip.stimulus) - max(lead, clip.skip) for clip in clips)
    if longest < each:
        short = min(clips, key=lambda c: len(c.stimulus) - max(lead, c.skip))
        if short.skip > lead:  # whatever the model looks back on
            raise ShapeMismatch(
                f"clip {short.name!r} has {len(short.stimulus)} bins, the first "
                f"{short.skip} of which are history alone: fit on longer blocks, or "
                "give them a shorter lead"
            )
        instead = "lower its lags or fit on longer blocks"
        if burn_in > model.stage.lags:
            half_s = len(short.stimulus) * bin_s / 2
            instead = (
                f"its slowest state remembers {model.stage.burn_in_s:g} s; fit on "
                f"longer blocks, or give it less (--set warm_up_s={half_s:.2g}), which "
                "the record and the score then tell"
            )
        raise ShapeMismatch(
            f"clip {short.name!r} has {len(short.stimulus)} bins but {model.name!r} "
            f"needs {lead} bins of history before the first it can fit: {instead}"
        )
    bins = max(min(bins, longest) // each, 1) * each
    first, seen, counts = [], [], []
    row = heard = 0
    for clip in clips:
        begin, end = max(lead, clip.skip), len(clip.stimulus)
        starts = np.append(np.arange(begin, end - bins, bins), end - bins) - lead
        overlap = bins - np.diff(starts, prepend=starts[0] - bins)
        for trial in clip.response:
            first.append(np.stack([row + starts, heard + starts], 1))
            seen.append(overlap)
            counts.append(np.zeros((1, trial.shape[1]), np.float32))
            counts.append(trial.astype(np.float32))
            heard += len(trial) + 1
        row += end
    movie = Movie([clip.stimulus for clip in clips])
    if stream is None:
        limit = _device_bytes()
        stream = movie.nbytes > (limit // SHARE if limit else STREAMED)
    if not stream:
        _check_held(movie.nbytes)
    return Table(
        stimulus=movie if stream else jnp.asarray(movie.whole()),
        counts=jnp.asarray(np.concatenate(counts)),
        first=np.concatenate(first).astype(np.int32),
        seen=np.concatenate(seen).astype(np.int32),
        lead=lead,
        bins=bins,
    )


def at_hand(table: Table, first: np.ndarray, rows: int = 0) -> tuple[Tree, Tree]:
    """A stimulus on the device that some clips can be cut from, and their rows in it.

    first: (..., 2), rows of the table.
    rows:  of a streamed stimulus, as many as it shall have at least.
    """
    if not isinstance(table.stimulus, Movie):
        return table.stimulus, first
    length = table.lead + table.bins
    begin, at = np.unique(first[..., 0], return_inverse=True)
    shown = table.stimulus.gather(begin, length, rows)
    at = at.reshape(first.shape[:-1]) * length
    return jnp.asarray(shown), np.stack([at, first[..., 1]], -1).astype(np.int32)


def _device_bytes() -> int | None:
    """Memory of the device that computes, where it is not the machine's."""
    told = jax.local_devices()[0].memory_stats() or {}
    return told.get("bytes_limit")


def _check_held(size: int) -> None:
    """raises: BadSetting where so many bytes are more than there is memory here."""
    memory = _device_bytes()
    if memory is None:
        try:
            memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        except (AttributeError, ValueError):  # not a POSIX system
            return
    if size > memory:
        raise BadSetting(
            f"the training stimulus takes {size / 1e9:.3g} GB, more than the "
            f"{memory / 1e9:.3g} GB of memory here: stream it (--set optimiser=adam, "
            "without stream=false)"
        )


def cut(
    model: Model, stimulus, counts, first, lead: int, bins: int
) -> tuple[Tree, jax.Array]:
    """One clip: the stage's input (lead + bins, ...) and the counts (bins, cell)."""
    x = lax.dynamic_slice_in_dim(stimulus, first[0], lead + bins)
    heard = lax.dynamic_slice_in_dim(counts, first[1], lead + bins + 1)
    return (x, heard[:-1]) if model.stage.uses_response else x, heard[1 + lead :]


def clip_rates(
    model: Model, params: Tree, stimulus, counts, first, lead: int, bins: int
) -> tuple[jax.Array, jax.Array]:
    """Rates and counts of clips, both (clip, bins, cell): see `clip_rate`.

    first: (clip, 2) rows of the table.
    """
    stage = model.stage
    if stage.valid is None:
        return jax.vmap(
            lambda one: clip_rate(model, params, stimulus, counts, one, lead, bins)
        )(first)
    signal, target = jax.vmap(
        lambda one: cut(model, stimulus, counts, one, lead, bins)
    )(first)
    early = lead - stage.lags
    return stage.valid(params, jax.tree.map(lambda a: a[:, early:], signal)), target


def clip_rate(
    model: Model, params: Tree, stimulus, counts, first, lead: int, bins: int
) -> tuple[jax.Array, jax.Array]:
    """Rate and counts of one clip, both (bins, cell), history warmed up by its lead."""
    stage = model.stage
    signal, target = cut(model, stimulus, counts, first, lead, bins)
    if stage.valid is not None:
        early = lead - stage.lags
        known = jax.tree.map(lambda a: a[early:][None], signal)
        return stage.valid(params, known)[0], target
    state = stage.start(params)
    if lead:
        head = jax.tree.map(lambda a: a[:lead], signal)
        # Only the state is used, so the compiler drops what the outputs would cost.
        state, _ = stage.apply(params, state, head)
    tail = jax.tree.map(lambda a: a[lead:], signal)
    _, rate = stage.apply(params, state, tail)
    return rate, target
