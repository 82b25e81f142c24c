"""L-BFGS on many problems side by side: own history, step and end, one evaluation.

An evaluation is a step of every problem. One whose trial point is no better tries a
shorter move at the next evaluation, while the others go on: nobody waits for a line
search. Trials are of the whole move first, which is right where the curvature is known
(`whitening`), so that a step costs about one evaluation.

source: Nocedal & Wright 2006, doi 10.1007/978-0-387-40065-5, algorithms 3.1 and 7.4;
        Hager & Zhang 2005, doi 10.1137/030601880 (the test by slopes, where values
        differ by less than their rounding).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from retina.fitting.whitening import Whitening, whitened

MEMORY = 10
DECREASE = 1e-4  # of what the slope promises: the least that a step must gain
LEVEL = 0.8  # of the slope along a move: the most that may rise at its end
ROUNDING = 1e-6  # of a loss, summed in float32
SHORTEST = 1e-5  # of a whole move

Evaluate = Callable[[jax.Array], tuple[jax.Array, jax.Array]]


class Walk(NamedTuple):
    """(problem, ...) each.

    at, value, slope: where it stands, (problem, number), its loss and slope there.
    move, size:       what is tried next: at + size * move.
    steps, bends:     (MEMORY, problem, number) differences of `at` and of `slope`, the
                      latest last; zeros where there is none yet.
    ended:            it moves no more.
    """

    at: jax.Array
    value: jax.Array
    slope: jax.Array
    move: jax.Array
    size: jax.Array
    steps: jax.Array
    bends: jax.Array
    ended: jax.Array


def begin(at: jax.Array) -> Walk:
    """Before the first evaluation, which is of the start itself."""
    problems = len(at)
    none = jnp.zeros((MEMORY, *at.shape), at.dtype)
    return Walk(
        at=at,
        value=jnp.full(problems, jnp.inf, at.dtype),
        slope=jnp.zeros_like(at),
        move=jnp.zeros_like(at),
        size=jnp.ones(problems, at.dtype),
        steps=none,
        bends=none,
        ended=jnp.zeros(problems, bool),
    )


def advance(
    walk: Walk,
    evaluate: Evaluate,
    white: Whitening,
    evaluations: jax.Array | int,
    settle: jax.Array | float,
    scale: jax.Array,
) -> Walk:
    """Some evaluations; then those end that gained less than a share of their loss.

    evaluate:    (problem, number) -> (problem,) losses and (problem, number) slopes.
    evaluations: may be traced, so that all lengths are one program.
    settle:      the share.
    scale:       (problem,) the loss below which `settle` is a share of this.
    """
    before = walk.value

    def one(_, carry):
        walk, taken = carry
        walk, accepted = _step(walk, evaluate, white)
        return walk, taken | accepted

    none = jnp.zeros_like(walk.ended)
    walk, taken = lax.fori_loop(0, evaluations, one, (walk, none))
    gain = (before - walk.value) / jnp.maximum(jnp.abs(walk.value), scale)
    # One that took no step is in the middle of shortening its move.
    return walk._replace(ended=walk.ended | (taken & (gain < settle)))


def _step(walk: Walk, evaluate: Evaluate, white: Whitening) -> tuple[Walk, jax.Array]:
    trial = walk.at + walk.size[:, None] * walk.move
    value, slope = evaluate(trial)
    along, then = _dot(walk.slope, walk.move), _dot(slope, walk.move)
    lower = value <= walk.value + DECREASE * walk.size * along
    near = value <= walk.value + ROUNDING * jnp.abs(walk.value)
    level = jnp.abs(then) <= -LEVEL * along
    sound = jnp.isfinite(value) & jnp.all(jnp.isfinite(slope), axis=1)
    good = sound & (lower | (near & level)) & ~walk.ended

    step, bend = trial - walk.at, slope - walk.slope
    # A pair that does not bend upwards would spoil the inverse curvature.
    upward = _dot(step, bend) > 1e-6 * jnp.sqrt(_dot(step, step) * _dot(bend, bend))
    kept = (good & upward)[None, :, None]
    steps = jnp.where(kept, jnp.concatenate([walk.steps[1:], step[None]]), walk.steps)
    bends = jnp.where(kept, jnp.concatenate([walk.bends[1:], bend[None]]), walk.bends)

    # The least of the parabola through what is known of the failed move.
    rise = value - walk.value - walk.size * along
    least = -along * jnp.square(walk.size) / (2 * rise)
    shorter = jnp.clip(least, 0.1 * walk.size, 0.5 * walk.size)
    shorter = jnp.where(jnp.isfinite(value) & (rise > 0), shorter, 0.1 * walk.size)
    # A direction that leads nowhere was the history's fault; without one, it is the
    # end of what float32 can tell.
    lost = ~good & (shorter < SHORTEST) & ~walk.ended
    bare = ~jnp.any(steps, axis=(0, 2))
    steps = jnp.where(lost[None, :, None], 0, steps)
    bends = jnp.where(lost[None, :, None], 0, bends)

    at = jnp.where(good[:, None], trial, walk.at)
    now = jnp.where(good[:, None], slope, walk.slope)
    anew = good | lost
    move = jnp.where(anew[:, None], -downhill(now, steps, bends, white), walk.move)
    after = Walk(
        at=at,
        value=jnp.where(good, value, walk.value),
        slope=now,
        move=move,
        size=jnp.where(anew, 1, shorter),
        steps=steps,
        bends=bends,
        ended=walk.ended | (lost & bare & jnp.isfinite(walk.value)),
    )
    return after, good


def downhill(
    slope: jax.Array, steps: jax.Array, bends: jax.Array, white: Whitening
) -> jax.Array:
    """Inverse curvature times slope, by the two loops over the history.

    The curvature before any history is the whitening's, rescaled by the latest pair.
    """
    bent = jnp.sum(steps * bends, axis=-1)
    share = jnp.where(bent > 0, 1 / jnp.where(bent > 0, bent, 1), 0)

    def back(left, pair):
        step, bend, inverse = pair
        weight = inverse * _dot(step, left)
        return left - weight[:, None] * bend, weight

    left, weights = lax.scan(back, slope, (steps, bends, share), reverse=True)
    curved = _dot(bends[-1], whitened(white, bends[-1]))
    factor = jnp.where(bent[-1] > 0, bent[-1] / jnp.where(curved > 0, curved, 1), 1)
    found = factor[:, None] * whitened(white, left)

    def forth(found, pair):
        step, bend, inverse, weight = pair
        change = weight - inverse * _dot(bend, found)
        return found + change[:, None] * step, None

    found, _ = lax.scan(forth, found, (steps, bends, share, weights))
    return found


def _dot(one: jax.Array, other: jax.Array) -> jax.Array:
    return jnp.sum(one * other, axis=-1)


def scale_of(null_rate: np.ndarray) -> np.ndarray:
    """(cell,) a thousandth of a nat per spike of the cell, in units of the loss."""
    return (1e-3 * null_rate / null_rate.mean()).astype(np.float32)
