"""Gradient steps on random clips: many in one dispatch, seeds side by side."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from retina.fitting.clips import Table, clip_rates, cut
from retina.fitting.devices import ONE, Devices
from retina.fitting.loss import poisson
from retina.fitting.optimiser import direction
from retina.fitting.precision import in_bfloat16
from retina.parameter import to_bounded
from retina.stage import Model, Tree

Objective = Callable[..., tuple[jax.Array, Any]]
AVERAGE = 0.99  # per step; the average of recent steps is what validation judges


class Walk(NamedTuple):
    """What one optimiser step hands to the next; every leaf has a leading seed axis.

    moving: (params that are not trained, number of the seed) of a model with a training
            pass, which moves the first and draws from the second; else None.
    """

    free: Tree
    average: Tree
    moments: Any
    steps: jax.Array
    moving: tuple[Tree, jax.Array] | None = None


def begin(
    free: Tree,
    moving: tuple[Tree, jax.Array] | None = None,
    optimiser: str = "adam",
) -> Walk:
    """A walk at its start, one per seed: `free` has a leading seed axis."""
    seeds = jax.tree.leaves(free)[0].shape[0]
    steps = jnp.zeros(seeds, jnp.int32)
    moments = jax.vmap(direction(optimiser).init)(free)
    return Walk(free, free, moments, steps, moving)


def make_round(
    model: Model,
    table: Table,
    null_rate: np.ndarray,
    *,
    optimiser: str = "adam",
    in_turn: bool = False,
    activity: float = 0.0,
    precision: str = "float32",
    devices: Devices = ONE,
):
    """A function that takes many steps in one dispatch.

    optimiser: a name that `direction` knows.
    in_turn, activity, precision: as in `Recipe`.
    returns: (walk, given, order, rate, stimulus, counts) -> (walk, loss (seed, step)),
             where order is (seed, step, clip in batch, 2) rows of the table, rate is
             (seed, step), and given holds the params that are not trained (a model
             with a training pass has them in the walk) and the weights of `objective`.
    """
    function = objective(model, table, null_rate, in_turn, activity)
    share = model.training is None
    return rounds(function, optimiser, precision, devices, share)


def objective(
    model: Model,
    table: Table,
    null_rate: np.ndarray,
    in_turn: bool = False,
    activity: float = 0.0,
) -> Objective:
    """The loss of a batch of clips: (free, rest, first, stimulus, counts, step).

    rest:    the params that are not trained, or for a model with a training pass the
             walk's `moving`; and keywords of the penalty, and "activity" where it is
             one of its own.
    returns: a function whose value is (loss, `moving` after it or None).
    """
    null = jnp.asarray(null_rate, jnp.float32)
    in_turn = in_turn and jax.default_backend() == "cpu"

    def loss(free, rest, first, stimulus, counts, step):
        fixed, (price, weights) = rest[0], priced(rest[1])
        params = to_bounded(model.stage.parameters, free, fixed)

        def over(first):
            rate, target = clip_rates(
                model, params, stimulus, counts, first, table.lead, table.bins
            )
            each = jax.vmap(lambda r, y: poisson(r, y, null, price))
            return jnp.mean(each(rate, target))

        if in_turn:
            value = jnp.mean(lax.map(lambda one: over(one[None]), first))
        else:
            value = over(first)
        return penalised(value, params, weights), None

    def training_loss(free, rest, first, stimulus, counts, step):
        assert model.training is not None
        (fixed, number), (price, weights) = rest[0], priced(rest[1])
        params = to_bounded(model.stage.parameters, free, fixed)
        key = jax.random.fold_in(jax.random.key(number), step)
        signal, target = jax.vmap(
            lambda where: cut(model, stimulus, counts, where, table.lead, table.bins)
        )(first)
        rate, after = model.training(params, signal, key)
        value = poisson(rate[:, -table.bins :], target, null, price)
        return penalised(value, params, weights), (untrained(model, after), number)

    def priced(weights):
        """What activity costs, and the keywords of the penalty."""
        others = {name: one for name, one in weights.items() if name != "activity"}
        return weights.get("activity", activity), others

    def penalised(value, params, weights):
        if model.penalty is None:
            return value
        return value + model.penalty(params, **weights)

    return loss if model.training is None else training_loss


def rounds(
    function: Objective,
    optimiser: str,
    precision: str = "float32",
    devices: Devices = ONE,
    share: bool = True,
):
    """What `make_round` returns, for any objective and whatever tables it takes.

    share: the objective is a mean over clips, so each device may take its own.
    """
    towards = direction(optimiser)
    descend = jax.value_and_grad(function, has_aux=True)
    if precision == "bfloat16":
        descend = in_bfloat16(descend)
    if share:
        descend = devices.mean_over_clips(descend)

    def one_seed(walk: Walk, given, order, rate, stimulus, counts):
        fixed, weights = given

        def step(walk: Walk, now):
            first, rate = now
            rest = (fixed if walk.moving is None else walk.moving, weights)
            (value, moving), slope = descend(
                walk.free, rest, first, stimulus, counts, walk.steps
            )
            with jax.numpy_dtype_promotion("standard"):  # optax mixes dtypes
                move, moments = towards.update(slope, walk.moments, walk.free)
            free = jax.tree.map(lambda p, m: p + rate * m, walk.free, move)
            # Short averages at first, so that the start is soon forgotten.
            count = walk.steps.astype(jnp.float32)
            keep = jnp.minimum(AVERAGE, (1 + count) / (10 + count))
            average = jax.tree.map(
                lambda a, p: keep * a + (1 - keep) * p, walk.average, free
            )
            return Walk(free, average, moments, walk.steps + 1, moving), value

        return lax.scan(step, walk, (order, rate))

    def round_(walk, given, order, rate, stimulus, counts):
        seeds = order.shape[0]
        if seeds == 1:  # no batch axis: the fast paths of single products stay open
            walk, given, order, rate = jax.tree.map(
                lambda a: a[0], (walk, given, order, rate)
            )
            walk, value = one_seed(walk, given, order, rate, stimulus, counts)
            return jax.tree.map(lambda a: a[None], (walk, value))
        over = (0, 0, 0, 0, None, None)
        return jax.vmap(one_seed, over)(walk, given, order, rate, stimulus, counts)

    # The walk is not donated: where a round fails, what it began with is looked into.
    return devices.compiled(round_)


def untrained(model: Model, params: Tree) -> Tree:
    """Params with None for every leaf that is trained."""
    return jax.tree.map(
        lambda p, v: None if p.trainable else v, model.stage.parameters, params
    )


def shuffled(table: Table, seed: int, step: int, steps: int, batch: int) -> np.ndarray:
    """(steps, batch, 2) rows: epochs in random order, a function of (seed, step) alone.

    So a fit that is resumed at any step sees the clips it would have seen.
    """
    clips = len(table.first)
    wanted = np.arange(step * batch, (step + steps) * batch)
    rows = np.empty(len(wanted), np.int64)
    for epoch in np.unique(wanted // clips):
        here = wanted // clips == epoch
        order = np.random.default_rng([seed, epoch]).permutation(clips)
        rows[here] = order[wanted[here] % clips]
    return table.first[rows].reshape(steps, batch, 2)
