"""A flax module as a stage: its weights a plain dict, its graph kept aside."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx

from retina.parameter import Parameter
from retina.stage import Stage, memoryless, recurrent


def from_nnx(
    make: Callable[[nnx.Rngs], nnx.Module], *, name: str, burn_in_s: float = 0.0
) -> Stage:
    """A recurrent cell of flax.nnx, or a layer without memory, as a stage.

    make:      rngs -> module, e.g. ``lambda rngs: nnx.GRUCell(3, 8, rngs=rngs)``.
    name:      of the stage.
    burn_in_s: for a cell, seconds until its carry has forgotten its start.
    returns:   stage (in_features,) -> (hidden_features,); a cell starts from zeros.
               Its params are flax's own, under flax's names: nested dicts of arrays.
    raises:    ValueError where the module holds more than parameters (dropout's keys,
               batch statistics): a step must be a function of params, state and input.

    >>> stage = from_nnx(lambda rngs: nnx.GRUCell(3, 8, rngs=rngs), name="gru")
    >>> stage.start(stage.init(jax.random.key(0))).shape
    (8,)
    """
    # Split once, on shapes alone: nothing is drawn and nothing is compiled.
    module = nnx.eval_shape(lambda: make(nnx.Rngs(0)))
    graph, weights, rest = nnx.split(module, nnx.Param, ...)
    if jax.tree.leaves(rest):
        kinds = sorted({type(v).__name__ for _, v in nnx.to_flat_state(rest)})
        raise ValueError(f"{type(module).__name__} holds {kinds}, not only parameters")
    shapes = nnx.to_pure_dict(weights)

    def init(key: jax.Array):
        return nnx.to_pure_dict(nnx.state(make(nnx.Rngs(key)), nnx.Param))

    def merged(params) -> nnx.Module:
        state = jax.tree.map(lambda leaf: leaf, weights)  # a copy, to be filled in
        nnx.replace_by_pure_dict(state, params)
        return nnx.merge(graph, state)

    parameters = jax.tree.map(_described, shapes)
    sizes = tuple(leaf.shape for leaf in jax.tree.leaves(shapes))
    about = (name, type(module).__name__, sizes, burn_in_s)
    if not isinstance(module, nnx.RNNCellBase):
        return memoryless(
            lambda params, x: merged(params)(x),  # type: ignore[operator]
            batch=lambda params, x: merged(params)(x),  # type: ignore[operator]
            init=init,
            parameters=parameters,
            about=about,
        )
    cell: nnx.RNNCellBase = module

    def carry():
        return cell.initialize_carry((cell.in_features,), nnx.Rngs(0))  # type: ignore

    empty = jax.eval_shape(carry)

    def start(params, key: jax.Array | None = None):
        return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), empty)

    return recurrent(
        lambda params, state, x: merged(params)(state, x),  # type: ignore[operator]
        start=start,
        init=init,
        parameters=parameters,
        burn_in_s=burn_in_s,
        about=about,
    )


def _described(leaf: jax.ShapeDtypeStruct) -> Parameter:
    """Of two or more axes it is a kernel, which flax has from inputs to outputs."""
    inputs = ("input",) * (len(leaf.shape) - 1)
    axes = (*inputs, "out") if inputs else ()
    return Parameter(source="flax.nnx", axes=axes)


def contract() -> list[tuple[Stage, tuple[int, ...]]]:
    return [
        (
            from_nnx(
                lambda rngs: nnx.GRUCell(3, 4, rngs=rngs), name="gru", burn_in_s=1.0
            ),
            (3,),
        ),
        (
            from_nnx(
                lambda rngs: nnx.OptimizedLSTMCell(3, 4, rngs=rngs),
                name="lstm",
                burn_in_s=1.0,
            ),
            (3,),
        ),
        (from_nnx(lambda rngs: nnx.Linear(3, 4, rngs=rngs), name="linear"), (3,)),
    ]
