"""Model template: say here, in one line, what it computes."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from retina.errors import BadSetting, at_least_zero
from retina.fitting.start import mean_counts
from retina.layers.door import door, image_shape
from retina.parameter import Parameter
from retina.recipe import Recipe
from retina.stage import Model, Stage, chain, memoryless, recurrent
from retina.types import Spec

SLOWEST_S = 0.5


def template(
    spec: Spec, /, *, fast_s: float = 0.03, slow_s: float = 0.1, shrink: float = 1e-3
) -> Model:
    """Two leaky averages of the stimulus, weighed by each cell, and a softplus.

    fast_s, slow_s: time constants at the start of a fit, seconds.
    shrink:         weight of the mean squared weight in the loss.
    source:         name the paper and its equation here.

    >>> template(Spec((8, 8), 3, 0.01)).stage.about[0]
    'chain'
    """
    at_least_zero(shrink=shrink)
    for name, value in (("fast_s", fast_s), ("slow_s", slow_s)):
        if not 0 < value < SLOWEST_S:
            raise BadSetting(f"{name} {value}: between 0 and {SLOWEST_S} seconds")
    stages = (door(spec), leaks(spec, fast_s, slow_s), readout(spec))

    def warm_start(params, clips):
        """From training data alone: each cell starts at its mean count."""
        gain = jnp.asarray(mean_counts(clips) / math.log(2.0), jnp.float32)
        return params | {"readout": params["readout"] | {"gain": gain}}

    return Model(
        "template",
        spec,
        chain(*stages),
        warm_start=warm_start,
        # Added to the loss as it is: a mean, so that more cells do not change it.
        penalty=lambda params: shrink * jnp.mean(params["readout"]["weights"] ** 2),
        recipe=Recipe("adam", learning_rate=0.01, max_steps=3000),
    )


def leaks(spec: Spec, fast_s: float, slow_s: float) -> Stage:
    """(height, width) -> (2, height, width): s' = s + (1 - exp(-dt / tau)) (x - s).

    A stage with a state is given by its step; a fit keeps each parameter in its bounds.
    """

    def step(params, state, x):
        keep = jnp.exp(-spec.bin_s / params["tau_s"])[:, None, None]
        state = keep * state + (1 - keep) * x[None]
        return state, state

    return recurrent(
        step,
        start=lambda params, key=None: jnp.zeros((2, *image_shape(spec)), jnp.float32),
        init=lambda key: {"tau_s": jnp.array([fast_s, slow_s], jnp.float32)},
        parameters={"tau_s": Parameter(unit="s", low=0.0, high=SLOWEST_S)},
        about=("leaks", fast_s, slow_s),
        burn_in_s=4 * SLOWEST_S,
    )


def readout(spec: Spec) -> Stage:
    """(2, height, width) -> (cell,) expected counts per bin, never negative."""
    shape = (spec.cells, 2, *image_shape(spec))

    def rate(params, averages):
        drive = jnp.einsum("cthw,thw->c", params["weights"], averages)
        return params["gain"] * jax.nn.softplus(drive + params["bias"])

    return memoryless(
        rate,
        init=lambda key: {
            "weights": 0.01 * jax.random.normal(key, shape),
            "gain": jnp.full(spec.cells, 0.1, jnp.float32),
            "bias": jnp.zeros(spec.cells, jnp.float32),
        },
        parameters={
            "weights": Parameter(axes=("cell", "channel", "height", "width")),
            "gain": Parameter(unit="count", low=0.0),
            "bias": Parameter(),
        },
        about=("readout", spec.cells),
    )
