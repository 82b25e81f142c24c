"""What a function makes of its fixed arguments alone, computed once before a loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from jax.extend.core import Literal

Tree = Any


def hoist(function: Callable[..., Tree], fixed: Tree, *moving: Tree) -> Callable:
    """`function(fixed, *moving)` as a function of `moving`, its early part done now.

    moving:  examples: arrays of the shapes and dtypes that will be given.
    returns: moving -> what `function` gives. All operations that hear `fixed` and
             constants alone have been done; inside a loop they are not done again.

    >>> import jax.numpy as jnp
    >>> once = hoist(lambda p, x: jnp.exp(p) * x, jnp.float32(0), jnp.float32(1))
    >>> [eqn.primitive.name for eqn in jax.make_jaxpr(once)(jnp.float32(3)).eqns]
    ['mul']
    """
    closed, shapes = jax.make_jaxpr(
        lambda fixed, moving: function(fixed, *moving), return_shape=True
    )(fixed, moving)
    program: Any = getattr(closed, "jaxpr", closed)  # later versions have one class
    early = dict(zip(program.constvars, closed.consts, strict=True))
    given = jax.tree.leaves(fixed)
    early |= dict(zip(program.invars[: len(given)], given, strict=True))
    late = []
    for equation in program.eqns:
        known = all(isinstance(v, Literal) or v in early for v in equation.invars)
        if known and not equation.effects:
            _run(equation, early)
        else:
            late.append(equation)

    def rest(*moving: Tree) -> Tree:
        values = early | dict(
            zip(program.invars[len(given) :], jax.tree.leaves(moving), strict=True)
        )
        for equation in late:
            _run(equation, values)
        outs = [_read(v, values) for v in program.outvars]
        return jax.tree.unflatten(jax.tree.structure(shapes), outs)

    return rest


def _read(variable, values):
    return variable.val if isinstance(variable, Literal) else values[variable]


def _run(equation, values) -> None:
    """One operation, under the name of the part that it was traced in."""
    inputs = [_read(v, values) for v in equation.invars]
    settings = equation.primitive.get_bind_params(equation.params)
    if isinstance(settings, tuple):  # jax below 0.10: functions, then the rest
        inputs, settings = [*settings[0], *inputs], settings[1]
    with jax.named_scope(str(equation.source_info.name_stack)):
        outs = equation.primitive.bind(*inputs, **settings)
    outs = outs if equation.primitive.multiple_results else [outs]
    values |= dict(zip(equation.outvars, outs, strict=True))
