"""Batch normalisation: frozen statistics to predict with, a batch's own to be fitted.

Statistics of a batch would be acausal, so `step` and `apply` use those kept in the
parameters; only the training pass, which `retina.fit` runs, takes them from its batch
and moves the kept ones towards them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from retina.parameter import Parameter
from retina.stage import Params, Stage, memoryless

# Both as in github.com/baccuslab/torch-deep-retina.
EPSILON = np.float32(1e-3)
SHARE = 0.01  # of each batch in the statistics that are kept, once many were seen


def batch_norm(shape: tuple[int, ...]) -> Stage:
    """Each unit less its mean, over its s.d., times a scale, plus an offset.

    shape:   of one input; every element is a unit with statistics of its own.
    returns: stage (*shape) -> (*shape). A bin costs a multiply and an add per unit: the
             rest depends on parameters alone and is set up once.
    source:  Ioffe & Szegedy 2015, arXiv 1502.03167.

    >>> norm = batch_norm((2,))
    >>> frozen = {"mean": jnp.ones(2), "variance": jnp.full(2, 4 - 1e-3)}
    >>> params = norm.init(jax.random.key(0)) | frozen
    >>> norm.step(params, (), jnp.array([1.0, 5.0]))[1].tolist()
    [0.0, 2.0]
    """

    def init(key: jax.Array) -> Params:
        one, zero = jnp.ones(shape, jnp.float32), jnp.zeros(shape, jnp.float32)
        kept = {"mean": zero, "variance": one, "batches": jnp.float32(0)}
        return {"scale": one, "offset": zero} | kept

    def normalised(params: Params, x: jax.Array) -> jax.Array:
        scale = params["scale"] * lax.rsqrt(params["variance"] + EPSILON)
        offset = params["offset"] - params["mean"] * scale
        fresh = (1,) * (x.ndim - len(shape))
        return x * scale.reshape(*fresh, *shape) + offset.reshape(*fresh, *shape)

    units = ("unit",) * len(shape)
    kept = functools.partial(Parameter, trainable=False, source="training batches")
    return memoryless(
        normalised,
        batch=normalised,
        init=init,
        parameters={
            "scale": Parameter(1.0, axes=units),
            "offset": Parameter(0.0, axes=units),
            "mean": kept(0.0),
            "variance": kept(1.0, low=0.0),
            "batches": kept(0.0, low=0.0),
        },
        about=("batch_norm", shape),
    )


def normalise(
    params: Params, x: jax.Array, share: float | None = None
) -> tuple[jax.Array, Params]:
    """The training pass of `batch_norm`: by the batch's own statistics.

    x:       (example, *shape).
    share:   of the batch in the statistics that are kept; None: SHARE, and more while
             few batches were seen: the weights are those of the average of parameters
             that validation judges, so that the statistics are of those parameters.
    returns: (example, *shape), and params with mean and variance moved.
    """
    mean, variance = jnp.mean(x, axis=0), jnp.var(x, axis=0)
    scale = params["scale"] * lax.rsqrt(variance + EPSILON)
    y = (x - mean[None]) * scale[None] + params["offset"][None]
    seen = params["batches"]
    new = jnp.maximum(SHARE, 9 / (10 + seen)) if share is None else jnp.float32(share)
    moved = {
        name: (1 - new) * params[name] + new * lax.stop_gradient(batch)
        for name, batch in (("mean", mean), ("variance", variance))
    }
    return y, {**params, **moved, "batches": seen + 1}


def training_pass(
    whole: Stage,
    stages: tuple[Stage, ...],
    *,
    noise: float = 0.0,
    share: float | None = None,
) -> Callable[[Params, jax.Array, jax.Array], tuple[jax.Array, Params]]:
    """`Model.training` of a chain with batch norms in it.

    whole:   chain(*stages); each stage looks back over its lags or not at all.
    noise:   s.d. of the Gaussian noise added to what every batch norm but the last
             gives.
    share:   as in `normalise`.
    returns: (params, x (clip, lags + time, *frame), key) -> (rate (clip, time, cell),
             params). Statistics are over all clips and bins whose history is whole.
    """
    names = tuple(whole.parameters)
    norms = [n for n, s in zip(names, stages, strict=True) if s.name == "batch_norm"]

    def clip_of(stage: Stage, params: Params, x: jax.Array) -> jax.Array:
        state, _ = stage.apply(params, stage.start(params), x[: stage.lags])
        return stage.apply(params, state, x[stage.lags :])[1]

    def over_clips(one, x: jax.Array) -> jax.Array:
        # A CPU is busy with one clip, and has what that needs in its cache.
        in_turn = jax.default_backend() == "cpu"
        return lax.map(one, x) if in_turn else jax.vmap(one)(x)

    def run(params: Params, x: jax.Array, key: jax.Array) -> tuple[jax.Array, Params]:
        clips, after = x.shape[0], dict(params)
        for name, stage in zip(names, stages, strict=True):
            own = params[name]
            if stage.lags:
                x = over_clips(lambda one, s=stage, p=own: clip_of(s, p, one), x)
                continue
            flat = x.reshape(-1, *x.shape[2:])
            if name in norms:
                flat, after[name] = normalise(own, flat, share)
            else:
                flat = stage.apply(own, stage.start(own), flat)[1]
            if noise and name in norms[:-1]:
                drawn = jax.random.fold_in(key, norms.index(name))
                flat = flat + noise * jax.random.normal(drawn, flat.shape, flat.dtype)
            x = flat.reshape(clips, -1, *flat.shape[1:])
        return x, after

    return run


def contract() -> list[tuple[Stage, tuple[int, ...]]]:
    return [(batch_norm((3,)), (3,)), (batch_norm((2, 3, 2)), (2, 3, 2))]
