"""A matrix and an offset: from one vector to the next."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from retina.parameter import Parameter
from retina.stage import Stage, memoryless


def linear(
    inputs: int, outputs: int, *, bias: bool = True, spread: float = 1.0
) -> Stage:
    """Stage (inputs,) -> (outputs,).

    bias:   an offset per output.
    spread: s.d. of the weights as drawn and stored; they are scaled by sqrt(2 / inputs)
            where they are used (see `conv2d`). A model's last layer starts small, so
            that the output starts at the mean count.

    >>> stage = linear(4, 2)
    >>> stage.step(stage.init(jax.random.key(0)), (), jnp.ones(4))[1].shape
    (2,)
    """
    scale = np.float32(np.sqrt(2 / inputs))

    def init(key: jax.Array):
        drawn = jax.random.normal(key, (inputs, outputs), jnp.float32)
        params = {"kernel": drawn * np.float32(spread)}
        return params | ({"bias": jnp.zeros(outputs, jnp.float32)} if bias else {})

    def through(params, x: jax.Array) -> jax.Array:
        y = x @ (params["kernel"] * scale)
        return y + params["bias"].reshape((1,) * (y.ndim - 1) + (-1,)) if bias else y

    parameters = {"kernel": Parameter(axes=("input", "out"))}
    if bias:
        parameters["bias"] = Parameter(axes=("out",))
    return memoryless(
        through,
        batch=through,
        init=init,
        parameters=parameters,
        about=("linear", inputs, outputs, bias, spread),
    )


def contract() -> list[tuple[Stage, tuple[int, ...]]]:
    return [(linear(3, 4), (3,)), (linear(3, 2, bias=False), (3,))]
