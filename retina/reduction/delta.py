"""Event-driven thresholds: a layer hears of a change when it is large enough."""

from __future__ import annotations

import jax

from retina import build
from retina.errors import BadSetting
from retina.models.event_driven import with_thresholds
from retina.reduction.cutting import fitting
from retina.stage import Model, Tree
from retina.types import Fit, Split


def delta(
    fit: Fit, split: Split, key: jax.Array, /, *, threshold: float = 0.5
) -> tuple[Model, Tree]:
    """Tells every layer without memory of changes of its input, and of no small ones.

    threshold: change that is not told, as a share of the s.d. of the layer's input on
               the training stimulus; 0 tells every change.
    returns:   the model `event_driven` of what was fitted, and its parameters.
    raises:    BadSetting for a model without such a layer, with weights of few bits, or
               with thresholds already.
    lowers:    event_flops_per_bin
    source:    see `retina.layers.changes`.

    Inputs that are zero most of the time cost an event-driven machine little as they
    are; there a threshold may buy nothing, and the reduction is refused.
    """
    model = fit.model
    if model.name == "event_driven":
        raise BadSetting("delta: the run has thresholds already; reduce its parent")
    small = build.model(
        "event_driven",
        model.spec,
        of=model.name,
        settings=model.settings,
        threshold=threshold,
    )
    params = with_thresholds(model, fit.params, threshold, split.train)
    return fitting(small, params, "delta")
