"""Two clocks: what sees the stimulus runs once per frame, what hears spikes every bin.

A frame is held on the screen for `Spec.bins_per_frame` bins. All that a model makes of
it before its last stage is the same for each of them, so it is made once, and held.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from retina.stage import Model, Params, Stage, State, chain
from retina.types import Clip, Spec


def on_frames(spec: Spec) -> Spec:
    """The spec of the stages that run once per frame: a bin of theirs is a frame.

    >>> on_frames(Spec((), 1, 0.005, bins_per_frame=4)).bin_s
    0.02
    """
    frame_s = spec.bin_s * spec.bins_per_frame
    return dataclasses.replace(spec, bin_s=frame_s, bins_per_frame=1)


def frames_of(clips: tuple[Clip, ...], spec: Spec) -> tuple[Clip, ...]:
    """Clips on the clock of `on_frames`; counts are the mean over a frame's bins."""
    each = spec.bins_per_frame

    def one(clip: Clip) -> Clip:
        trials, bins, cells = clip.response.shape
        whole = bins // each * each
        heard = clip.response[:, :whole].reshape(trials, -1, each, cells)
        return dataclasses.replace(
            clip,
            stimulus=clip.stimulus[:whole:each],
            response=heard.mean(2, dtype=heard.dtype),
            skip=-(-clip.skip // each),
        )

    return clips if each == 1 else tuple(map(one, clips))


def two_clocks(spec: Spec, *stages: Stage, about: tuple | None = None) -> Stage:
    """The chain of some stages of which the last alone runs every bin.

    spec:    its `bins_per_frame` says how long a frame is held; at 1 this is `chain`.
    stages:  the last takes one number per cell, and the counts of the previous bin. The
             others were made for `on_frames(spec)`; they see the frame on whose onset
             the clock stands, first in a cold start.
    returns: params and parts as of `chain`; the state holds the clock and the drive.

    >>> from retina.layers.history import history_output
    >>> from retina.stage import memoryless
    >>> drive = memoryless(lambda params, x: x, about=("drive",))
    >>> heard = history_output("exp", 2, taps=3, basis=2, coupling=False)
    >>> two_clocks(Spec((2,), 2, 0.005, bins_per_frame=4), drive, heard).per_frame
    ('drive',)
    """
    each, cells = spec.bins_per_frame, spec.cells
    whole = chain(*stages, about=about)
    if each == 1:
        return whole
    front, last = chain(*stages[:-1]), stages[-1]
    *early, late = whole.parameters

    def start(params: Params, key: jax.Array | None = None) -> State:
        held = {"bin": jnp.int32(0), "drive": jnp.zeros(cells, jnp.float32)}
        return whole.start(params, key) | {"clock": held}

    def parted(params: Params, state: State) -> tuple[Params, State]:
        return tuple({name: tree[name] for name in early} for tree in (params, state))  # type: ignore[return-value]

    def finish(view: str, params, state, passed, drives, previous, held):
        with jax.named_scope(late):
            heard = getattr(last, view)(params[late], state[late], (drives, previous))
        after, y = heard
        return {**passed, late: after, "clock": held}, y

    def stepping(chosen: Callable[..., Any]) -> Callable[..., Any]:
        """chosen: (whether a frame begins, run the front, hold) -> what is done."""

        def step(params: Params, state: State, signal: Any) -> tuple[State, jax.Array]:
            x_t, previous = signal
            own, before = parted(params, state)
            at, drive = state["clock"]["bin"], state["clock"]["drive"]
            passed, drive = chosen(
                at == 0,
                lambda: front.step(own, before, x_t),
                lambda: (before, drive),
            )
            at = at + 1
            held = {"bin": jnp.where(at >= each, 0, at), "drive": drive}
            return finish("step", params, state, passed, drive, previous, held)

        return step

    step = stepping(lax.cond)

    def frames(params: Params, state: State, signal: Any):
        """Bins that are as many as those of some frames, from anywhere in a frame."""
        x, previous = signal
        own, before = parted(params, state)
        first = -state["clock"]["bin"] % each  # bin on which a frame begins
        begin = first + each * jnp.arange(x.shape[0] // each, dtype=jnp.int32)
        passed, drives = front.apply(own, before, x[begin])
        known = jnp.concatenate([state["clock"]["drive"][None], drives])
        drives = jnp.repeat(known, each, axis=0)
        drives = lax.dynamic_slice_in_dim(drives, each - first, x.shape[0])
        held = {"bin": state["clock"]["bin"], "drive": known[-1]}
        return finish("apply", params, state, passed, drives, previous, held)

    def apply(params: Params, state: State, signal: Any) -> tuple[State, jax.Array]:
        bins = signal[0].shape[0]
        some = bins // each * each
        made = []
        if some:
            state, y = frames(params, state, jax.tree.map(lambda a: a[:some], signal))
            made.append(y)
        if some < bins:
            rest = jax.tree.map(lambda a: a[some:], signal)
            state, y = lax.scan(lambda s, x_t: step(params, s, x_t), state, rest)
            made.append(y)
        return state, jnp.concatenate(made)

    return whole.seen(
        start=start,
        step=step,
        apply=apply,
        steps=(
            (stepping(lambda begins, run, hold: run()), 1),
            (stepping(lambda begins, run, hold: hold()), each - 1),
        ),
        lags=max(each * (front.lags + 1) - 1, last.lags),
        about=("two_clocks", each, whole.about),
        per_frame=tuple(early),
    )


def bins_held(model: Model) -> int:
    """Bins for which a model looks at one frame: 1 unless parts run once per frame."""
    return model.spec.bins_per_frame if model.stage.per_frame else 1


def period(stage: Stage) -> int:
    """Bins after which a stage does the same again; 1 where all are alike."""
    return sum(bins for _, bins in stage.steps) or 1


def start_at(stage: Stage, params: Params, bin: Any) -> State:
    """A cold start on some bin of a block: its clock stands where it would there.

    bin: an integer, or an array of one; may be below 0.
    """
    state = stage.start(params)
    if not stage.steps:
        return state
    at = jnp.asarray(bin, jnp.int32) % period(stage)
    return state | {"clock": state["clock"] | {"bin": at}}


def again(model: Model, parts: tuple[Stage, ...], about: tuple) -> Stage:
    """Parts in the place of a model's own, on the clocks that those run on."""
    spec = dataclasses.replace(model.spec, bins_per_frame=bins_held(model))
    return two_clocks(spec, *parts, about=about)


def between(model: Model, name: str, x: jax.Array, bin: Any = 0) -> jax.Array:
    """What one part of a model is given of what the part before it gave, or of the
    stimulus: of a clip from a cold start, as many bins long as some frames are.

    bin: of a block, with which the clip begins; in the middle of a frame nothing is
         known of that frame.
    """
    early, each = model.stage.per_frame, bins_held(model)
    if each == 1:
        return x
    first = -jnp.asarray(bin, jnp.int32) % each  # bin on which a frame begins
    if name == early[0]:
        return x[first + each * jnp.arange(x.shape[0] // each, dtype=jnp.int32)]
    if name in early:
        return x
    held = jnp.repeat(jnp.concatenate([jnp.zeros_like(x[:1]), x]), each, axis=0)
    return lax.dynamic_slice_in_dim(held, each - first, each * x.shape[0])
