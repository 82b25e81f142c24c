"""Regularisers of a fit that know a model by the axes of its parameters alone.

Each is a mean over what it touches in all parameters together, so that neither the
batch nor the size of the model changes what a weight of it in the loss means.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from retina.errors import BadSetting
from retina.parameter import INPUTS, Parameter
from retina.recipe import Recipe
from retina.stage import Model, Tree

SPACE, TIME = ("height", "width"), ("time", "course")
# What may be switched off as a whole: the first of these that a leaf has.
GROUPS = ("out", "channel", "subunit", "rank")
TINY = 1e-12  # keeps the slope of a root finite at zero

Axes = tuple[str, ...]


def l1(weights: jax.Array, axes: Axes) -> list[jax.Array]:
    """The size of each weight."""
    return [jnp.abs(weights)]


def l2(weights: jax.Array, axes: Axes) -> list[jax.Array]:
    """The square of each weight."""
    return [jnp.square(weights)]


def smooth_space(weights: jax.Array, axes: Axes) -> list[jax.Array]:
    """The squared difference of neighbours along height and width."""
    return _steps(weights, axes, SPACE)


def smooth_time(weights: jax.Array, axes: Axes) -> list[jax.Array]:
    """The squared difference of neighbouring lags."""
    return _steps(weights, axes, ("time",))


def group(weights: jax.Array, axes: Axes) -> list[jax.Array]:
    """The root mean square of each group, which vanishes whole.

    A group is all that makes one output channel, or else all that reads one channel,
    or else one subunit or rank of one cell.

    source: Yuan & Lin 2006, doi 10.1111/j.1467-9868.2005.00532.x.
    """
    which = next((name for name in GROUPS if name in axes), None)
    if which is None:
        return []
    own = (which,) if which in ("out", "channel") else (which, "cell")
    over = tuple(i for i, name in enumerate(axes) if name not in own)
    size = jnp.sqrt(jnp.mean(jnp.square(weights), axis=over, keepdims=True) + TINY)
    return [jnp.broadcast_to(size, weights.shape)]


def locality(weights: jax.Array, axes: Axes) -> list[jax.Array]:
    """The square of each weight times that of its distance from the centre.

    The centre of mass of the squared weights of one filter at all lags; the distance is
    a share of the longer side.

    source: after Park & Pillow 2011, doi 10.1371/journal.pcbi.1002219, whose prior
            learns the place and the extent.
    """
    at = [axes.index(name) for name in SPACE if name in axes]
    longest = max((weights.shape[axis] for axis in at), default=1)
    if longest == 1:
        return []
    power = jnp.square(weights)
    over = (*at, *(i for i, name in enumerate(axes) if name in TIME))
    total = jnp.sum(power, axis=over, keepdims=True) + TINY
    distance = jnp.zeros((), weights.dtype)
    for axis in at:
        along = [1] * weights.ndim
        along[axis] = weights.shape[axis]
        place = jnp.arange(weights.shape[axis], dtype=weights.dtype).reshape(along)
        centre = jnp.sum(power * place, axis=over, keepdims=True) / total
        # The centre of mass is where the sum is least, so that it adds no slope.
        away = (place - jax.lax.stop_gradient(centre)) * np.float32(1 / longest)
        distance = distance + jnp.square(away)
    return [power * distance]


KINDS: dict[str, Callable[[jax.Array, Axes], list[jax.Array]]] = {
    one.__name__: one for one in (l1, l2, smooth_space, smooth_time, group, locality)
}
_NEEDS = {
    "l1": "weights that are trained",
    "l2": "weights that are trained",
    "smooth_space": "trained weights of neighbouring pixels",
    "smooth_time": "trained weights of neighbouring lags (sums of courses are smooth)",
    "group": "trained weights of channels, subunits or ranks",
    "locality": "trained weights of pixels",
}


def penalty(model: Model, settings: Recipe) -> Callable[[Tree], jax.Array] | None:
    """The model's own penalty and what the settings ask for: params -> scalar.

    It takes other weights of the regularisers that are asked for by keyword.

    raises: BadSetting for a weight below 0, or for a regulariser that would touch
            nothing of this model.
    """
    for name in (*KINDS, "activity"):
        if not getattr(settings, name) >= 0:
            raise BadSetting(f"{name} {getattr(settings, name):g}: 0 or more")
    asked = {name: getattr(settings, name) for name in KINDS if getattr(settings, name)}
    if not asked:
        return model.penalty
    drawn = jax.eval_shape(model.stage.init, jax.random.key(0))
    fitting = [name for name in KINDS if _touches(name, model.stage.parameters, drawn)]
    for name, weight in asked.items():
        if name not in fitting:
            raise BadSetting(
                f"{name} {weight:g}: {model.name} has no {_NEEDS[name]}; "
                f"it can have {', '.join([*fitting, 'activity'])}"
            )

    def whole(params: Tree, **weights: Any) -> jax.Array:
        total = 0.0 if model.penalty is None else model.penalty(params)
        for name, weight in (asked | weights).items():
            total = total + weight * value(name, model.stage.parameters, params)
        return jnp.asarray(total)

    return whole


def value(name: str, parameters: Tree, params: Tree) -> jax.Array:
    """One regulariser: the mean over all that it touches.

    name:       of `KINDS`.
    parameters: tree of Parameter, parallel to params.

    >>> float(value("l1", {"w": Parameter(axes=("input",))}, {"w": jnp.array([-3.0])}))
    3.0
    """
    terms = _terms(name, parameters, params)
    count = sum(term.size for term in terms)
    total = [jnp.sum(term) for term in terms]
    return sum(total[1:], total[0]) * np.float32(1 / count)


def _terms(name: str, parameters: Tree, params: Tree) -> list[jax.Array]:
    described, structure = jax.tree.flatten(parameters)
    leaves = structure.flatten_up_to(params)
    pairs = zip(described, leaves, strict=True)
    return [
        term
        for one, weights in pairs
        if _is_weight(one, weights.ndim)
        for term in KINDS[name](weights, one.axes)
    ]


def _touches(name: str, parameters: Tree, shapes: Tree) -> bool:
    terms = jax.eval_shape(lambda tree: _terms(name, parameters, tree), shapes)
    return any(term.size for term in terms)


def _is_weight(parameter: Parameter, ndim: int) -> bool:
    """Whether a leaf is summed over: no offset, gain, rate constant or position."""
    if not parameter.trainable or parameter.unit != "1":
        return False
    if not parameter.axes:
        return ndim > 1
    return any(name in INPUTS for name in parameter.axes)


def _steps(weights: jax.Array, axes: Axes, names: Axes) -> list[jax.Array]:
    along = [axes.index(name) for name in names if name in axes]
    steps = [jnp.square(jnp.diff(weights, axis=axis)) for axis in along]
    return [step for step in steps if step.size]
