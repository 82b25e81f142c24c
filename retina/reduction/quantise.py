"""Weights of few bits, after training or with the rounding in the refit."""

from __future__ import annotations

import jax

from retina import build
from retina.errors import BadSetting
from retina.reduction.cutting import described, fitting
from retina.stage import Model, Tree
from retina.types import Fit, Split


def quantise(
    fit: Fit, split: Split, key: jax.Array, /, *, kind: str = "int8"
) -> tuple[Model, Tree]:
    """Rounds every weight to 8, 4, 2 or 1 bits times a scale per output or cell.

    kind:    int8, int4, ternary or binary.
    returns: the model `quantised` of what was fitted, and its parameters: the weights
             behind the rounding. The refit hears the rounded ones and moves these
             (quantisation-aware); with refit_steps=0 it is rounding after training.
    raises:  BadSetting for another kind, a model that is quantised already, or weights
             that do not say what their axes are.
    lowers:  bit_operations_per_bin
    source:  see the model `quantised`.

    Products stay float32 here: `flops_per_bin` and all other figures are unchanged.
    The rounding is our own because qwix finds weights as flax modules, by their path:
    these models are functions of plain arrays, whose axes say whose scale is whose.
    """
    model = fit.model
    if model.name == "quantised":
        raise BadSetting("quantise: the run is quantised already; reduce its parent")
    described(model, "quantise")
    small = build.model(
        "quantised", model.spec, of=model.name, settings=model.settings, kind=kind
    )
    return fitting(small, fit.params, "quantise")
