"""Reduction template: say here, in one line, what is taken away."""

from __future__ import annotations

import jax

from retina.reduction.cutting import count_kept, fitting, keyword, rebuilt
from retina.stage import Model, Tree
from retina.types import Fit, Split


def template(
    fit: Fit, split: Split, key: jax.Array, /, *, keep: float = 0.5
) -> tuple[Model, Tree]:
    """Leaves out the oldest lags of full filters; `retina.reduce` fits the rest again.

    keep:    share of the lags that stay.
    returns: the same model with fewer lags, and its parameters.
    raises:  BadSetting for a model without such filters.
    lowers:  flops_per_bin, params
    source:  name the paper here.
    """
    keyword(fit.model, ("lags",), "template")
    lags = count_kept(keep, dict(fit.model.settings)["lags"], "lags")
    params = dict(fit.params)
    if "space_time" in params:  # filters: (cell, lag, height, width), lag 0 first
        part = params["space_time"]
        params["space_time"] = part | {"filters": part["filters"][:, :lags]}
    return fitting(rebuilt(fit.model, lags=lags), params, "template")
