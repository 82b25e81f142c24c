"""A model whose stages see their parameters, or their stimulus, through something."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from retina.clocks import again
from retina.errors import BadSetting
from retina.layers.linear import linear
from retina.stage import Model, Params, Stage
from retina.types import Clip

View = Callable[[Params], Params]


def through(part: Stage, view: View, **changes: Any) -> Stage:
    """The stage with `view(params)` in place of its params.

    changes: fields of the stage, such as `init` and `parameters` of what it now holds.

    >>> half = through(linear(2, 1), lambda p: jax.tree.map(lambda leaf: leaf / 2, p))
    >>> half.about == linear(2, 1).about
    True
    """
    valid = part.valid
    return part.seen(
        start=lambda params, key=None: part.start(view(params), key),
        step=lambda params, state, x: part.step(view(params), state, x),
        apply=lambda params, state, x: part.apply(view(params), state, x),
        valid=valid and (lambda params, x: valid(view(params), x)),
        parts=(),
        **changes,
    )


def parts_of(inner: Model) -> tuple[tuple[str, Stage], ...]:
    """The parts of a model's chain, by name; of another model, the one stage it is.

    raises: BadSetting for a model whose end runs every few bins: it would run in all.
    """
    if inner.stage.steps and not inner.stage.per_frame:
        every = sum(bins for _, bins in inner.stage.steps)
        raise BadSetting(
            f"{inner.name} runs a part every {every} bins: make that the last "
            "reduction, after all others"
        )
    return inner.stage.parts or ((inner.stage.name, inner.stage),)


def wrapped(
    name: str, inner: Model, parts: tuple[Stage, ...], view: View, about: tuple
) -> Model:
    """A model of parts that see their parameters through a view.

    parts: of `parts_of(inner)`, each `through` its share of the view.
    view:  of the whole params, to those of the inner model.
    about: what tells this model from the inner one.
    """
    start, penalty, training = inner.warm_start, inner.penalty, inner.training
    stage = again(inner, parts, (*about, inner.stage.about))
    parameters = stage.parameters

    def warm_start(params, clips):
        assert start is not None
        return _merged(params, start(view(params), clips))

    def passed(params, x, key):
        assert training is not None
        rate, after = training(view(params), x, key)
        return rate, _merged(params, after, parameters)

    return inner._replace(
        name=name,
        stage=stage,
        warm_start=warm_start if start else None,
        penalty=(lambda params: penalty(view(params))) if penalty else None,
        training=passed if training else None,
    )


def heard(model: Model) -> list[Any]:
    """Shape and dtype of what each of `parts_of` hears, and last of what it says."""
    x: Any = jax.ShapeDtypeStruct(model.spec.frame, jnp.float32)
    signals = [x]
    for _, part in parts_of(model):
        if part.uses_response:
            x = (x, jax.ShapeDtypeStruct((model.spec.cells,), jnp.float32))

        def said(key: jax.Array, x: Any, part: Stage = part) -> Any:
            params = part.init(key)
            return part.step(params, part.start(params), x)[1]

        x = jax.eval_shape(said, jax.random.key(0), x)
        signals.append(x)
    return signals


def shown_through(
    name: str, inner: Model, front: Stage, see: Callable[[Any], Any], about: tuple
) -> Model:
    """A model with a stage before it that changes what it is shown.

    front: a stage without parameters.
    see:   frames (..., *frame) -> what the inner model gets of them.
    about: what tells this model from the inner one.
    """
    start, training = inner.warm_start, inner.training
    parts = tuple(part for _, part in parts_of(inner))

    def seen(clip: Clip) -> Clip:
        return dataclasses.replace(clip, stimulus=see(clip.stimulus))

    def warm_start(params, clips):
        assert start is not None
        started = start(params, tuple(map(seen, clips)))
        return {front.name: {}} | started

    def passed(params, x, key):
        assert training is not None
        shown = (see(x[0]), *x[1:]) if isinstance(x, tuple) else see(x)
        return training(params, shown, key)

    return inner._replace(
        name=name,
        stage=again(inner, (front, *parts), (*about, inner.stage.about)),
        warm_start=warm_start if start else None,
        training=passed if training else None,
    )


def _merged(params: Params, after: Params, parameters: Any = None) -> Params:
    """`params` with the leaves that `after` has; with `parameters`, only the fixed."""
    merged = {}
    for name, value in params.items():
        told = None if parameters is None else parameters[name]
        if name not in after:
            merged[name] = value
        elif isinstance(value, dict):
            merged[name] = _merged(value, after[name], told)
        else:
            merged[name] = value if told is not None and told.trainable else after[name]
    return merged


def contract() -> list[tuple[Stage, tuple[int, ...]]]:
    def half(params: Params) -> Params:
        return jax.tree.map(lambda leaf: leaf / 2, params)

    return [(through(linear(3, 2), half), (3,))]
