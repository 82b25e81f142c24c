"""Another model whose bank of subunits looks back by recursion, not over a window."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from retina import build
from retina.errors import BadSetting, at_least_one
from retina.layers.recursive import recursive_fir
from retina.layers.wrapped import parts_of, wrapped
from retina.stage import Model, Params
from retina.types import Spec

BANK = "fir"  # the part that filters each kind of subunit in time


def recursive_subunits(
    spec: Spec,
    /,
    *,
    of: str = "lnln",
    settings: tuple[tuple[str, Any], ...] = (),
    stages: int = 4,
) -> Model:
    """`lnln` with leaky integrators in place of lags; `retina reduce poles` makes one.

    of, settings: the model's name and keywords, of those with a bank of subunits.
    stages:  integrators per subunit, in a row; those of one kind of subunit share a
             trained time constant.
    raises:  BadSetting for a model without such a bank, and for weights of few bits:
             they would be counted as they were.
    source:  Marmarelis 1993, doi 10.1007/BF02368639 (filters from Laguerre functions).

    >>> recursive_subunits(Spec((20, 20), 3, 0.01)).stage.lags
    0
    """
    at_least_one(stages=stages)
    inner = build.model(of, spec, **dict(settings))
    if inner.columns is not None:
        raise BadSetting(f"poles: {of} has costs of its own; poles first, then {of}")
    parts = dict(parts_of(inner))
    if BANK not in parts:
        raise BadSetting(
            f"poles is for a bank of filters in time, as in lnln and subunit_ribbon, "
            f"and {of} has none"
        )
    bank = parts[BANK]
    recursion = recursive_fir(bank.about[1], stages, spec.bin_s)
    shapes = jax.eval_shape(bank.init, jax.random.key(0))
    none = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)

    def whole(params: Params) -> Params:
        """What the inner model's functions expect, its windows without weights."""
        rest = {name: own for name, own in params.items() if name != recursion.name}
        return rest | {BANK: none}

    places = tuple(recursion if part is bank else part for part in parts.values())
    about = ("recursive_subunits", stages)
    model = wrapped("recursive_subunits", inner, places, whole, about)
    core = tuple(recursion.name if name == BANK else name for name in inner.core)
    return model._replace(core=core)
