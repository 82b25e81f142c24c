"""Integrated gradients: how much of a rate each unit inside a model accounts for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from retina.clocks import between
from retina.errors import BadSetting, at_least_one, nearest
from retina.exact import in_float32
from retina.probes.rates import before, check_cell, grey, history, signal, whole_frames
from retina.stage import Stage
from retina.types import Fit

Parts = tuple[tuple[str, Stage], ...]


class Attribution(NamedTuple):
    """What the units of one part of a model add to a cell's rate, counts per bin.

    values:    (moment, *out) float64; over the units they add to rate - reference.
    rate:      (moment,) float64, at each moment.
    reference: to a stimulus that never leaves its mean.
    part:      the part whose output it is.
    """

    values: np.ndarray
    rate: np.ndarray
    reference: float
    part: str


@in_float32
def attribution(
    fit: Fit,
    stimulus: np.ndarray,
    cell: int,
    moments: Sequence[int],
    *,
    part: str | None = None,
    steps: int = 64,
) -> Attribution:
    """Integrated gradients of one cell's rate at the output of a part of the model.

    The stimulus grows from its mean to what was shown, in equal steps. Along the way
    the slope of the rate with respect to a unit's output, times the change of that
    output, is added up over the steps and over the bins that the rate looks back on.

    stimulus: (time, *frame), as the recording stores it.
    cell:     its number in the model.
    moments:  bins of the stimulus, each with the model's whole history before it.
    part:     name of a stage of the model's chain (`parts(fit)` lists them); None: what
              the readout reads, the third from the end.
    steps:    of the path; values add up to the rate's rise within an error that falls
              with their square where the model is smooth.
    raises:   BadSetting, ShapeMismatch.
    source:   Sundararajan et al. 2017, arXiv 1703.01365; Tanaka et al. 2019,
              arXiv 1912.06207 (units inside a model of the retina).

    A model that listens hears its mean counts.

    >>> from retina.build import model
    >>> from retina.types import Spec
    >>> lnln = model("lnln", Spec((6, 5), 2, 0.01), lags=4, subunits=3, size=3)
    >>> params = lnln.stage.init(jax.random.key(0))
    >>> fit = Fit(lnln, params, (params,), np.full(2, 0.1), {}, (), {})
    >>> shown = np.random.default_rng(0).standard_normal((9, 6, 5)).astype(np.float32)
    >>> found = attribution(fit, shown, 0, [8])
    >>> found.part, found.values.shape
    ('relu', (1, 4, 3, 3))
    >>> bool(np.allclose(found.values.sum((1, 2, 3)), found.rate - found.reference))
    True
    """
    at_least_one(steps=steps)
    check_cell(fit, cell)
    front, rest, name = _cut(fit, part)
    bins = whole_frames(fit.model, history(fit.model) + 1)
    shown = before(fit, stimulus, moments, bins)
    begins = jnp.asarray(moments, jnp.int32) + 1 - bins
    mean = grey(fit, bins)
    heard = signal(fit, mean)[1] if fit.model.stage.uses_response else None
    share = jnp.arange(1, steps + 1, dtype=jnp.float32) / steps

    def one(given):
        x, begin = given

        def inside(x):
            return _through(fit, front, x, heard, begin)

        def rate(z):
            return _through(fit, rest, z, heard, begin)[-1, cell]

        def step(carry, at):
            z, total = carry
            new = inside(mean + at * (x - mean))
            # The slope halfway along the chord: exact where the rest is quadratic.
            slope = jax.grad(rate)((z + new) / 2)
            return (new, total + (slope * (new - z)).sum(0)), None

        start = inside(mean)
        none = jnp.zeros_like(start[0])
        (end, total), _ = lax.scan(step, (start, none), share)
        return total, rate(end), rate(start)

    values, said, rest_rate = jax.jit(lambda every: lax.map(one, every))(
        (shown, begins)
    )
    return Attribution(
        np.asarray(values, np.float64),
        np.asarray(said, np.float64),
        float(rest_rate[0]),
        name,
    )


def parts(fit: Fit) -> list[str]:
    """Names of the stages that a model's signal passes, in order.

    raises: BadSetting for a model that is one stage.
    """
    names = [name for name, _ in fit.model.stage.parts]
    if not names:
        raise BadSetting(f"{fit.model.name} is one stage: it has no parts")
    return names


def _cut(fit: Fit, part: str | None) -> tuple[Parts, Parts, str]:
    """What leads up to a part, itself included, and what comes after it."""
    names = parts(fit)
    if part is None:
        part = names[max(len(names) - 3, 0)]
    if part not in names:
        raise BadSetting(
            f"no part {part!r} of {fit.model.name}: {nearest(part, names)}"
        )
    end = names.index(part) + 1
    every = fit.model.stage.parts
    return every[:end], every[end:], part


def _through(
    fit: Fit, some: Parts, x: jax.Array, heard: jax.Array | None, begin: jax.Array
) -> jax.Array:
    """A clip through some parts in a row, each from a cold start on one bin."""
    for name, stage in some:
        own = fit.params[name]
        x = between(fit.model, name, x, begin)
        given = (x, heard) if stage.uses_response else x
        x = stage.apply(own, stage.start(own), given)[1]
    return x
