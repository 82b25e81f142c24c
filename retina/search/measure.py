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
    returns: Point, ready for `retina.frontier`.

    >>> import inspect
    >>> list(inspect.signature(measure).parameters)
    ['fit', 'split', 'run', 'names']
    """
    from retina.costs.cost import cost
    from retina.fitting.score import score

    # A score stands on the function whose cost is counted: `score` checks that the
    # streaming step and the clip view agree before it returns.
    accuracy = score(fit, split.test, names)
    accuracy = dataclasses.replace(accuracy, publish=split.publish)
    if accuracy.history == "free_running":
        note = "its cost is that of one run"
        accuracy = dataclasses.replace(accuracy, notes=(*accuracy.notes, note))
    return Point(
        run=run,
        model=fit.model.name,
        dataset=split.spec.dataset,
        score=accuracy,
        cost=cost(fit.model, fit.params, split),
        settings=dict(fit.model.settings),
        validation_bits=fit.validation.get("median"),
    )
