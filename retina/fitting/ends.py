"""How a fit ends, or could: when, what to say, and whether its numbers are sound."""

from __future__ import annotations

import jax
import numpy as np

from retina.errors import Diverged
from retina.fitting.blame import Blame
from retina.fitting.plateau import CUTS, Plateau
from retina.recipe import Recipe
from retina.stage import Model, Tree


def exploded(
    model: Model,
    loss: float,
    *,
    between: tuple[int, int],
    plateau: Plateau,
    lanes: slice,
    by_clips: bool,
    blamed: Blame | None = None,
) -> str:
    """What happened and what to type, where there is something to keep.

    loss:   what it became; between: which two steps.
    lanes:  of the plateau, those of the recipe that is kept.
    blamed: what was not finite, where that is known.
    raises: Diverged where no parameters were judged better than the start.
    """
    rate = plateau.rate[lanes].max()
    where = f"the loss became {loss} between steps {between[0]} and {between[1]}"
    where += f" at learning rate {rate:.2g}" if by_clips else " of L-BFGS"
    lower = f"learning_rate={rate / 3:.1g}" if by_clips else "optimiser=adam"
    found = f"{blamed}; " if blamed else ""
    best_step = plateau.step[lanes][np.argmax(plateau.bits[lanes])]
    if not best_step:
        raise Diverged(f"{model.name}: {where}: {found}try --set {lower}")
    return (
        f"{where}: {found}the parameters of step {best_step}, the best on "
        f"validation, are kept; to go further, try --set {lower}"
    )


def smaller(settings: Recipe, seeds: int, recipes: int = 1) -> str:
    """What to lower for a fit to need less memory.

    recipes: how many are fitted side by side, each with as many seeds.
    """
    if settings.optimiser == "lbfgs":
        ways = ["fit on clips (--set optimiser=adam)"]
    else:
        sizes = {"batch": settings.batch, "clip_bins": settings.clip_bins}
        ways = [
            f"lower --set {name}={now // 2} (now {now})"
            for name, now in sizes.items()
            if now > 1
        ]
    if seeds > 1:
        ways.append(f"fit fewer --seeds (now {seeds})")
    if recipes > 1:
        ways.append(f"give fewer values (now {recipes} recipes side by side)")
    return ", or ".join(ways) or "take a smaller model or a larger machine"


def left(
    settings: Recipe, plateau: Plateau, step: int, every: int, pace: float | None
) -> float | None:
    """Seconds to the end; None while validation may still ask for another rate.

    At the last rate the fit ends when nothing more improves: that is what is told.
    """
    if pace is None:
        return None
    steps = settings.max_steps - step
    if settings.schedule == "plateau":
        going = ~plateau.done
        if not np.all(plateau.cuts[going] == CUTS):
            return None
        rounds = settings.patience - plateau.stale[going]
        steps = min(steps, every * int(rounds.max(initial=0)))
    return steps / pace


def finite(tree: Tree) -> np.ndarray:
    """(seed,) whether every number is finite; leaves have a leading seed axis.

    Asked of what moves alone: a constant may be infinite by design.
    """
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]
    whole = [np.isfinite(a.reshape(len(a), -1)).all(axis=1) for a in leaves]
    return np.all(whole, axis=0)
