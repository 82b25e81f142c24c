"""The verb `simulate`: spike counts sampled from a model."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.special import ndtri

from retina.errors import BadSetting
from retina.exact import in_float32
from retina.stage import Model, Tree
from retina.types import GRADED, Clip, Split

LOST = 1e-8  # a probability that a float32 sum near 1 no longer feels
# Expected counts per bin: a runaway of a history filter stops here, and counts of a
# louder rate are normal.
LOUDEST = 50.0
COUNTS, RATE = 0, 1  # of what `sampled` returns


@in_float32
def simulate(
    model: Model, params: Tree, stimulus, *, key: jax.Array, trials: int = 1
) -> np.ndarray:
    """Poisson counts given the stimulus; a model with history hears its own counts.

    stimulus: (time, *frame).
    key:      jax.random.key.
    trials:   independent repeats, from the same cold start.
    returns:  (trial, time, cell) float32, counts per bin.
    raises:   BadSetting for a model of graded responses: there are no counts to draw.

    >>> import jax
    >>> from retina.build import model
    >>> from retina.types import Spec
    >>> mean = model("mean", Spec((), 2, 0.01))
    >>> params = mean.stage.init(jax.random.key(0))
    >>> simulate(mean, params, np.zeros(5), key=jax.random.key(1), trials=3).shape
    (3, 5, 2)
    """
    check_counts(model)
    return np.asarray(sampled(model, params, jnp.asarray(stimulus), key, trials)[0])


@in_float32
def simulated_split(
    model: Model, params: Tree, split: Split, *, key: jax.Array
) -> Split:
    """A split with sampled counts in the place of those recorded, clip by clip.

    split:   whose stimuli are shown, with as many trials; of the model's frame and
             cells.
    key:     jax.random.key; clip n, in the order train, validation, test, is that of
             `simulate` with `jax.random.fold_in(key, n)`.
    returns: Split.
    """
    check_counts(model)
    run = _alone(_sampler(*_decides(model)), COUNTS)
    number = itertools.count()

    def spoken(clip: Clip) -> Clip:
        own = jax.random.fold_in(key, next(number))
        counts = run(params, jnp.asarray(clip.stimulus), own, len(clip.response))
        return dataclasses.replace(clip, response=np.asarray(counts))

    return dataclasses.replace(
        split,
        train=tuple(map(spoken, split.train)),
        validation=tuple(map(spoken, split.validation)),
        test=tuple(map(spoken, split.test)),
    )


def with_quanta(model: Model) -> Model:
    """The same model with synapses that release whole vesicles, drawn at random.

    raises: BadSetting for a model whose synapses have no such form.

    >>> from retina.build import model
    >>> from retina.types import Spec
    >>> ribbon = model("ribbon_ln", Spec((), 2, 0.01), rung="ribbon_quanta")
    >>> with_quanta(ribbon).stage.about != ribbon.stage.about
    True
    """
    if model.drawn is None:
        word = dict(model.settings).get("rung", dict(model.settings).get("release"))
        what = f"{model.name} with {word}" if word else model.name
        raise BadSetting(
            f"quanta: no synapse of {what} draws vesicles; fit ribbon_ln or "
            "subunit_ribbon with rung=ribbon_quanta, or circuit with "
            "release=ribbon_quanta"
        )
    return model._replace(stage=model.drawn())


def check_counts(model: Model) -> None:
    """raises: BadSetting for a model of graded responses."""
    if model.spec.event == GRADED:
        raise BadSetting(
            f"{model.spec.dataset or 'the recording'} has graded responses: nothing is "
            f"known of how they scatter, so none can be drawn from {model.name!r}. Use "
            "its rate"
        )


def free_running(
    model: Model,
    params: Tree,
    stimuli: np.ndarray | Sequence[np.ndarray],
    *,
    key: jax.Array,
    runs: int,
) -> np.ndarray:
    """Expected counts given the stimulus alone: the mean over `runs` sampled histories.

    stimuli: (clip, time, *frame), clips of one shape.
    returns: (clip, time, cell) float64; its price is `runs` times that of one run.
    raises:  BadSetting for a model of graded responses.
    """
    check_counts(model)
    run = _alone(_sampler(*_decides(model)), RATE)
    keys = jax.random.split(key, len(stimuli))
    return np.stack(
        [
            np.asarray(run(params, jnp.asarray(stimulus), k, runs), np.float64)
            for stimulus, k in zip(stimuli, keys, strict=True)
        ]
    )


def sampled(model: Model, params: Tree, stimulus, key: jax.Array, trials: int):
    """(trial, time, cell) counts and their mean rate (time, cell)."""
    keys = jax.random.split(key, trials)
    return _sampler(*_decides(model))(params, stimulus, keys)


def _decides(model: Model) -> tuple[Any, ...]:
    """What of a model decides the program that samples from it."""
    stage = model.stage
    return stage.start, stage.step, stage.uses_response, model.spec.cells


# Kept, so that the clips, seeds and test groups of a fit are compiled for once.
@functools.lru_cache(maxsize=8)
def _sampler(
    start: Callable[..., Any], step: Callable[..., Any], listens: bool, cells: int
) -> Callable[..., Any]:
    """(params, stimulus, a key for each trial) -> what `sampled` returns."""

    def one_trial(params, stimulus, key):
        key, begin = jax.random.split(key)
        shape = (stimulus.shape[0], cells)
        chances = jax.random.uniform(key, shape, jnp.float32)

        def one_bin(carry, now):
            state, heard = carry
            x_t, chance = now
            signal = (x_t, heard) if listens else x_t
            state, rate = step(params, state, signal)
            quiet = jnp.clip(rate, 0, LOUDEST)
            counts = poisson_at(chance, quiet)
            if listens:
                return (state, counts), (counts, quiet)
            loud = jnp.round(rate + jnp.sqrt(rate) * ndtri(chance))
            counts = jnp.where(rate > LOUDEST, jnp.maximum(loud, 0), counts)
            return (state, counts), (counts, rate)

        silent = jnp.zeros(cells, jnp.float32)
        before = (start(params, begin), silent)
        return lax.scan(one_bin, before, (stimulus, chances))[1]

    @jax.jit
    def run(params, stimulus, keys):
        counts, rates = jax.vmap(one_trial, (None, None, 0))(params, stimulus, keys)
        return counts, rates.mean(0)

    return run


@functools.lru_cache(maxsize=16)
def _alone(sampler: Callable[..., Any], which: int) -> Callable[..., Any]:
    """(params, stimulus, key, trials) -> one of the two; the other is not kept."""

    def run(params, stimulus, key, trials):
        return sampler(params, stimulus, jax.random.split(key, trials))[which]

    return jax.jit(run, static_argnums=3)


def poisson_at(chance: jax.Array, rate: jax.Array) -> jax.Array:
    """The Poisson count that a uniform number stands for: the inverse of its CDF.

    chance:  in [0, 1). rate: the expected count, at most LOUDEST.
    returns: float32 counts. Few bins hold more than a handful, so a few additions do
             what a general sampler does in hundreds of operations.

    >>> poisson_at(jnp.array([0.1, 0.9, 0.999]), jnp.ones(3)).tolist()
    [0.0, 2.0, 5.0]
    """

    def higher(state):
        count, chance_of_it, below, _ = state
        # Rounded, the sum may end short of 1 and of `chance`: past the mean, the first
        # probability that no longer adds to it is where the counts end.
        return (below <= chance) & ((count < rate) | (chance_of_it > LOST))

    def next_count(state):
        count, chance_of_it, below, total = state
        total = total + higher(state).astype(jnp.float32)
        count = count + 1
        chance_of_it = chance_of_it * rate / count
        return count, chance_of_it, below + chance_of_it, total

    rate = jnp.broadcast_to(rate, chance.shape)
    none = jnp.exp(-rate)
    start = (jnp.float32(0), none, none, jnp.zeros_like(rate))
    return lax.while_loop(lambda s: jnp.any(higher(s)), next_count, start)[3]
