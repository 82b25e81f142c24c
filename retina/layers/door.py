"""The model's door: whatever the stimulus rests as becomes standardised float32."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from retina.errors import BadSetting
from retina.stage import Stage, memoryless
from retina.types import Spec


def door(spec: Spec) -> Stage:
    """Cast to float32, subtract the training mean, divide by the training s.d.

    spec:    its stimulus_mean and stimulus_sd; 0 and 1 leave only the cast, which is
             then all that the step costs.
    returns: stage (*frame) -> (height, width) float32; a full field is 1 x 1.

    >>> door(Spec((), 1, 0.01, 2.0, 4.0)).step({}, (), jnp.float32(6))[1].tolist()
    [[1.0]]
    """
    height, width = image_shape(spec)
    plain = spec.stimulus_mean == 0 and spec.stimulus_sd == 1

    def standardise(params, x: jax.Array) -> jax.Array:
        x = x.astype(jnp.float32)
        if not plain:
            x = (x - spec.stimulus_mean) * (1 / spec.stimulus_sd)
        return x

    return memoryless(
        lambda params, x: standardise(params, x).reshape(height, width),
        batch=lambda params, x: standardise(params, x).reshape(-1, height, width),
        about=("door", spec.stimulus_mean, spec.stimulus_sd),
    )


def one_channel() -> Stage:
    """(height, width) -> (height, width, 1): an image as convolutions take it.

    >>> one_channel().step({}, (), jnp.ones((2, 3)))[1].shape
    (2, 3, 1)
    """
    return memoryless(
        lambda params, x: x[..., None],
        batch=lambda params, x: x[..., None],
        about=("one_channel",),
    )


def image_shape(spec: Spec) -> tuple[int, int]:
    """(height, width) of a frame; a full field is one pixel, a bar code one row."""
    if len(spec.frame) > 2:
        raise BadSetting(
            f"frames of shape {spec.frame}: models take (), (width,) or (height, width)"
        )
    return (1,) * (2 - len(spec.frame)) + spec.frame  # type: ignore[return-value]


def contract() -> list[tuple[Stage, tuple[int, ...]]]:
    return [(door(Spec((3, 4), 1, 0.01, 0.5, 2.0)), (3, 4)), (one_channel(), (3, 4))]
