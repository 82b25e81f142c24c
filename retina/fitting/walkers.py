"""What takes a fit's steps: rounds of gradient steps on clips.

It has, as those of `lbfgs_walkers` do, `walk` (what a checkpoint keeps), `every` (steps
of a round), `advance`, `rate`, `judged` and `fixed` (what validation judges: free, and
not trained), `sound`, `settled` and `last` (the loss before), and `retrace`, which goes
through a round again, from `walk` as it found it, up to the step that failed.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from retina.fitting import descent, ends
from retina.fitting.clips import Table, at_hand
from retina.fitting.devices import Devices
from retina.fitting.optimiser import rates
from retina.fitting.streaming import PART, Feed, Movie
from retina.stage import Tree


class Failed(NamedTuple):
    """The step of a round that failed: taken from here, on these rows of the table."""

    step: int
    free: Tree
    fixed: Tree
    first: np.ndarray


class Descent:
    """Rounds of gradient steps, about twice an epoch.

    A round is one dispatch; of a streamed stimulus as many as it has parts.
    """

    settled = False
    last = np.zeros(1)  # no loss to compare with: validation alone ends these fits

    def __init__(
        self, model, table: Table, null_rate, settings, free, fixed, numbers, weights
    ):
        """numbers: of each lane, from which its clips and noise are drawn.
        weights: of `tuning.weights`, (lane,) each."""
        self.table, self.settings, self._fixed = table, settings, fixed
        self.numbers = numbers
        epoch = -(-len(table.first) // settings.batch)
        self.every = round_steps(epoch, settings.max_steps)
        self._part, self._feed = self.every, None
        self._distinct = len(np.unique(table.first[:, 0]))
        if isinstance(table.stimulus, Movie):
            self._part = self._steps_of_a_part(table.stimulus)
            self._feed = Feed(self._at)
        moving = None
        if model.training is not None:
            moving = descent.untrained(model, fixed), jnp.asarray(numbers, jnp.uint32)
        self.devices = here = Devices.dividing(settings.batch)
        self.walk = here.copies(descent.begin(free, moving, settings.optimiser))
        self._given = here.copies((fixed, jax.tree.map(jnp.asarray, weights)))
        self._counts = here.copies(table.counts)
        self._shown = None if self._feed else here.copies(table.stimulus)
        self._round = descent.make_round(
            model,
            table,
            null_rate,
            optimiser=settings.optimiser,
            in_turn=settings.in_turn,
            activity=settings.activity,
            precision=settings.precision,
            devices=here,
        )

    def _steps_of_a_part(self, movie: Movie) -> int:
        """As equal as they can be, so that few rounds end in a shorter one."""
        each = movie.nbytes // movie.shape[0]
        if self._rows(self.every) * each <= PART:
            return self.every
        most = max(PART // (self._rows(1) * each), 1)
        parts = -(-self.every // most)
        return -(-self.every // parts)

    def _rows(self, steps: int) -> int:
        """Of a streamed stimulus that so many steps need, at most: a clip that comes
        again, and the same frames in another trial, are brought once."""
        clips = steps * self.settings.batch * len(set(self.numbers))
        return min(clips, self._distinct) * (self.table.lead + self.table.bins)

    def _order(self, step: int, steps: int) -> np.ndarray:
        batch = self.settings.batch
        drawn = [
            descent.shuffled(self.table, number, step, steps, batch)
            for number in self.numbers
        ]
        return np.stack(drawn)

    def _at(self, step: int, steps: int) -> tuple[jax.Array, Tree]:
        """The order of some steps, and a stimulus that their clips are cut from."""
        order, shown = self._order(step, steps), self._shown
        if self._feed is not None:
            shown, order = at_hand(self.table, order, self._rows(steps))
            shown = self.devices.copies(shown)
        return self.devices.shares(jnp.asarray(order)), shown

    def _parts(self, step: int) -> list[tuple[int, int]]:
        """(step, steps) of each dispatch of the round that begins at a step."""
        end = min(step + self.every, self.settings.max_steps)
        starts = range(step, end, self._part)
        return [(now, min(self._part, end - now)) for now in starts]

    def advance(self, step: int, rate: np.ndarray) -> tuple[np.ndarray, int]:
        """The loss of a round (seed,), and its steps."""
        copies, last = self.devices.copies, self.settings.max_steps
        parts = self._parts(step)
        end = sum(parts[-1])
        ahead = [*parts[1:], *self._parts(end), (end, 0)]
        walk = copies(self.walk)  # a checkpoint's is on one device
        losses = []
        for (now, steps), then in zip(parts, ahead, strict=False):
            feed = self._feed
            order, shown = feed.take(now, steps, then) if feed else self._at(now, steps)
            factors = rates(self.settings.schedule, now, steps, last)
            rate_now = copies(jnp.asarray(rate[:, None] * factors[None]))
            # The last of a round, or of the fit, may be shorter: another program.
            walk, loss = self._round(
                walk, self._given, order, rate_now, shown, self._counts
            )
            losses.append(np.asarray(self.devices.here(loss)))
        self.walk = walk
        return np.concatenate(losses, axis=1).mean(axis=1), end - step

    def retrace(self, before, step: int, rate: np.ndarray, lane: int) -> Failed | None:
        copies, last = self.devices.copies, self.settings.max_steps
        walk = self.devices.here(before)
        for now in range(step, min(step + self.every, last)):
            factor = rates(self.settings.schedule, now, 1, last)
            order, shown = self._at(now, 1)
            after, loss = self._round(
                copies(walk),
                self._given,
                order,
                copies(jnp.asarray(rate[:, None] * factor[None])),
                shown,
                self._counts,
            )
            after, loss = self.devices.here((after, loss))
            moved = ends.finite((after.free, after.moving))[lane]
            if not np.isfinite(np.asarray(loss)[lane, 0]) or not moved:
                fixed = self._fixed if walk.moving is None else walk.moving[0]
                drawn = descent.shuffled(
                    self.table, self.numbers[lane], now, 1, self.settings.batch
                )
                free, fixed = of_seed(walk.free, lane), of_seed(fixed, lane)
                return Failed(now, free, fixed, drawn[0])
            walk = after
        return None

    def rate(self, step: int, rate: np.ndarray) -> float | None:
        """The learning rate at a step, the largest of the seeds'."""
        last = self.settings.max_steps
        return float(rate.max() * rates(self.settings.schedule, step, 1, last)[0])

    @property
    def judged(self) -> Tree:
        return self.devices.here(self.walk.average)

    @property
    def sound(self) -> np.ndarray:
        """(seed,) whether what is fitted is finite; see `ends.finite`."""
        moved = (self.walk.free, self.walk.average, self.walk.moving)
        return ends.finite(self.devices.here(moved))

    @property
    def fixed(self) -> Tree:
        """The params that are not trained, as they are now."""
        if self.walk.moving is None:
            return self._fixed
        return self.devices.here(self.walk.moving[0])


def of_seed(tree: Tree, seed: int) -> Tree:
    """One seed's part of a tree whose leaves have a leading seed axis."""
    return jax.tree.map(lambda a: a[seed], tree)


def round_steps(epoch: int, max_steps: int) -> int:
    """Steps between evaluations: half an epoch, but neither few nor very many.

    >>> round_steps(100, 10_000), round_steps(100, 30)
    (50, 30)
    """
    return max(min(int(np.clip(epoch // 2, 40, 400)), max_steps), 1)
