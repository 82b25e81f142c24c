"""A signal standardised by numbers that a fit takes from training data and keeps."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from retina.parameter import Parameter
from retina.stage import Params, Stage, chain, memoryless
from retina.types import Clip

ENOUGH = 4000  # bins, to tell a mean and an s.d.
FIXED = "training data, at the start of a fit"


def standardise(
    shape: tuple[int, ...], *, mean: float = 0.0, sd: float = 1.0, each: bool = True
) -> Stage:
    """(x - mean) / sd: stage (*shape) -> (*shape), the same numbers in every bin.

    mean, sd: until `measured` ones are put in their place. No gradient moves them, and
              nothing that comes later in time enters: it is causal.
    each:     every channel (last axis) has its own; False: all inputs share one pair.

    >>> stage = standardise((2,), mean=1.0, sd=2.0)
    >>> stage.step(stage.init(jax.random.key(0)), (), jnp.ones(2))[1].tolist()
    [0.0, 0.0]
    """
    size = shape[-1:] if each else ()
    axes = ("unit",) if each else ()

    def init(key: jax.Array):
        return {"mean": jnp.full(size, mean, "f4"), "sd": jnp.full(size, sd, "f4")}

    def scaled(params, x: jax.Array) -> jax.Array:
        along = (1,) * (x.ndim - 1) + (-1,)
        gain = (1 / params["sd"]).reshape(along)
        return x * gain - (params["mean"] / params["sd"]).reshape(along)

    described = {
        n: Parameter(v, low=low, trainable=False, source=FIXED, axes=axes)
        for n, v, low in (("mean", mean, -float("inf")), ("sd", sd, 0.0))
    }
    return memoryless(
        scaled,
        batch=scaled,
        init=init,
        parameters=described,
        about=("standardise", shape, mean, sd, each),
    )


def measured(
    stages: list[Stage], params: Params, clips: tuple[Clip, ...]
) -> np.ndarray:
    """What some stages at the head of a model's chain give on training data.

    stages:  the first of the chain, in its order.
    params:  of the whole chain, by name.
    returns: (time, *out) float32: up to ENOUGH bins of the longest clip, without the
             history that its first bins lack.
    """
    clip = max(clips, key=lambda one: len(one.stimulus))
    front = chain(*stages)
    shown = jnp.asarray(clip.stimulus[: ENOUGH + front.lags])
    own = {n: params[n] for n in front.parameters}
    _, y = jax.jit(front.apply)(own, front.start(own), shown)
    return np.asarray(y)[min(max(front.lags, clip.skip), len(y) // 2) :]


def from_measured(y: np.ndarray, *, each: bool = True) -> dict[str, jax.Array]:
    """Params of `standardise` that give `measured` signals mean 0 and s.d. 1."""
    over = tuple(range(y.ndim - 1)) if each else None
    mean, sd = y.mean(over, dtype=np.float64), y.std(over, dtype=np.float64)
    # A channel that says nothing yet must not be blown up.
    sd = np.maximum(sd, 1e-3 * np.abs(mean) + 1e-6)
    return {"mean": jnp.asarray(mean, jnp.float32), "sd": jnp.asarray(sd, jnp.float32)}


def contract() -> list[tuple[Stage, tuple[int, ...]]]:
    return [
        (standardise((2, 3), mean=0.5, sd=2.0), (2, 3)),
        (standardise((2, 3), each=False), (2, 3)),
    ]
