"""What a core that cells share comes to for one cell: alone, or added to the others."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax

from retina import build
from retina.costs.clocks import one_bin
from retina.errors import RetinaError
from retina.stage import Model, Tree


def among_cells(
    model: Model, params: Tree, flops: float, stored: Any, runs: int
) -> tuple[float | None, float | None, str]:
    """FLOPs per bin of the model made for one cell alone, and of one cell more.

    flops:   per bin of the model as it is, all its runs together.
    stored:  dtype of the stimulus.
    returns: both, of as many runs, and a note on them; None where the model cannot be
             made for other numbers of cells.

    >>> from retina.types import Spec
    >>> mean = build.model("mean", Spec((), 3, 0.01))
    >>> among_cells(mean, mean.stage.init(jax.random.key(0)), 0, None, 1)[:2]
    (0, 0)
    """
    cells = model.spec.cells

    def at(number: int) -> tuple[Model, Tree]:
        spec = dataclasses.replace(model.spec, cells=number)
        made = build.model(model.name, spec, **dict(model.settings))
        return made, jax.eval_shape(made.stage.init, jax.random.key(0))

    def flops_at(number: int) -> float:
        made, shapes = at(number)
        return runs * one_bin(made, shapes, stored).work.step.flops

    try:
        made, shapes = at(cells)
        as_made = made.stage.about == model.stage.about
        if not as_made or _shapes(shapes) != _shapes(params):
            return None, None, "not as its settings make it: cost alone is not known"
        alone, marginal = flops_at(1), flops_at(cells + 1) - flops
    except (RetinaError, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        return None, None, f"cannot be made for other numbers of cells: {reason}"
    return (
        alone,
        marginal,
        f"FLOPs per bin: {round(alone, 1):,} for one cell alone (it needs all that is "
        f"shared), {flops / cells:,.1f} shared out over {cells} cells, "
        f"{round(marginal, 1):,} for one cell more; counted on the same model made "
        f"for 1, {cells} and {cells + 1} cells",
    )


def _shapes(tree: Tree) -> list[tuple[str, tuple[int, ...]]]:
    leaves, _ = jax.tree.flatten_with_path(tree)
    return [
        (jax.tree_util.keystr(path), jax.numpy.shape(leaf)) for path, leaf in leaves
    ]
