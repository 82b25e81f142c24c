"""The door of a model with photoreceptors: the stimulus becomes light."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from retina.errors import BadSetting
from retina.layers.door import image_shape
from retina.stage import Stage, memoryless
from retina.types import Spec

FAINT = 0.1  # of the s.d.; light that counts from 0 has a larger mean


def light(spec: Spec, mean_rstar_per_s: float) -> Stage:
    """Contrast or coded light to photoisomerisations; see `retina.types.Recording`.

    mean_rstar_per_s: of the training stimulus, from `mean_light`.
    returns: stage (*frame) -> (height, width) float32, R*/photoreceptor/s, never below
             0; a full field is 1 x 1.
    raises:  BadSetting for a stimulus that is no light.

    >>> dim = light(Spec((), 1, 0.01), 100.0)
    >>> [dim.step({}, (), jnp.float32(c))[1].item() for c in (-2.0, 0.0, 0.5)]
    [0.0, 100.0, 150.0]
    """
    height, width = image_shape(spec)
    mean, sd = spec.stimulus_mean, spec.stimulus_sd
    contrast = mean == 0 and sd == 1
    if not contrast and mean < FAINT * sd:
        raise BadSetting(
            f"{spec.dataset or 'the recording'}: a training stimulus of mean {mean:.3g}"
            f" and s.d. {sd:.3g} is no light that counts from darkness at 0: store it "
            'as such, or scaled to unit contrast with coding = "contrast"'
        )

    def isomerised(params, x: jax.Array) -> jax.Array:
        x = x.astype(jnp.float32)
        x = (1 + x) * mean_rstar_per_s if contrast else x * (mean_rstar_per_s / mean)
        return jax.nn.relu(x)

    return memoryless(
        lambda params, x: isomerised(params, x).reshape(height, width),
        batch=lambda params, x: isomerised(params, x).reshape(-1, height, width),
        about=("light", mean_rstar_per_s, mean, sd),
    )


def mean_light(spec: Spec, asked: float | None) -> float:
    """R*/photoreceptor/s: what is asked for, or else what the recording's card says.

    raises: BadSetting where neither says it.

    >>> mean_light(Spec((), 1, 0.01, mean_rstar_per_s=300.0), None)
    300.0
    """
    mean = spec.mean_rstar_per_s if asked is None else asked
    if mean is None:
        raise BadSetting(
            f"{spec.dataset or 'the recording'} does not say how bright it was: write "
            "mean_rstar_per_s (R*/photoreceptor/s) and its source on the card, or try "
            "a value with mean_rstar_per_s=1000"
        )
    if not 0 < mean < float("inf"):
        raise BadSetting(f"mean_rstar_per_s {mean:g}: above 0, in R*/photoreceptor/s")
    return float(mean)


def contract() -> list[tuple[Stage, tuple[int, ...]]]:
    return [
        (light(Spec((3, 4), 1, 0.01), 20.0), (3, 4)),
        (light(Spec((2,), 1, 0.01, 0.5, 2.0), 20.0), (2,)),
    ]
