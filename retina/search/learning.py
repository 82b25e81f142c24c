"""What learning costs: FLOPs of one training step, and of a whole fit.

Counted by the walker on the very functions that a fit runs, with convolutions in their
plain way: a fit may take an equal one that is faster on its machine (`formulation`) and
does other sums, and a count is not to depend on the machine. It stands above `fitting`,
since what is counted is there.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from retina import formulation
from retina.costs.denominators import stands_for
from retina.costs.flops import count
from retina.errors import BadSetting
from retina.fitting import cells, descent, lbfgs, optimiser, penalties, quasi_newton
from retina.fitting.clips import Table, tabulate
from retina.fitting.recipe import checked_recipe, idle, otherwise
from retina.fitting.start import mean_counts
from retina.fitting.whitening import BLOCK, Whitening
from retina.parameter import to_free
from retina.stage import Model, Tree
from retina.types import Interval, Split


@dataclasses.dataclass(frozen=True)
class Learning:
    """FLOPs of one step of a fit.

    forward:    the loss of the step's clips, their history included.
    backward:   its gradient: by back-propagation through time, what it computes again
                included.
    update:     what the optimiser makes of the gradient.
    seconds:    of recording whose loss enters the step; trials count each.
    per_synaptic_event: of all three, over the quanta that the recorded cells hear in
                that time; None where the constants are not defensible, or a full
                field collapses space.
    steps:      of a whole fit, where they are known.
    seeds:      of it, and recipes side by side; each is charged all steps.
    note:       what is left out.
    """

    optimiser: str
    forward: int
    backward: int
    update: int
    seconds: float
    per_synaptic_event: Interval | None
    steps: int | None = None
    seeds: int = 1
    note: str = ""

    @property
    def step(self) -> int:
        return self.forward + self.backward + self.update

    @property
    def total(self) -> int | None:
        """Of a whole fit; validation is not in it."""
        return None if self.steps is None else self.seeds * self.steps * self.step


def learning(
    model: Model,
    split: Split,
    steps: int | None = None,
    seeds: int = 1,
    **changes: Any,
) -> Learning:
    """Count one training step; nothing is run, nor measured.

    split:   its training clips give the shapes, its cells and species the events.
    steps:   of the fit, such as `fit.training["steps"]`.
    seeds:   starts of the fit, times the recipes that were tuned.
    changes: fields of Recipe, such as optimiser="sgd".
    raises:  BadSetting as `retina.fit`; UncountedPrimitive.

    A step of L-BFGS goes through all training clips; a step of the others through
    `batch` clips.

    >>> import retina
    >>> split = retina.split(retina.load("simulated"))
    >>> ln = retina.model("ln", split.spec, lags=4, rank=1)
    >>> sgd, adam = (learning(ln, split, optimiser=o) for o in ("sgd", "adam"))
    >>> sgd.forward == adam.forward, sgd.update < adam.update
    (True, True)
    """
    settings = checked_recipe(model, changes)
    fitted = model._replace(penalty=penalties.penalty(model, settings))
    by_clips = settings.optimiser != "lbfgs"
    bins = settings.clip_bins if by_clips else lbfgs.PIECE
    # Shapes are all that is needed: a movie stays where it is.
    table = tabulate(model, split.train, bins, settings.warm_up_s, stream=True)
    null = mean_counts(split.train)
    params = jax.eval_shape(model.stage.init, jax.random.key(0))
    free = jax.eval_shape(lambda p: to_free(model.stage.parameters, p), params)
    with formulation.plain():
        if not by_clips and model.independent:
            counted = _cell_by_cell(fitted, table, null, params, free)
        else:
            rows = settings.batch if by_clips else len(table.first)
            counted = (
                *_clips(fitted, table, null, params, free, rows),
                *_update(settings.optimiser, free),
            )
    forward, both, update, note = counted
    seen = settings.batch * table.bins if by_clips else _fitted(table)
    seconds = seen * split.spec.bin_s
    step = both + update
    events = stands_for(split.spec.dataset, None, split, split.spec.event).events_per_s
    per_event = None
    if events is not None and math.prod(split.spec.frame) > 1:
        heard = seconds * split.spec.cells
        per_event = Interval(step / heard / events.high, step / heard / events.low)
    return Learning(
        settings.optimiser,
        forward,
        both - forward,
        update,
        seconds,
        per_event,
        steps,
        seeds,
        note,
    )


def steps_of_each(model: Model, split: Split, **changes: Any) -> dict[str, int]:
    """FLOPs of one step by each optimiser that may fit a model.

    changes: as of `learning`; an optimiser does without those that say nothing to it.
    """

    def under(name: str) -> Learning:
        asked = {**changes, "optimiser": name}
        settings = dataclasses.replace(model.recipe, **asked)
        heeded = {
            key: value
            for key, value in asked.items()
            if key == "optimiser" or not idle(key, settings, model)[0]
        }
        return learning(model, split, **heeded)

    # They differ in what they make of the gradient; L-BFGS takes that of all clips.
    by_clips = under("sgd")
    gradient = by_clips.forward + by_clips.backward
    each = {name: gradient + update for name, update in updates(model).items()}
    del each["lbfgs"]
    with contextlib.suppress(BadSetting):  # a model that is fitted by clips alone
        each["lbfgs"] = under("lbfgs").step
    return each


def asked(model: Model, training: Mapping[str, Any]) -> dict[str, Any]:
    """What a fit was asked otherwise than its model's recipe, for `learning`.

    training: of the fit.

    >>> from retina import build
    >>> from retina.types import Spec
    >>> ln = build.model("ln", Spec((), 2, 0.01))
    >>> asked(ln, {"optimiser": "sgd", "batch": 3, "steps": 9, "max_steps": 9})
    {'optimiser': 'sgd', 'batch': 3}
    """
    return otherwise(model.recipe, training, model)


def updates(model: Model) -> dict[str, int]:
    """FLOPs of one update by each optimiser that a fit may take.

    Clipping of the gradient's norm and the average that validation judges included; of
    L-BFGS the direction alone.
    """
    params = jax.eval_shape(model.stage.init, jax.random.key(0))
    free = jax.eval_shape(lambda p: to_free(model.stage.parameters, p), params)
    return {name: _update(name, free)[0] for name in (*optimiser.NAMES, "lbfgs")}


def _fitted(table: Table) -> int:
    return len(table.first) * table.bins - int(table.seen.sum())


def _shape(array: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(array.shape, array.dtype)


def _both(loss: Callable[..., Any], *given: Any) -> tuple[int, int]:
    """FLOPs of a loss with a second result, and of it with its gradient."""
    slope = jax.value_and_grad(loss, has_aux=True)
    return count(loss, *given).flops, count(slope, *given).flops


def _clips(
    model: Model, table: Table, null: np.ndarray, params: Tree, free: Tree, rows: int
) -> tuple[int, int]:
    rest: Any = params
    if model.training is not None:
        number = jax.ShapeDtypeStruct((), jnp.uint32)
        rest = descent.untrained(model, params), number
    loss = descent.objective(model, table, null)
    first = jax.ShapeDtypeStruct((rows, 2), jnp.int32)
    step = jax.ShapeDtypeStruct((), jnp.int32)
    recorded = _shape(table.stimulus), _shape(table.counts)
    return _both(loss, free, (rest, {}), first, *recorded, step)


def _update(name: str, free: Tree) -> tuple[int, str]:
    note = ""
    if name == "lbfgs":
        towards = optax.scale_by_lbfgs(memory_size=10)
        note = (
            "a line search takes one evaluation or more per step: one is counted, so "
            "that a total is the least it can be"
        )
    else:
        towards = optimiser.direction(name)

    def update(slope, moments, free, average, rate):
        move, _ = towards.update(slope, moments, free)
        free = jax.tree.map(lambda p, m: p + rate * m, free, move)
        if name == "lbfgs":
            return free
        keep = rate  # a number that falls with the steps
        return free, jax.tree.map(lambda a, p: keep * a + (1 - keep) * p, average, free)

    with jax.numpy_dtype_promotion("standard"):  # optax mixes dtypes
        moments = jax.eval_shape(towards.init, free)
        rate = jax.ShapeDtypeStruct((), jnp.float32)
        return count(update, free, moments, free, free, rate).flops, note


def _cell_by_cell(
    model: Model, table: Table, null: np.ndarray, params: Tree, free: Tree
) -> tuple[int, int, int, str]:
    given = model, table, null, 0.0, free
    at = jax.eval_shape(lambda f: cells.rows(model, f), free)
    recorded = _shape(table.stimulus), _shape(table.counts)

    forward = count(cells.each_loss(*given), at, params, *recorded).flops
    both = count(cells.each_slope(*given), at, params, *recorded).flops
    walk = jax.eval_shape(quasi_newton.begin, at)
    problems, numbers = at.shape
    square = (problems, numbers, numbers)
    root: Any = jax.ShapeDtypeStruct(square, at.dtype) if numbers <= BLOCK else None
    white = Whitening(at, root)
    scale = jax.ShapeDtypeStruct((problems,), jnp.float32)

    def advance(walk, white, value, slope, scale):
        return quasi_newton.advance(
            walk, lambda x: (value, slope), white, 1, jnp.float32(1e-6), scale
        )

    update = count(advance, walk, white, scale, at, scale).flops
    note = (
        "the curvature, taken at the start and at step 8, is not counted: a total is "
        "the least it can be"
    )
    return forward, both, update, note
