"""A stack of linear layers as the one layer that it is."""

from __future__ import annotations

import jax

from retina.models import bn_cnn
from retina.reduction.cutting import fitting
from retina.stage import Model, Tree
from retina.types import Fit, Split


def collapse(fit: Fit, split: Split, key: jax.Array, /) -> tuple[Model, Tree]:
    """A `bn_cnn` with stacked=True becomes the plain one that gives the same rates.

    returns: the plain model, and the products of its stacks' kernels.
    raises:  BadSetting for another model.
    lowers:  depth

    One large kernel takes fewer layers one after the other, not fewer FLOPs: of three
    by three pixels a stack is the cheaper one from 7 x 7 on. No other model has layers
    with nothing between them. States are not collapsed: recursive filters keep theirs
    even where two have nearly one time constant and hear the same; those of a
    `recursive_cnn` share one already.
    """
    return fitting(*bn_cnn.collapse(fit.model, fit.params), "collapse")
