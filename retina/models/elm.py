"""Each ganglion cell an expressive leaky memory neuron on its window of the frame."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from retina.errors import BadSetting, at_least_one, at_least_zero
from retina.fitting.start import mean_counts, spike_triggered_average
from retina.layers import elm as neuron
from retina.layers import receptive_field as field
from retina.layers.door import door, image_shape
from retina.layers.nonlinearity import output, output_from_mean
from retina.layers.patches import patches, patches_shape
from retina.models.mlp import flat, squares
from retina.recipe import Recipe
from retina.stage import Model, chain
from retina.types import Spec


def elm(
    spec: Spec,
    /,
    *,
    memory: int = 10,
    window: int = 12,
    patch: int = 3,
    synapse_tau_s: float = 0.005,
    memory_tau_s: tuple[float, float] = (0.01, 0.3),
    output_kind: str = "softplus",
    shrink: float = 4e-5,
) -> Model:
    """Pixels are synapses, patches of them branches; memories carry the past.

    memory:        memory units per cell.
    window:        pixels on a side of a cell's window, centred on its receptive field.
    patch:         pixels on a side of a branch; a window of 12 holds 16 patches of 3.
    synapse_tau_s: time constant of synapses.
    memory_tau_s:  of the fastest and the slowest memory, the others evenly between on a
                   logarithmic axis. A clip is preceded by four of the slowest.
    output_kind:   softplus, exp or spline.
    shrink:        weight of the sum of squares of the kernels as stored.
    source:        Spieler et al. 2023, arXiv 2306.16922.

    >>> elm(Spec((), 2, 0.01)).stage.burn_in_s
    1.2
    """
    at_least_one(memory=memory, window=window, patch=patch)
    at_least_zero(shrink=shrink)
    if not 0 < memory_tau_s[0] <= memory_tau_s[1]:
        raise BadSetting(f"memory_tau_s {memory_tau_s}: above 0, the fastest first")
    if not synapse_tau_s > 0:
        raise BadSetting(f"synapse_tau_s {synapse_tau_s:g}: above 0")
    image = image_shape(spec)
    branches, synapses = patches_shape(image, window, patch)
    cell = neuron.elm(
        branches,
        synapses,
        memory,
        1,
        bin_s=spec.bin_s,
        synapse_tau_s=synapse_tau_s,
        memory_tau_s=memory_tau_s,
        neurons=spec.cells,
    )
    stage = chain(
        door(spec),
        patches(image, spec.cells, window, patch),
        cell,
        flat((spec.cells, 1)),
        output(output_kind, spec.cells),
    )

    def warm_start(params, clips):
        taps = max(1, round(2 * memory_tau_s[1] / spec.bin_s))
        average = spike_triggered_average(clips, taps, spec)
        corner = field.place(average, window)
        # A pixel's synapse starts as strong as its average swings in time; the sign of
        # a branch is the mlp's to choose.
        swing = np.sqrt(np.square(average.astype(np.float64)).mean(0, keepdims=True))
        one = patches(image, 1, window, patch)
        strength = jax.vmap(
            lambda frame, at: one.step({"corner": at[None]}, (), frame)[1][0]
        )(jnp.asarray(swing[0], jnp.float32), jnp.asarray(corner))
        strongest = jnp.max(strength, axis=(1, 2), keepdims=True)
        weights = jnp.maximum(strength / jnp.maximum(strongest, 1e-12), 0.05)
        start = output_from_mean(output_kind, params["output"], mean_counts(clips))
        return params | {
            "patches": {"corner": jnp.asarray(corner)},
            "elm": params["elm"] | {"synapses": weights},
            "output": start,
        }

    return Model(
        "elm",
        spec,
        stage,
        warm_start=warm_start,
        penalty=lambda params: shrink * squares(params, "kernel"),
        recipe=Recipe("adam", learning_rate=2e-2, clip_bins=128, batch=4),
    )
