"""The most exciting input: the clip that drives one cell of a model hardest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from retina.clocks import bins_held
from retina.errors import BadSetting, at_least_one
from retina.exact import in_float32
from retina.probes.rates import (
    check_cell,
    check_slope,
    grey,
    history,
    memory,
    signal,
    whole_frames,
)
from retina.types import Fit

NORM = 5.0  # chosen: an event of five s.d., about the largest a long recording shows
STEP = 0.1  # of the reach, falling to nothing along a cosine
MOMENTUM = 0.9


class Exciting(NamedTuple):
    """A clip that was made for a cell.

    stimulus: (time, *frame) float32, in units of the recording's stimulus.
    rate:     (time, cell) float32, what the model says to it, counts per bin.
    """

    stimulus: np.ndarray
    rate: np.ndarray


@in_float32
def exciting_input(
    fit: Fit,
    cell: int,
    *,
    key: jax.Array,
    against: Sequence[int] = (),
    norm: float | None = NORM,
    limits: tuple[float, float] | None = None,
    lags: int | None = None,
    over: int = 1,
    steps: int = 200,
    starts: int = 4,
) -> Exciting:
    """Projected gradient ascent from noise on a cell's rate at the end of a clip.

    cell:    its number in the model.
    against: other cells that should stay quiet: the log of (1 + rate / mean rate) of
             the cell, less that of their average, is maximised.
    norm:    of the clip about the stimulus mean, in units of the stimulus s.d., kept
             after every step: white noise has an s.d. of 1 along any one direction.
             None: only `limits` hold.
    limits:  (low, high) of every value, in units of the stimulus; where both are given
             the norm is at most `norm`.
    lags:    bins before the first that counts, itself included; None: as far as the
             model looks. Before them it is shown the stimulus mean.
    over:    the mean rate of this many last bins is maximised.
    steps:   of ascent along the gradient's direction, with momentum.
    starts:  clips of noise to climb from; the best end is returned.
    raises:  BadSetting, also where the rate has no slope anywhere on the way.
    source:  Walker et al. 2019, doi 10.1038/s41593-019-0517-x (most exciting input);
             Burg et al. 2024, openreview.net/forum?id=9W6KaAcYlr (`against`).

    For a linear filter and a rising nonlinearity it is the filter, scaled to the norm.
    The gradient enters by its direction alone: scaled for each pixel, as Adam does, its
    fixed point under a norm would be the filter's signs.

    >>> from retina.build import model
    >>> from retina.types import Spec
    >>> ln = model("ln", Spec((), 2, 0.01), lags=5)
    >>> params = ln.stage.init(jax.random.key(0))
    >>> fit = Fit(ln, params, (params,), np.full(2, 0.1), {}, (), {})
    >>> best = exciting_input(fit, 0, key=jax.random.key(1), steps=50)
    >>> float(np.linalg.norm(best.stimulus).round(3))
    5.0
    """
    at_least_one(lags=lags, over=over, steps=steps, starts=starts)
    for one in (cell, *against):
        check_cell(fit, one)
    _check_bounds(norm, limits)
    spec, stage, params = fit.model.spec, fit.model.stage, fit.params
    bins = (memory(fit.model) if lags is None else lags) + over - 1
    each = bins_held(fit.model)
    shape = (whole_frames(fit.model, bins) // each, *spec.frame)
    mean, spread = np.float32(spec.stimulus_mean), np.float32(spec.stimulus_sd)
    edges = None
    # The norm is of the clip as it is shown, each frame `each` times.
    size = None if norm is None else norm / float(np.sqrt(each))
    reach = size
    if limits is not None:
        edges = tuple(np.float32((end - mean) / spread) for end in limits)
        if norm is None:
            reach = float(edges[1] - edges[0]) / 2 * float(np.sqrt(np.prod(shape)))
    null = jnp.maximum(jnp.asarray(fit.null_rate, jnp.float32), 1e-6)
    others = jnp.asarray(against, jnp.int32)

    def project(z):
        if size is not None:
            z = z * (size / jnp.maximum(jnp.linalg.norm(z), 1e-12))
        return z if edges is None else jnp.clip(z, *edges)

    def shown(z):
        return mean + spread * jnp.repeat(z, each, axis=0)

    def respond(state, z):
        return stage.apply(params, state, signal(fit, shown(z)))[1]

    def gain(state, z):
        often = respond(state, z)[-over:].mean(0) / null
        alone = jnp.log1p(often[cell])
        return alone - jnp.log1p(often[others].mean()) if against else alone

    schedule = optax.cosine_decay_schedule(STEP * float(reach or 0), steps)
    ascent = optax.sgd(schedule, momentum=MOMENTUM)

    def climb(state, key):
        def step(carry, _):
            z, moving = carry
            slope = jax.grad(gain, argnums=1)(state, z)
            steep = jnp.linalg.norm(slope)
            uphill = -slope / jnp.maximum(steep, 1e-30)
            with jax.numpy_dtype_promotion("standard"):  # optax mixes dtypes
                change, moving = ascent.update(uphill, moving)
            return (project(z + jnp.asarray(change, z.dtype)), moving), steep != 0

        begin = project(jax.random.normal(key, shape, jnp.float32))
        (z, _), moved = lax.scan(step, (begin, ascent.init(begin)), length=steps)
        return z, gain(state, z), respond(state, z), jnp.any(moved)

    @jax.jit
    def run(keys):
        state = stage.start(params)
        lead = signal(fit, grey(fit, whole_frames(fit.model, history(fit.model))))
        if history(fit.model):
            state, _ = stage.apply(params, state, lead)
        return jax.vmap(climb, (None, 0))(state, keys)

    clips, gains, rate, moved = map(np.asarray, run(jax.random.split(key, starts)))
    if not np.isfinite(gains).any():
        raise BadSetting(f"norm {norm}: the rate of cell {cell} overflows: lower it")
    check_slope(fit, cell, moved)
    best = int(np.argmax(np.where(np.isfinite(gains), gains, -np.inf)))
    return Exciting(np.asarray(shown(clips[best])), rate[best])


def _check_bounds(norm: float | None, limits: tuple[float, float] | None) -> None:
    if norm is None and limits is None:
        raise BadSetting("nothing bounds the clip: give norm or limits")
    if norm is not None and not norm > 0:
        raise BadSetting(f"norm {norm}: above 0")
    if limits is not None and not limits[0] < limits[1]:
        raise BadSetting(f"limits {limits}: (low, high), low below high")
