"""Space-time separable convolution, run as what it is: space once, then time.

Each pair of an input and an output channel has a spatial and a temporal kernel,

    y[o, t] = sum over i and lag of temporal[lag, i, o] (spatial[i, o] * x[i, t - lag])

A frame is convolved in space in the bin it arrives. Its share of this bin and of the
taps - 1 bins to come is then added to a running sum of each output map, so the state
is taps - 1 maps per output channel, not taps maps per pair of channels; no frame is
convolved twice. With n pixels in a spatial kernel a place of an output map costs
in (n + taps) multiply-adds per bin; the kernel multiplied out costs in n taps.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from retina.formulation import fastest
from retina.layers.basis import sines_and_cosines
from retina.layers.convolution import AXES, MEASURED, SMALL, convolve
from retina.layers.spectral_separable import spectral_separable
from retina.parameter import Parameter
from retina.stage import Stage

BLOCK = 32  # bins that one banded matrix product of a clip covers
CLIPS = 16  # of a measurement at most


def separable(
    shape: tuple[int, int, int],
    channels: int,
    size: int,
    taps: int,
    *,
    padding: int = 0,
) -> Stage:
    """A learned separable convolution; a kernel larger than the frame shrinks to it.

    shape:    (height, width, channel) of one input.
    channels: of the output.
    size:     height and width of the spatial kernels, pixels.
    taps:     length of the temporal kernels in bins, lag 0 included; each is a sum of
              `sines_and_cosines`.
    padding:  rows and columns of zeros around the frame; less for a small kernel.
    returns:  stage (height, width, in) -> (height', width', channels), without bias.
    source:   Höfling et al. 2024, doi 10.7554/eLife.86860 (the kernel).
    """
    height, width, inputs = shape
    rows, columns, pad = _kernel(shape, size, padding)
    high, wide, _ = output_shape(shape, channels, size, padding=padding)
    basis = sines_and_cosines(taps)
    courses = basis.shape[1]
    # Stored weights have unit spread: see `conv2d`.
    in_space = np.float32(1 / np.sqrt(rows * columns * inputs))
    in_time = np.float32(1 / np.sqrt(np.square(basis).sum()))

    def init(key: jax.Array):
        where, when = jax.random.split(key)
        space = jax.random.normal(where, (rows, columns, inputs, channels), jnp.float32)
        time = jax.random.normal(when, (courses, inputs, channels), jnp.float32)
        return {"space": space, "time": time}

    def kernels(params) -> tuple[jax.Array, jax.Array]:
        """(rows, columns, in, out) and (taps, in, out), lag 0 first."""
        time = jnp.einsum("lk,kio->lio", jnp.asarray(basis), params["time"] * in_time)
        return params["space"] * in_space, time

    def start(params, key: jax.Array | None = None) -> jax.Array:
        return jnp.zeros((taps - 1, high, wide, channels), jnp.float32)

    def step(params, later: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        space, time = kernels(params)
        maps = lax.conv_general_dilated(
            x[None],
            space.reshape(rows, columns, 1, -1),
            (1, 1),
            [(pad[0], pad[0]), (pad[1], pad[1])],
            dimension_numbers=AXES,
            feature_group_count=inputs,
        )
        maps = maps.reshape(high, wide, inputs, channels)
        if inputs == 1:  # nothing to sum over: products, not multiply-adds
            share = maps[None, :, :, 0] * time[:, None, None, 0]
        else:
            share = jnp.einsum("hwio,lio->lhwo", maps, time)
        now, share = share[0], share[1:]
        if taps == 1:
            return later, now
        # Every row changes in every bin, so moving them up costs no further pass.
        ahead = jnp.concatenate([later[1:] + share[:-1], share[-1:]])
        return ahead, later[0] + now

    def valid(params, x: jax.Array) -> jax.Array:
        space, time = kernels(params)
        if high * wide == 1:
            return _at_one_place(x.reshape(*x.shape[:2], -1, inputs), space, time)
        way = WAYS[_fastest(x.shape, space.shape, taps, pad)]
        return way(x, space, time, pad)

    def apply(params, later: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        bins = x.shape[0]
        # What frames add to each bin, those after the clip's end included.
        around = jnp.pad(x, ((taps - 1, taps - 1), (0, 0), (0, 0), (0, 0)))
        total = valid(params, around[None])[0]
        total = total.at[: taps - 1].add(later)
        return total[bins:], total[:bins]

    return Stage(
        init=init,
        start=start,
        step=step,
        apply=apply,
        lags=taps - 1,
        burn_in_s=0.0,
        parameters={
            "space": Parameter(axes=("height", "width", "channel", "out")),
            "time": Parameter(axes=("course", "channel", "out")),
        },
        about=("separable", shape, channels, size, taps, padding),
        valid=valid,
    )


def by_maps(
    x: jax.Array, space: jax.Array, time: jax.Array, pad: tuple[int, int]
) -> jax.Array:
    """Each channel's maps, then their course in time; see `spectral_separable`."""
    x = jnp.pad(x, ((0, 0), (0, 0), (pad[0], pad[0]), (pad[1], pad[1]), (0, 0)))
    return jax.vmap(_by_maps, in_axes=(0, None, None))(x, space, time)


