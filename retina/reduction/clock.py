"""Slower clocks for slow parts: what needs no memory runs in some bins only."""

from __future__ import annotations

import jax

from retina import build
from retina.reduction.cutting import fitting
from retina.stage import Model, Tree
from retina.types import Fit, Split


def clock(
    fit: Fit, split: Split, key: jax.Array, /, *, every: int = 2
) -> tuple[Model, Tree]:
    """Runs what follows the last temporal filter every few bins; its rates are held.

    every:   bins for one run, 2 or more.
    returns: the model `clocked` of what was fitted, and its parameters. Another
             reduction cannot follow.
    raises:  BadSetting for a model that does nothing after its memory, or has a memory
             of its spikes.
    lowers:  flops_per_bin

    Cheap where bins are short beside what the filters before it remember: rates up to
    every - 1 bins old are said again. Only this end without memory can be slowed, all
    of it by one factor: a filter, or a layer between two filters, hears every bin.
    """
    model = fit.model
    small = build.model(
        "clocked", model.spec, of=model.name, settings=model.settings, every_bins=every
    )
    return fitting(small, fit.params, "clock")
