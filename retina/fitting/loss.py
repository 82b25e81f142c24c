"""Poisson loss per spike, and bits per spike over whole validation clips."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from retina.movie import STRETCH, rows_of, stretches
from retina.stage import Model, Tree
from retina.types import Clip

FLOOR = 1e-8  # counts per bin; keeps log finite where a model is sure of silence


def poisson(
    rate: jax.Array,
    counts: jax.Array,
    null_rate: jax.Array,
    activity: float | jax.Array = 0.0,
) -> jax.Array:
    """Negative log likelihood per expected spike of the population.

    rate, counts: (time, cell), per bin.
    null_rate:    (cell,), the training mean; dividing by its mean makes the loss, and
                  so every learning rate and penalty, independent of bin width and
                  rate. Cells weigh by their spikes, as likelihood has it: a quiet
                  cell's noise must not steer what all cells share.
    activity:     weight of the mean rate, per expected spike as well. A rate that is
                  free to be anything is then the mean count / (1 + activity).
    """
    return jnp.mean(nats(rate, counts, null_rate, activity))


def nats(
    rate: jax.Array,
    counts: jax.Array,
    null_rate: jax.Array,
    activity: float | jax.Array = 0.0,
) -> jax.Array:
    """The terms of `poisson` before the mean: (time, cell)."""
    free = isinstance(activity, int | float) and not activity
    expected = rate if free else (1 + activity) * rate
    return (expected - counts * jnp.log(rate + FLOOR)) / jnp.mean(null_rate)


def rates_of(model: Model, params: Tree, stimulus, counts) -> jax.Array:
    """Expected counts of a whole clip from a cold start, teacher-forced if it listens.

    stimulus: (time, *frame). counts: (time, cell), what the cells said.
    """
    stage = model.stage
    signal = stimulus
    if stage.uses_response:
        silent = jnp.zeros_like(counts[:1])
        signal = (stimulus, jnp.concatenate([silent, counts[:-1]]))
    return stage.apply(params, stage.start(params), signal)[1]


def validator(
    model: Model, clips: tuple[Clip, ...], null_rate: np.ndarray
) -> Callable[[Tree], np.ndarray]:
    """A function of params: bits per spike of each cell over all validation clips.

    null_rate: (cell,) training mean counts per bin: 0 bits.
    returns:   params -> (cell,) float64, nan for a cell silent in validation.
    """
    listens = model.stage.uses_response
    groups: dict[tuple, list[Clip]] = {}
    long: list[Clip] = []
    for clip in clips:
        if len(clip.stimulus) > rows_of(clip.stimulus, STRETCH):
            long.append(clip)
        else:
            alike = clip.stimulus.shape, clip.skip, len(clip.response)
            groups.setdefault(alike, []).append(clip)
    null = jnp.asarray(null_rate, jnp.float32)
    in_stretches = _in_stretches(model, null)

    def gained(params, stimulus, response, skip: int) -> jax.Array:
        """Log likelihood above the null of one clip, summed over trials: (cell,)."""

        def one(rate, counts):
            rate, counts = rate[skip:], counts[skip:]
            ratio = jnp.log((rate + FLOOR) / null[None])
            return jnp.sum(counts * ratio - (rate - null[None]), axis=0)

        if listens:
            rates = lax.map(
                lambda counts: rates_of(model, params, stimulus, counts), response
            )
            return jax.vmap(one)(rates, response).sum(0)
        rate = rates_of(model, params, stimulus, response[0])
        return jax.vmap(lambda counts: one(rate, counts))(response).sum(0)

    def whole(params, stimuli, responses, skip):
        return lax.map(
            lambda pair: gained(params, pair[0], pair[1], skip), (stimuli, responses)
        )

    run = jax.jit(whole, static_argnums=3)
    loaded = []
    spikes = np.zeros(model.spec.cells)
    for (_, skip, _), members in groups.items():
        stimuli = jnp.asarray(np.stack([clip.stimulus for clip in members]))
        responses = np.stack([clip.response for clip in members])
        loaded.append((stimuli, jnp.asarray(responses, jnp.float32), skip))
        spikes += responses[:, :, skip:].sum((0, 1, 2), dtype=np.float64)
    for clip in long:
        spikes += clip.response[:, clip.skip :].sum((0, 1), dtype=np.float64)

    def bits(params: Tree) -> np.ndarray:
        gain = np.zeros(model.spec.cells)
        for stimuli, responses, skip in loaded:
            each = run(params, stimuli, responses, skip)
            gain += np.asarray(each, np.float64).sum(0)
        for clip in long:
            gain += in_stretches(params, clip)
        # A rate that overflowed gives inf - inf; nan is for a silent cell alone, and
        # is left out of the mean that chooses the best parameters.
        gain = np.where(np.isnan(gain), -np.inf, gain)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(spikes > 0, gain / (np.log(2) * spikes), np.nan)

    return bits


def _in_stretches(model: Model, null: jax.Array) -> Callable[[Tree, Clip], np.ndarray]:
    """(params, clip) -> log likelihood above the null, (cell,), the state carried on.

    For a clip that is too long to be given to the model at once.
    """
    stage = model.stage

    @jax.jit
    def stretch(params, state, stimulus, heard, response, scored):
        def one(rate, counts):
            ratio = jnp.log((rate + FLOOR) / null[None])
            gain = counts * ratio - (rate - null[None])
            return jnp.sum(jnp.where(scored[:, None], gain, 0), axis=0)

        if stage.uses_response:
            state, rates = lax.map(
                lambda trial: stage.apply(params, trial[0], (stimulus, trial[1])),
                (state, heard),
            )
            return state, jax.vmap(one)(rates, response).sum(0)
        state, rate = stage.apply(params, state, stimulus)
        return state, jax.vmap(lambda counts: one(rate, counts))(response).sum(0)

    def gained(params: Tree, clip: Clip) -> np.ndarray:
        response = clip.response.astype(np.float32)
        heard = np.pad(response[:, :-1], ((0, 0), (1, 0), (0, 0)))
        scored = np.arange(len(clip.stimulus)) >= clip.skip
        state = stage.start(params)
        if stage.uses_response:  # each trial has a past of its own
            state = jax.tree.map(lambda a: jnp.stack([a] * len(response)), state)
        gain = np.zeros(model.spec.cells)
        for rows, shown in stretches(clip.stimulus):
            said = heard[:, rows], response[:, rows], scored[rows]
            state, each = stretch(params, state, shown, *said)
            gain += np.asarray(each, np.float64)
        return gain

    return gained
