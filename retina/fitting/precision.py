"""Products in bfloat16, added up in float32: forward, and in the gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, jaxpr_as_fun

_PRODUCTS = {lax.dot_general_p, lax.conv_general_dilated_p}


def in_bfloat16(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, each product of float32 arrays with rounded factors.

    Products are matrix products and convolutions, batched ones too.

    Sums, and all that is not a product, stay float32: so do arguments and results. To
    round the products of a gradient too, give the gradient.

    >>> in_bfloat16(lambda x: x @ x)(jnp.array([1 + 2.0**-9])).item()
    1.0
    """

    def run(*arguments):
        traced, out = jax.make_jaxpr(function, return_shape=True)(*arguments)
        rounded = jaxpr_as_fun(_rounded(traced))
        found = rounded(*jax.tree.leaves(arguments))
        return jax.tree.unflatten(jax.tree.structure(out), found)

    return run


def _rounded(value: Any) -> Any:
    """A program with its products rounded, in a parameter of an operation too.

    Arguments and results keep their types, so what holds a program need not know: a
    scan, a loop, a branch.
    """
    if isinstance(value, Jaxpr):  # asked first: later versions of jax have one class
        return value.replace(eqns=[new for old in value.eqns for new in _split(old)])
    if isinstance(value, ClosedJaxpr):
        return value.replace(jaxpr=_rounded(value.jaxpr))
    if type(value) in (tuple, list):
        return type(value)(map(_rounded, value))
    return value


def _split(equation: JaxprEqn) -> list[JaxprEqn]:
    """The equations that take the place of one."""
    primitive, params = equation.primitive, equation.params
    given: list[Any] = [atom.aval for atom in equation.invars]
    if primitive not in _PRODUCTS or any(x.dtype != jnp.float32 for x in given):
        rounded = {name: _rounded(value) for name, value in params.items()}
        return [equation.replace(params=rounded)]
    params = params | {
        "preferred_element_type": jnp.dtype(jnp.float32),
        "precision": None,  # there is nothing left of the factors to be exact about
    }
    few = jax.make_jaxpr(lambda *x: primitive.bind(*map(_factor, x), **params))(
        *(jax.ShapeDtypeStruct(x.shape, x.dtype) for x in given)
    ).jaxpr
    names = dict(zip(few.invars, equation.invars, strict=True))
    names |= zip(few.outvars, equation.outvars, strict=True)
    return [
        one.replace(
            invars=[names.get(atom, atom) for atom in one.invars],
            outvars=[names.get(atom, atom) for atom in one.outvars],
        )
        for one in few.eqns
    ]


def _factor(x: jax.Array) -> jax.Array:
    # XLA's CPU cannot add products of bfloat16 in float32. Rounded float32 gives the
    # same numbers: a product of two of them is exact in either.
    if jax.default_backend() == "cpu":
        return lax.reduce_precision(x, exponent_bits=8, mantissa_bits=7)
    return x.astype(jnp.bfloat16)
