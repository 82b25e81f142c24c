"""Separable space-time convolutions shared by all cells, and a readout of each cell."""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np

from retina.clocks import frames_of, on_frames, two_clocks
from retina.errors import BadSetting, at_least_one, at_least_zero, nearest
from retina.fitting.start import field_centres, mean_counts, spike_triggered_average
from retina.layers.door import door, image_shape, one_channel
from retina.layers.gaussian_readout import gaussian_mask, place_at, point
from retina.layers.history import history_output, loudness, silent_start
from retina.layers.nonlinearity import output, output_from_mean, pointwise
from retina.layers.readout import factorised, look_at
from retina.layers.separable import output_shape, separable
from retina.models.lnln import bias
from retina.parameter import Parameter
from retina.recipe import Recipe
from retina.stage import Model, Stage, before, chain, memoryless
from retina.types import Spec

READOUTS: dict[str, Callable[[tuple[int, int, int], int], Stage]] = {
    "gaussian_mask": gaussian_mask,
    "factorised": factorised,
    "point": point,
}
OUT = Parameter(axes=("out",))
PADDING = 2  # pixels, of every layer but the first


def core_readout(
    spec: Spec,
    /,
    *,
    hidden_channels: tuple[int, ...] = (16, 16),
    temporal_sizes: tuple[int, ...] = (21, 11),
    sizes: tuple[int, ...] = (11, 5),
    readout: str = "gaussian_mask",
    history: int | None = None,
    history_basis: int = 8,
    coupling: bool = False,
    output_kind: str = "softplus",
    smooth: float = 1e-3,
    sparse: float = 1e-3,
    history_shrink: float = 1e-5,
) -> Model:
    """Layers of separable convolution, scale, offset and ELU; readout; output.

    With spike history, all but the output runs once per frame: where that has several
    bins, the kernels reach as many times as far.

    hidden_channels: of each layer; as many layers as entries.
    temporal_sizes:  bins that each layer's temporal kernels see; with history, frames.
    sizes:           height and width of each layer's spatial kernels in pixels; larger
                     than the map: the map.
    readout:         gaussian_mask, factorised or point, started at the cells' receptive
                     fields.
    history:         bins of past counts added to the drive, as in `glm`; None: none.
    history_basis, coupling: as in `glm`.
    output_kind:     softplus, exp or spline.
    smooth:          weight of the mean square of the temporal weights, each times its
                     frequency as a share of the highest.
    sparse:          weight of the mean size of the readout's features, and of its mask:
                     of the entries, or of a Gaussian's variance over the map's area.
    history_shrink:  weight of the mean squared history weight, where there is one.
    source:          Höfling et al. 2024, doi 10.7554/eLife.86860; open-retina, whose
                     kernels and counts of parameters these are; for the readouts
                     `gaussian_mask`, `factorised` and `point` say theirs.

    Where open-retina normalises over the batch, `norm` has that layer's learned scale
    and offset at a fixed mean of 0 and variance of 1: what batch normalisation is once
    its statistics are frozen and folded in. Fits differ from theirs in that.

    >>> core_readout(Spec((20, 20), 3, 0.01), hidden_channels=(2, 2)).stage.lags
    30
    """
    at_least_one(hidden_channels=hidden_channels, temporal_sizes=temporal_sizes)
    at_least_one(sizes=sizes)
    at_least_one(history=history, history_basis=history_basis)
    at_least_zero(smooth=smooth, sparse=sparse, history_shrink=history_shrink)
    if coupling and not history:
        raise BadSetting("coupling needs a history: --set history=30")
    each = spec.bins_per_frame if history else 1
    layers = list(zip(hidden_channels, temporal_sizes, sizes, strict=False))
    if not len(hidden_channels) == len(temporal_sizes) == len(sizes) == len(layers) > 0:
        raise BadSetting(
            f"hidden_channels {hidden_channels}, temporal_sizes {temporal_sizes} and "
            f"sizes {sizes}: one entry per layer in each"
        )
    if readout not in READOUTS:
        raise BadSetting(f"readout {readout!r}: {nearest(readout, READOUTS)}")
    seen, image = on_frames(spec) if history else spec, image_shape(spec)
    stages: list[Stage] = [
        door(seen),
        one_channel(),
    ]
    shape, padding = (*image, 1), 0
    for channels, taps, size in layers:
        stages.append(separable(shape, channels, size, taps, padding=padding))
        shape = output_shape(shape, channels, size, padding=padding)
        padding = PADDING
        stages += [norm(shape), bias(shape), pointwise("elu")]
    look = READOUTS[readout](shape, spec.cells)
    grid, drive = shape[:2], chain(*stages, look)
    if history:
        heard = history_output(
            output_kind,
            spec.cells,
            taps=history,
            basis=history_basis,
            coupling=coupling,
        )
        stage = two_clocks(spec, *stages, look, heard)
    else:
        stage = chain(*stages, look, output(output_kind, spec.cells))

    def warm_start(params, clips):
        name = "history_output" if history else "output"
        start = silent_start if history else output_from_mean
        own = start(output_kind, params[name], mean_counts(clips))
        params = params | {name: own}
        if grid == (1, 1):
            return params
        clips = frames_of(clips, spec) if history else clips
        average = spike_triggered_average(clips, drive.lags + 1, seen)
        centres = field_centres(average, image, grid)
        if readout == "factorised":
            placed = {"mask": look_at(centres, grid, params[look.name]["mask"])}
        else:
            placed = {"place": place_at(centres, grid)}
        params[look.name] = params[look.name] | placed
        return params

    def penalty(params):
        rough = sum(
            wiggle(part["time"])
            for name, part in params.items()
            if name.startswith("separable")
        )
        own = params[look.name]
        large = jnp.mean(jnp.abs(own["features"]))
        if "mask" in own:
            large = large + jnp.mean(jnp.abs(own["mask"]))
        if "log_variance" in own:
            large = large + jnp.mean(jnp.exp(own["log_variance"])) / (grid[0] * grid[1])
        loud = loudness(params["history_output"]) if history else 0.0
        return smooth * rough + sparse * large + history_shrink * loud

    return Model(
        "core_readout",
        spec,
        stage,
        warm_start=warm_start,
        penalty=penalty,
        recipe=Recipe(learning_rate=1e-2, clip_bins=128 * each, batch=2),
        core=before(stage, look.name),
    )


def norm(shape: tuple[int, ...]) -> Stage:
    """A learned scale and offset per channel: batch normalisation's, without the batch.

    The place of a batch normalisation; it then takes over both parameters.
    """

    def of(params, name: str, ndim: int):
        return params[name].reshape((1,) * (ndim - 1) + (-1,))

    def function(params, x):
        return x * of(params, "weight", x.ndim) + of(params, "bias", x.ndim)

    ones, zeros = np.ones(shape[-1], np.float32), np.zeros(shape[-1], np.float32)
    return memoryless(
        function,
        batch=function,
        init=lambda key: {"weight": jnp.asarray(ones), "bias": jnp.asarray(zeros)},
        parameters={"weight": OUT, "bias": OUT},
        about=("norm", shape),
    )


def wiggle(time):
    """Mean square of temporal weights (course, in, out), by share of top frequency."""
    sines = len(time) // 2
    periods = [*range(1, sines + 1), *range(len(time) - sines)]
    share = jnp.asarray(periods, jnp.float32) * (1 / max(sines, 1))
    return jnp.mean(jnp.square(share[:, None, None] * time))
