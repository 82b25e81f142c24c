"""A kernel from a list: which cells each cell hears, as a connectome or a draw says."""

from __future__ import annotations

import functools
import hashlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from retina.circuit.kernels import Join, Kernel
from retina.circuit.population import Population
from retina.errors import BadSetting, ShapeMismatch
from retina.parameter import Parameter


def listed(sources: Any, weights: Any = 1.0) -> Kernel:
    """Each target cell to the source cells that a list names, a free weight for each.

    sources: (target cells, fan-in) whole numbers, source cells in the order of outputs;
             one named twice has two synapses.
    weights: to begin with, at least 0: one for all, or (target cells, fan-in).
    raises:  BadSetting, and ShapeMismatch where it is joined to other populations.

    Only the synapses that are named are computed.

    >>> a, b = Population("a", (3,)), Population("b", (2,))
    >>> listed([[0, 2], [1, 2]]).join(a, b).fan_in
    2.0
    """
    named = np.asarray(sources)
    if named.ndim != 2 or not named.size or named.dtype.kind not in "iu":
        raise BadSetting(
            f"listed: sources of shape {named.shape}, {named.dtype}; give whole "
            "numbers (target cells, fan-in)"
        )
    begun = np.asarray(weights, np.float32)
    if begun.shape not in ((), named.shape):
        raise BadSetting(
            f"listed: weights of shape {begun.shape}; give one, or {named.shape}"
        )
    if not (np.isfinite(begun) & (begun >= 0)).all():
        raise BadSetting(
            f"listed: weights from {begun.min():g} to {begun.max():g}; give finite "
            "ones of at least 0"
        )
    begun = np.broadcast_to(begun, named.shape)

    def join(source: Population, target: Population) -> Join:
        if len(named) != target.cells or not 0 <= named.min() <= named.max() < (
            source.cells
        ):
            raise ShapeMismatch(
                f"{source.name} -> {target.name}: listed names cells {named.min()} to "
                f"{named.max()} for {len(named)} targets; give cells 0 to "
                f"{source.cells - 1} for each of {target.cells}"
            )
        # Cells last: the sum over synapses then runs over neighbours in memory.
        who = jnp.asarray(named.T, jnp.int32)

        def weigh(ready, x: jax.Array) -> jax.Array:
            # One bin at a time: gathered from one row it takes a third of the time. A
            # clip's synapses are never all in memory, for a gradient neither.
            @functools.partial(jax.checkpoint, prevent_cse=False)
            def one(x_t: jax.Array) -> jax.Array:
                return (x_t.at[who].get(mode="promise_in_bounds") * ready).sum(0)

            return one(x[0])[None] if len(x) == 1 else lax.map(one, x)

        return Join(
            init=lambda key: {"weight": jnp.asarray(begun)},
            parameters={"weight": Parameter(low=0.0, axes=("cell", "input"))},
            prepare=lambda params: params["weight"].T,
            weigh=weigh,
            fan_in=float(named.shape[1]),
        )

    def wire_um(source: Population, target: Population) -> float:
        away = source.positions_um[named] - target.positions_um[:, None]
        return float(np.hypot(away[..., 0], away[..., 1]).sum())

    told = hashlib.sha256(named.astype("<i8").tobytes() + begun.tobytes())
    return Kernel(("listed", named.shape, told.hexdigest()[:16]), join, wire_um)
