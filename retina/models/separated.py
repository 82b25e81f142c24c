"""Another model whose spatial kernels are sums of a row times a column."""

from __future__ import annotations

from typing import Any

from retina import build
from retina.errors import BadSetting, at_least_one
from retina.layers.row_by_column import cheaper, multiplied_out, row_by_column
from retina.layers.wrapped import parts_of, wrapped
from retina.stage import Model, Params, Stage
from retina.types import Spec


def separated(
    spec: Spec,
    /,
    *,
    of: str = "cnn",
    settings: tuple[tuple[str, Any], ...] = (),
    rank: int = 1,
) -> Model:
    """A model of separable kernels; `retina reduce separate` makes one.

    of, settings: the model's name and keywords.
    rank:    products of a row and a column that each spatial kernel, of one input and
             one output channel, is the sum of. A layer that would cost no less so, such
             as one whose kernels fill its map, stays as it is.
    raises:  BadSetting for a model without convolutions of images, and for weights of
             few bits: they would be counted as they were.
    source:  see `retina.layers.row_by_column`.

    >>> model = separated(Spec((20, 20), 3, 0.01))
    >>> sorted(model.stage.parameters["conv2d"])
    ['bias', 'columns', 'rows']
    """
    at_least_one(rank=rank)
    inner = build.model(of, spec, **dict(settings))
    if inner.columns is not None:
        raise BadSetting(
            f"separate: {of} has costs of its own; separate first, then {of}"
        )
    named = parts_of(inner)
    kernels = [name for name, part in named if has_kernel(part)]
    if not kernels:
        raise BadSetting(
            "separate is for models with kernels over the image, as cnn and lnln have, "
            f"and {of} has none"
        )
    parts = {name: _separated(part, rank) for name, part in named}

    def view(params: Params) -> Params:
        whole = {
            name: multiplied_out(params[name])
            for name in kernels
            if "rows" in parts[name].parameters
        }
        return {**params, **whole}

    return wrapped("separated", inner, tuple(parts.values()), view, ("separated", rank))


def has_kernel(part: Stage) -> bool:
    """Whether a part is a convolution of images with a kernel of its own."""
    return part.name == "conv2d" and {*part.parameters} <= {"kernel", "bias"}


def _separated(part: Stage, rank: int) -> Stage:
    if not has_kernel(part):
        return part
    shape, channels, size, stride, bias = part.about[1:]
    if not cheaper(shape, size, rank, stride=stride):
        return part
    return row_by_column(shape, channels, size, rank, stride=stride, bias=bias)
