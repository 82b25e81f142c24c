"""The rounds of a fit: each is judged on validation, told and kept, until the end."""

from __future__ import annotations

import copy
import dataclasses
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import jax
import numpy as np

from retina.fitting import ends, tuning
from retina.fitting.blame import Blame
from retina.fitting.checkpoints import Checkpoints
from retina.fitting.compiling import so_far
from retina.fitting.optimiser import FALLING
from retina.fitting.plateau import CUTS, EXPLODED, Plateau
from retina.parameter import to_bounded
from retina.recipe import Recipe
from retina.stage import Model, Tree

Progress = Callable[[Mapping[str, Any]], None]
EVALUATIONS = 2000  # at most; the curve has a fixed shape so that it can be resumed


class Walker(Protocol):
    """What takes a fit's steps; see `walkers`."""

    walk: Any
    last: np.ndarray
    every: int
    settled: bool

    @property
    def judged(self) -> Tree: ...
    @property
    def fixed(self) -> Tree: ...
    @property
    def sound(self) -> np.ndarray: ...
    def advance(self, step: int, rate: np.ndarray) -> tuple[np.ndarray, int]: ...
    def rate(self, step: int, rate: np.ndarray) -> float | None: ...


class Loop:
    """A fit under way; after `run`, how it went.

    A lane is a recipe and a seed. What is told is of the recipe that leads, the one
    that would be kept; the fit ends when the lanes of all of them have.

    walker:     takes the steps.
    parameters: tree of Parameter, parallel to what the walker fits.
    score:      params, leaves with a leading lane axis -> bits per spike on validation,
                their mean over cells, which decides, and their median: (lane,) each.
    begun:      time.perf_counter() when the fit began.
    rates:      the first learning rate of each lane; by default that of the settings.
    recipes:    how many the lanes are of, the seeds of a recipe together.
    blame:      (walk before a round, its first step, rates, lane) -> what of it was not
                finite, or None where that is not found: see `retina.fitting.blame`.
    """

    def __init__(
        self,
        walker: Walker,
        parameters: Tree,
        score: Callable[[Tree], tuple[np.ndarray, np.ndarray]],
        settings: Recipe,
        begun: float,
        *,
        rates: float | np.ndarray | None = None,
        recipes: int = 1,
        blame: Callable[[Any, int, np.ndarray, int], Blame | None] | None = None,
    ):
        self.walker, self.score, self.settings = walker, score, settings
        self.recipes, self._blame = recipes, blame
        self._lost: dict[int, tuple[Any, int, np.ndarray]] = {}
        self.blamed: Blame | None = None
        self._bound = jax.jit(jax.vmap(lambda u: to_bounded(parameters, u[0], u[1])))
        params = self._bound((walker.judged, walker.fixed))
        self._count = jax.tree.leaves(params)[0].shape[0]
        rates = settings.learning_rate if rates is None else rates
        self.plateau = Plateau.begin(self._count, rates, params)
        # Step, seconds, the loss of each lane and the validation of each.
        self._curve = np.full((EVALUATIONS, 2 + 2 * self._count), np.nan)
        self.step = self._row = 0
        self.stopped = ""  # what cut the fit off, in words
        self._begun, self._earlier = begun, 0.0
        self._lap = _working()

    def run(
        self,
        model: Model,
        asked: dict[str, Any],
        progress: Progress | None,
        checkpoint: str | Path | None,
        until: int | None = None,
    ) -> None:
        """Go on to the end, from the checkpoint if there is one.

        asked:  the `identity` of the fit.
        until:  the step from which on to stop for now, see `retina.fit`.
        raises: as `Checkpoints` does; Diverged.
        """
        with Checkpoints(checkpoint, asked) as checkpoints:
            saved = checkpoints.load(self._state())
            if saved is not None:
                self._resume(saved)

            def evaluate(losses: np.ndarray) -> None:
                told = self._evaluate(losses)
                if progress is not None:
                    progress(told)
                checkpoints.keep(self.step, self._state())

            self._lap = _working()
            if self._row == 0:
                evaluate(np.full(self._count, np.nan))
            while not self._over() and (until is None or self.step < until):
                # Walkers put new walks and new entries in place of old ones.
                begun = copy.copy(self.walker.walk), self.step, self.plateau.rate.copy()
                losses, taken = self.walker.advance(self.step, self.plateau.rate)
                sound, going = np.isfinite(losses), ~self.plateau.done
                # What the last step of a round spoils, only the next one's loss tells.
                for lane in np.flatnonzero(~(sound & self.walker.sound) & going):
                    self._lost.setdefault(int(lane), begun)
                end = self.step + taken
                if not np.any(sound & going):
                    # Else what is kept had ended before, as it should.
                    if np.any(going[self.lanes]):
                        self.stopped = self._exploded(model, losses, self.step, end)
                    self.plateau.cuts[~sound & going] = EXPLODED
                    break
                self.plateau.drop(~sound, end)
                self.step = end
                evaluate(losses)
        lanes = self.lanes
        if not self.stopped and np.all(self.plateau.cuts[lanes] == EXPLODED):
            # Lanes of other recipes went on.
            row = self._rows - 1
            steps = self._curve[row - 1 : row + 1, 0].astype(int)
            self.stopped = self._exploded(model, self._losses[row], *steps)

    @property
    def lanes(self) -> slice:
        """Those of the recipe that leads, or is kept."""
        return tuning.leading(self.plateau.bits, self.recipes)

    @property
    def steps(self) -> int:
        """How many the recipe that leads has taken."""
        ended = self.plateau.ended[self.lanes]
        return int(ended.max()) if ended.all() else self.step

    @property
    def curve(self) -> tuple[dict[str, Any], ...]:
        """One entry per evaluation, as `Fit` has it."""
        lanes = self.lanes
        lines = self._curve, self._losses[:, lanes], self._validation[:, lanes]
        return tuple(
            {
                "step": int(line[0]),
                "seconds": float(line[1]),
                "train_loss": _largest(losses),
                "validation_bits": float(bits.max()),
            }
            for line, losses, bits in zip(
                *(a[: self._rows] for a in lines), strict=True
            )
        )

    @property
    def _losses(self) -> np.ndarray:
        return self._curve[:, 2 : 2 + self._count]

    @property
    def _validation(self) -> np.ndarray:
        return self._curve[:, 2 + self._count :]

    @property
    def _rows(self) -> int:
        """Evaluations until the recipe that leads had ended."""
        return int(np.sum(self._curve[: self._row, 0] <= self.steps))

    def _exploded(self, model: Model, losses: np.ndarray, step: int, end: int) -> str:
        lanes, by_clips = self.lanes, self.settings.optimiser != "lbfgs"
        lost = losses[lanes][~np.isfinite(losses[lanes])]
        known = [n for n in range(lanes.start, lanes.stop) if n in self._lost]
        if self._blame is not None and known:
            last = max(known, key=lambda lane: self._lost[lane][1])
            self.blamed = self._blame(*self._lost[last], last)
        return ends.exploded(
            model,
            float(lost[0]),
            between=(step, end),
            plateau=self.plateau,
            lanes=lanes,
            by_clips=by_clips,
            blamed=self.blamed,
        )

    def training(self, best: int) -> dict[str, Any]:
        """The recipe and how it ended, as `Fit` has it; best: the lane that is kept."""
        at_last = self.steps >= self.settings.max_steps
        return {
            **dataclasses.asdict(self.settings),
            "steps": self.steps,
            "best_step": int(self.plateau.step[best]),
            "converged": not self.stopped
            and bool(
                self.plateau.done[self.lanes].all()
                or self.walker.settled
                or not self.step
                or (at_last and self.settings.schedule in FALLING)
            ),
            "stopped": self.stopped,
            "diverged": dataclasses.asdict(self.blamed) if self.blamed else {},
            "fit_s": float(self._curve[self._row - 1, 1]),
            "backend": jax.default_backend(),
        }

    def _over(self) -> bool:
        return bool(
            self.step >= self.settings.max_steps
            or self._row >= EVALUATIONS
            or self.plateau.done.all()
            or self.walker.settled
        )

    def _evaluate(self, losses: np.ndarray) -> dict[str, Any]:
        """Judge what the walker has now, and say how the fit goes."""
        walker, plateau, settings = self.walker, self.plateau, self.settings
        now = self._bound((walker.judged, walker.fixed))
        means, medians = self.score(now)
        bits = np.where(walker.sound, means, -np.inf)
        # On any other schedule validation chooses the parameters, not the rate or the
        # end.
        by_plateau = settings.schedule == "plateau"
        patience = settings.patience if by_plateau else EVALUATIONS
        plateau.judge(self.step, bits, now, patience, medians)
        seconds = self._earlier + time.perf_counter() - self._begun
        self._curve[self._row] = [self.step, seconds, *losses, *bits]
        self._row += 1
        pace = None
        if self.step:
            pace = walker.every / max(_working() - self._lap, 1e-9)
        self._lap = _working()
        lanes = self.lanes
        best = lanes.start + int(np.argmax(plateau.bits[lanes]))
        return {
            "step": self.step,
            "max_steps": settings.max_steps,
            "train_loss": _largest(losses[lanes]),
            "validation_bits": float(plateau.bits[best]),
            "validation_median": float(plateau.median[best]),
            "validation": bits.tolist(),
            "rate": walker.rate(self.step, plateau.rate),
            "cuts": int(plateau.cuts.min()),
            "all_cuts": CUTS + 1,
            "seconds": seconds,
            "steps_per_s": pace,
            "seconds_left": ends.left(settings, plateau, self.step, walker.every, pace),
        }

    def _state(self) -> dict[str, Any]:
        """All that a resumed fit needs to end at the same numbers."""
        return {
            "walk": self.walker.walk,
            "last": self.walker.last,
            "curve": self._curve,
            "plateau": self.plateau.tree(),
            "at": np.array([self.step, self._row, self.walker.settled]),
        }

    def _resume(self, saved: dict[str, Any]) -> None:
        self.walker.walk, self.walker.last = saved["walk"], saved["last"]
        self._curve = np.array(saved["curve"])
        self.plateau = Plateau(**_host(saved["plateau"]))
        self.step, self._row, settled = (int(n) for n in saved["at"])
        self.walker.settled = bool(settled)
        self._earlier = self._curve[self._row - 1, 1]


def _working() -> float:
    """A clock that stands while this fit compiles."""
    return time.perf_counter() - so_far()


def _largest(losses: np.ndarray) -> float:
    """Of those that are finite; nan where none is."""
    return float(max(losses[np.isfinite(losses)], default=np.nan))


def _host(tree: Tree) -> Tree:
    return jax.tree.map(lambda a: np.array(a), tree)