def _by_maps(x: jax.Array, space: jax.Array, time: jax.Array) -> jax.Array:
    frames, height, width, _ = x.shape
    rows, columns, _, channels = space.shape
    high, wide = height - rows + 1, width - columns + 1

    # One input channel at a time: memory for the maps of one, not of all pairs.
    def add(total: jax.Array, one: tuple[jax.Array, ...]):
        shown, kernel, course = one
        maps: jax.Array = convolve(shown[..., None], kernel[:, :, None])
        return total + _over_time(maps.reshape(frames, -1, channels), course), None

    each = (x.transpose(3, 0, 1, 2), space.transpose(2, 0, 1, 3))
    total = jnp.zeros((channels, frames - time.shape[0] + 1, high * wide), x.dtype)
    total, _ = lax.scan(add, total, (*each, time.transpose(1, 0, 2)))
    return total.transpose(1, 2, 0).reshape(-1, high, wide, channels)


WAYS: dict[str, Callable[..., jax.Array]] = {
    "spectrum": spectral_separable,
    "maps": by_maps,
}


def _fastest(
    x: tuple[int, ...], space: tuple[int, ...], taps: int, pad: tuple[int, int]
) -> str:
    clips, frames, height, width, inputs = x
    rows, columns, _, outputs = space
    places = (height + 2 * pad[0] - rows + 1) * (width + 2 * pad[1] - columns + 1)
    if clips * frames * places * inputs * outputs * (rows * columns + taps) < SMALL:
        return "maps"

    clips, frames = min(clips, CLIPS), min(frames, MEASURED + taps - 1)

    def arguments():
        draw = np.random.default_rng(0).standard_normal
        shapes = (clips, frames, height, width, inputs), space, (taps, inputs, outputs)
        return tuple(jnp.asarray(draw(shape, np.float32)) for shape in shapes)

    def raced(way: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
        # One channel is the stimulus: nobody asks for its slope.
        still = lax.stop_gradient if inputs == 1 else lambda x: x
        return lambda x, *kernels: way(still(x), *kernels, pad)

    ways = {name: raced(way) for name, way in WAYS.items()}
    shape = (clips, frames, height, width, *space, taps, *pad)
    return fastest("separable convolution", shape, ways, arguments)


def _at_one_place(x: jax.Array, space: jax.Array, time: jax.Array) -> jax.Array:
    """(clip, bins + taps - 1, pixel, in) -> (clip, bins, 1, 1, out): kernels as large
    as frames."""
    taps = time.shape[0]
    bins = x.shape[1] - taps + 1
    maps = jnp.einsum("ctpi,pio->ctio", x, space.reshape(x.shape[2], x.shape[3], -1))
    share = jnp.einsum("ctio,lio->lcto", maps, time)
    ends = [taps - 1 - lag for lag in range(taps)]
    past = [share[lag, :, end : end + bins] for lag, end in enumerate(ends)]
    return sum(past[1:], past[0])[:, :, None, None]


def _over_time(maps: jax.Array, course: jax.Array) -> jax.Array:
    """The maps' course, of each bin with a full history.

    maps:    (bins + taps - 1, place, channel). course: (taps, channel), lag 0 first.
    returns: (channel, bins, place), by one banded product a block.
    """
    frames, _, channels = maps.shape
    taps = course.shape[0]
    bins = frames - taps + 1
    block = min(BLOCK, bins)
    over = -bins % block
    maps = jnp.pad(maps.transpose(2, 0, 1), ((0, 0), (0, over), (0, 0)))
    shifted = [
        jnp.pad(course[::-1].T, ((0, 0), (bin_, block - 1 - bin_)))
        for bin_ in range(block)
    ]
    banded = jnp.stack(shifted, axis=1)
    seen = block + taps - 1
    each = [banded @ maps[:, b : b + seen] for b in range(0, bins, block)]
    return jnp.concatenate(each, axis=1)[:, :bins]


def _kernel(shape: tuple[int, int, int], size: int, padding: int):
    """Rows and columns of the kernel, and the padding of each side that it can use."""
    rows, columns = min(size, shape[0]), min(size, shape[1])
    pad = min(padding, (rows - 1) // 2), min(padding, (columns - 1) // 2)
    return rows, columns, pad


def output_shape(
    shape: tuple[int, int, int], channels: int, size: int, *, padding: int = 0
) -> tuple[int, int, int]:
    """(height', width', channels) that `separable` makes of `shape`.

    >>> output_shape((36, 36, 16), 32, 11, padding=2)
    (30, 30, 32)
    """
    rows, columns, pad = _kernel(shape, size, padding)
    return (
        shape[0] - rows + 1 + 2 * pad[0],
        shape[1] - columns + 1 + 2 * pad[1],
        channels,
    )


def contract() -> list[tuple[Stage, tuple[int, ...]]]:
    return [
        (separable((6, 5, 1), 3, 3, 5), (6, 5, 1)),
        (separable((6, 5, 2), 3, 3, 4, padding=2), (6, 5, 2)),
        (separable((1, 1, 2), 3, 9, 1), (1, 1, 2)),
    ]
