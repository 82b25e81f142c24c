"""When to lower the learning rate, when to stop, and which parameters were best."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np

from retina.stage import Tree

GAIN = 3e-3  # bits per spike; less than this is not an improvement
CUT = 0.25
CUTS = 2
EXPLODED = CUTS + 2


@dataclasses.dataclass
class Plateau:
    """One entry per seed. `best` holds copies of the best parameters, on the host.

    bits:  best validation score so far, mean over cells; median: of the same, over
           cells.
    step:  where it was reached.
    rate:  the present learning rate.
    stale: evaluations since the last real improvement.
    cuts:  times the rate was lowered; more than CUTS ends the seed's fit, and
           EXPLODED says that its loss ended it.
    ended: the step at which it ended; 0 where it goes on.
    """

    rate: np.ndarray
    bits: np.ndarray
    median: np.ndarray
    step: np.ndarray
    stale: np.ndarray
    cuts: np.ndarray
    ended: np.ndarray
    mark: np.ndarray
    best: Tree

    @classmethod
    def begin(cls, seeds: int, rate: float | np.ndarray, params: Tree) -> Plateau:
        return cls(
            rate=np.full(seeds, rate, np.float32),
            bits=np.full(seeds, -np.inf),
            median=np.full(seeds, -np.inf),
            step=np.zeros(seeds, np.int64),
            stale=np.zeros(seeds, np.int64),
            cuts=np.zeros(seeds, np.int64),
            ended=np.zeros(seeds, np.int64),
            mark=np.full(seeds, -np.inf),
            best=jax.tree.map(lambda a: np.array(a), params),
        )

    @property
    def done(self) -> np.ndarray:
        return self.cuts > CUTS

    def judge(
        self,
        step: int,
        bits: np.ndarray,
        params: Tree,
        patience: int,
        medians: np.ndarray | None = None,
    ) -> None:
        """Take one evaluation into account.

        bits:   (seed,) mean over cells of validation bits per spike.
        params: what was evaluated, leaves with a leading seed axis.
        medians: as bits, over cells; it decides nothing.
        """
        for seed in np.flatnonzero(~self.done):
            if bits[seed] > self.bits[seed]:
                self.bits[seed], self.step[seed] = bits[seed], step
                if medians is not None:
                    self.median[seed] = medians[seed]
                for kept, new in zip(
                    jax.tree.leaves(self.best), jax.tree.leaves(params), strict=True
                ):
                    kept[seed] = np.asarray(new[seed])
            if bits[seed] > self.mark[seed] + GAIN:
                self.mark[seed], self.stale[seed] = bits[seed], 0
                continue
            self.stale[seed] += 1
            if self.stale[seed] >= patience:
                self.rate[seed] *= CUT
                self.cuts[seed] += 1
                self.stale[seed] = 0
                if self.cuts[seed] > CUTS:
                    self.ended[seed] = step

    def drop(self, lost: np.ndarray, step: int) -> None:
        """End the fits of some seeds, whose loss is no longer finite: (seed,) bool."""
        lost = lost & ~self.done
        self.cuts[lost], self.ended[lost] = EXPLODED, step

    def tree(self) -> dict:
        """All of it as arrays, for a checkpoint."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
