"""The verb `measure`: a fit's accuracy and price, as one point."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from retina.types import Fit, Point, Split


def measure(
    fit: Fit, split: Split, run: str = "", names: Sequence[str] | None = None
) -> Point:
    """Score a fit on the test clips and count what it costs.

    fit:     from `retina.fit`, or read back with `retina.store.load`.
    split:   the one it was fitted on; only its test clips are scored.
    run:     what to call the point in a table.
    names:   metrics; by default those that `retina.score` chooses.
    returns: Point, ready for `retina.frontier`. The accuracy of a model with spike
             history is the mean of many sampled runs, and its cost is that of them all.
    raises:  Leak where test stimulus was shown in training or validation; what
             `retina.score` raises.

    >>> import inspect
    >>> list(inspect.signature(measure).parameters)
    ['fit', 'split', 'run', 'names']
    """
    from retina.costs.cost import cost
    from retina.data import leak
    from retina.fitting.score import score

    leak.refuse(split)
    # A score stands on the function whose cost is counted: `score` checks that the
    # streaming step and the clip view agree before it returns.
    accuracy = score(fit, split.test, names)
    accuracy = dataclasses.replace(
        accuracy,
        publish=split.publish,
        cell_names=tuple(cell.name for cell in split.cells),
        notes=(*accuracy.notes, *_unfinished(fit), *_cold(fit)),
    )
    return Point(
        run=run,
        model=fit.model.name,
        dataset=split.spec.dataset,
        score=accuracy,
        cost=cost(fit.model, fit.params, split),
        settings=dict(fit.model.settings),
        validation_bits=fit.validation.get("median"),
    )


def _unfinished(fit: Fit) -> tuple[str, ...]:
    if fit.training.get("converged", True):
        return ()
    why = fit.training.get("stopped") or f"stopped after {fit.training['steps']} steps"
    return (f"not converged: {why}",)


def _cold(fit: Fit) -> tuple[str, ...]:
    given_s, burn_in_s = fit.training.get("warm_up_s"), fit.training.get("burn_in_s", 0)
    if given_s is None or given_s >= burn_in_s:
        return ()
    return (
        f"fitted on clips warmed up for {given_s:g} s of the {burn_in_s:g} s that the "
        "slowest state remembers",
    )
