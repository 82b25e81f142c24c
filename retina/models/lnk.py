"""LNK: a linear filter, a sigmoid, four-state kinetics, and an output."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np

from retina.chunked import in_chunks
from retina.circuit.kinetics import kinetics
from retina.errors import at_least_zero
from retina.fitting.start import mean_counts
from retina.layers.door import image_shape
from retina.layers.nonlinearity import output, output_from_mean
from retina.models.ln import roughness, stimulus_filter
from retina.parameter import Parameter
from retina.recipe import Recipe
from retina.stage import Model, Stage, chain, memoryless
from retina.types import Spec


def lnk(
    spec: Spec,
    /,
    *,
    lags: int = 30,
    rank: int | None = 2,
    basis: int | None = None,
    window: int = 13,
    output_kind: str = "softplus",
    smooth: float = 1e-4,
) -> Model:
    """Adaptation by depletion: the LN drive opens a synapse that runs down and refills.

    lags, rank, basis, window, output_kind, smooth: as in `ln`.
    source: Ozuysal & Baccus 2012, doi 10.1016/j.neuron.2011.12.029.

    >>> lnk(Spec((), 2, 1 / 30)).stage.burn_in_s
    8.0
    """
    at_least_zero(smooth=smooth)
    stages, warm = stimulus_filter(spec, lags, rank, basis, window)
    stage = chain(
        *stages,
        activation(spec.cells),
        kinetics(spec.cells, spec.bin_s),
        affine(spec.cells),
        output(output_kind, spec.cells),
    )
    # Of an image the filter is most of the work, and its output a small part of memory.
    pixels = math.prod(image_shape(spec))
    stage = in_chunks(stage, "" if pixels == 1 else "activation")

    def warm_start(params, clips):
        started = warm(params, clips)
        if "temporal" in started:
            # The average's filter gives a drive of about its own size; the sigmoid
            # wants about one.
            started["temporal"] = {"weights": unit_drive(started)}
        counts = mean_counts(clips)
        start = output_from_mean(output_kind, params["output"], counts)
        return params | started | {"output": start}

    return Model(
        "lnk",
        spec,
        stage,
        warm_start=warm_start,
        penalty=lambda params: smooth * roughness(params),
        recipe=Recipe("adam", learning_rate=1e-2, clip_bins=512, batch=16),
    )


def unit_drive(params):
    """Temporal weights scaled so that white noise gives each cell a drive of s.d. 1."""
    space = np.asarray(params["spatial"]["filters"], np.float64)
    time = np.asarray(params["temporal"]["weights"], np.float64)
    cells, rank = space.shape[:2]
    space = space.reshape(cells, rank, -1)
    overlap = np.einsum("nkp,njp->nkj", space, space)
    power = np.einsum("bnk,bnj,nkj->n", time, time, overlap)
    scale = 1 / np.sqrt(np.maximum(power, 1e-12))
    return jnp.asarray(time * scale[None, :, None], jnp.float32)


def activation(cells: int) -> Stage:
    """sigmoid(drive + bias): the fraction of release sites that the drive opens."""

    def opened(params, drive: jax.Array) -> jax.Array:
        along = (1,) * (drive.ndim - 1) + (-1,)
        return jax.nn.sigmoid(drive + params["bias"].reshape(along))

    return memoryless(
        opened,
        batch=opened,
        init=lambda key: {"bias": jnp.full(cells, -1.0, jnp.float32)},
        parameters={"bias": Parameter(-1.0, axes=("cell",))},
        about=("activation", cells),
    )


def affine(cells: int, scale: float = 20.0) -> Stage:
    """scale x active fraction; the offset is the output's bias."""

    def scaled(params, x: jax.Array) -> jax.Array:
        return x * params["scale"].reshape((1,) * (x.ndim - 1) + (-1,))

    return memoryless(
        scaled,
        batch=scaled,
        init=lambda key: {"scale": jnp.full(cells, scale, jnp.float32)},
        parameters={"scale": Parameter(scale, axes=("cell",))},
        about=("affine", cells, scale),
    )
