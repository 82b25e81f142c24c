"""A few separable filters per cell, taken from data: one place, several time courses.

What is compared with a threshold must come out the same to the last bit in both views,
or a rounding error becomes a jump. `stepwise` therefore scans the step for a clip.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from retina.layers.receptive_field import spatial
from retina.parameter import Parameter
from retina.stage import Stage, chain, recurrent, windowed


def projections(
    image: tuple[int, int], cells: int, taps: int, count: int, window: int
) -> Stage:
    """Each cell's window filtered in space once, then by `count` courses in time.

    taps:    length of the courses in bins, lag 0 included.
    returns: stage (height, width) -> (cell, count); no gradient moves its filters.
    """
    bank = chain(
        spatial(image, cells, 1, window),
        _courses(cells, taps, count),
        about=("projections", image, cells, taps, count, window),
    )
    fixed = jax.tree.map(
        lambda one: dataclasses.replace(one, trainable=False), bank.parameters
    )
    return bank._replace(parameters=fixed)


def _courses(cells: int, taps: int, count: int) -> Stage:
    """(cell, 1) -> (cell, count); params["courses"] is (taps, cell, count)."""

    def init(key: jax.Array):
        drawn = jax.random.normal(key, (taps, cells, count), jnp.float32)
        return {"courses": drawn / jnp.sqrt(jnp.float32(taps))}

    def window(params, past: jax.Array) -> jax.Array:
        return jnp.einsum("tn,tnk->nk", past[..., 0], params["courses"][::-1])

    return windowed(
        window,
        taps,
        shape=(cells, 1),
        init=init,
        parameters={
            "courses": Parameter(
                source="spike-triggered average, covariance",
                axes=("time", "cell", "rank"),
            )
        },
        about=("courses", cells, taps, count),
    )


def stepwise(*stages: Stage) -> Stage:
    """The chain of some stages, whose clip view is its own step in a scan."""
    whole = chain(*stages)
    return recurrent(
        whole.step,
        start=whole.start,
        about=("stepwise", *whole.about[1:]),
        init=whole.init,
        parameters=whole.parameters,
        burn_in_s=whole.burn_in_s,
        lags=whole.lags,
        uses_response=whole.uses_response,
    )


def contract() -> list[tuple[Stage, tuple[int, ...]]]:
    bank = projections((6, 5), 3, 4, 2, 4)
    return [(bank, (6, 5)), (stepwise(bank), (6, 5))]
