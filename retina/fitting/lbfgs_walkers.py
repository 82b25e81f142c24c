"""What takes a fit's steps by L-BFGS, on all data at once: see `walkers`.

It is one solve per cell, side by side, where cells share no parameter.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from retina.fitting import cells, ends, lbfgs, quasi_newton, whitening
from retina.fitting.clips import Table
from retina.fitting.walkers import Failed, of_seed
from retina.stage import Tree

# The curvature is taken at the start, and from this step on once more, where the cells
# then stand: a start is far from the end, and what looks flat there need not stay so.
AGAIN = 8
DAMPING = 0.1


class Lbfgs:
    """Rounds of L-BFGS steps, one seed after another (their starts rarely differ)."""

    def __init__(self, model, table: Table, null_rate, settings, free, fixed):
        self.table, self.fixed, self.every = table, fixed, 10
        self.settle, self.max_steps = settings.settle, settings.max_steps
        begin, self._round = lbfgs.make_round(
            model, table, null_rate, settings.activity
        )
        seeds = jax.tree.leaves(fixed)[0].shape[0]
        starts = [of_seed(free, s) for s in range(seeds)]
        self.walk = [(start, begin(start)) for start in starts]
        self.last = np.full(seeds, np.inf)
        self.settled = False

    def advance(self, step: int, rate: np.ndarray) -> tuple[np.ndarray, int]:
        losses, steps = [], min(self.every, self.max_steps - step)
        for seed, (free, state) in enumerate(self.walk):
            *walk, loss = self._round(
                free,
                state,
                of_seed(self.fixed, seed),
                self.table.stimulus,
                self.table.counts,
                steps,
            )
            self.walk[seed] = tuple(walk)
            losses.append(float(loss))
        gain = (self.last - np.array(losses)) / np.maximum(np.abs(losses), 1e-3)
        # A seed that is lost gains nothing, and holds up no other.
        self.settled = bool(np.all((gain < self.settle) | ~np.isfinite(losses)))
        self.last = np.array(losses)
        return self.last, steps

    def rate(self, step: int, rate: np.ndarray) -> float | None:
        return None  # a line search finds each step's length

    def retrace(self, before, step: int, rate: np.ndarray, lane: int) -> Failed:
        """Each step takes all data; which of the round's failed is not asked."""
        fixed = of_seed(self.fixed, lane)
        return Failed(step, before[lane][0], fixed, self.table.first)

    @property
    def judged(self) -> Tree:
        frees = [free for free, _ in self.walk]
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *frees)

    @property
    def sound(self) -> np.ndarray:
        return ends.finite(self.judged)


class CellByCell:
    """Rounds of L-BFGS steps of each cell on its own, one seed after another.

    `walk` has, for each seed, where its cells stand, and where they stood when the
    curvature was last taken, and at which step: it is taken again there on resuming.
    """

    last = np.zeros(1)  # each cell's loss before is in `walk`

    def __init__(self, model, table: Table, null_rate, settings, free, fixed):
        self.table, self.fixed, self.every = table, fixed, 4
        self.max_steps = settings.max_steps
        seeds = jax.tree.leaves(fixed)[0].shape[0]
        like = of_seed(free, 0)
        given = (model, table, null_rate, settings.activity, like)
        each = cells.each_slope(*given)
        scale = jnp.asarray(quasi_newton.scale_of(null_rate))
        self._tree = cells.tree_of(model, like)
        self._whiten = whitening.make_whitening(*given)

        @jax.jit
        def round_(walk, white, evaluations, fixed, stimulus, counts):
            def evaluate(x):
                return each(x, fixed, stimulus, counts)

            return quasi_newton.advance(
                walk, evaluate, white, evaluations, settings.settle, scale
            )

        self._round = round_
        self._white: list = [None] * seeds
        self.walk = []
        for seed in range(seeds):
            start = cells.rows(model, of_seed(free, seed))
            self.walk.append((quasi_newton.begin(start), (start, 0)))
            self._take(seed, 1)  # the evaluation of the start
        self.settled = False

    def _take(self, seed: int, evaluations: int) -> None:
        walk, white_at = self.walk[seed]
        data = (of_seed(self.fixed, seed), self.table.stimulus, self.table.counts)
        made = self._white[seed]
        if made is None or made[0] is not white_at:
            white = self._whiten(white_at[0], jnp.float32(DAMPING), *data)
            made = self._white[seed] = white_at, white
        walk = self._round(walk, made[1], jnp.int32(evaluations), *data)
        self.walk[seed] = walk, white_at

    def advance(self, step: int, rate: np.ndarray) -> tuple[np.ndarray, int]:
        steps = min(self.every, self.max_steps - step)
        for seed, (walk, (_, taken)) in enumerate(self.walk):
            if taken < AGAIN <= step:
                self.walk[seed] = walk, (walk.at, step)
            self._take(seed, steps)
        self.settled = all(bool(np.all(walk.ended)) for walk, _ in self.walk)
        values = [np.asarray(walk.value, np.float64) for walk, _ in self.walk]
        return np.mean(values, axis=1), steps

    def rate(self, step: int, rate: np.ndarray) -> float | None:
        return None  # each step is a whole one, or a part that its cell finds

    def retrace(self, before, step: int, rate: np.ndarray, lane: int) -> Failed:
        fixed = of_seed(self.fixed, lane)
        return Failed(step, self._tree(before[lane][0].at), fixed, self.table.first)

    @property
    def judged(self) -> Tree:
        frees = [self._tree(walk.at) for walk, _ in self.walk]
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *frees)

    @property
    def sound(self) -> np.ndarray:
        return ends.finite(self.judged)


def quasi_newton_walker(model, *given) -> Lbfgs | CellByCell:
    """One solve per cell where the model says that its cells share no parameter."""
    return (CellByCell if model.independent else Lbfgs)(model, *given)
