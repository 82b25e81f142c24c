"""A table of expected counts, read at the place that a few quantised numbers give."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from retina.errors import BadSetting
from retina.parameter import Parameter
from retina.stage import Stage, memoryless

LARGEST = 2**20  # entries per cell


def look_up(cells: int, inputs: int, levels: int) -> Stage:
    """Each cell's inputs cut into equal steps, and the table's entry at that place.

    inputs:  numbers per cell; the table has levels ** inputs entries for each cell.
    levels:  steps per number; what lies beyond the first or last belongs to it.
    returns: stage (cell, inputs) -> (cell,).
    raises:  BadSetting for a table beyond LARGEST.

    A level is a subtraction, a product, a clip and a conversion; the place is integer
    work, and the entry one word read.
    """
    entries = levels**inputs
    if entries > LARGEST:
        raise BadSetting(
            f"a table of levels ** filters = {levels} ** {inputs} entries per cell: "
            f"at most {LARGEST:,}; lower one of them"
        )
    first = np.arange(cells, dtype=np.int32) * np.int32(entries)

    def init(key: jax.Array):
        # Steps over -3 to 3, and counts of about one.
        drawn = jax.random.normal(key, (cells, entries), jnp.float32)
        return {
            "low": jnp.full((cells, inputs), -3.0, jnp.float32),
            "per_unit": jnp.full((cells, inputs), levels / 6, jnp.float32),
            "table": jnp.exp(0.5 * drawn),
        }

    def read(params, x: jax.Array) -> jax.Array:
        level = level_of(params, x, levels)
        at = level[:, 0]
        for one in range(1, inputs):
            at = at * levels + level[:, one]
        table = params["table"].reshape(-1)
        return table.at[at + first].get(
            mode="promise_in_bounds", wrap_negative_indices=False
        )

    fixed = Parameter(trainable=False, source="training projections")
    return memoryless(
        read,
        init=init,
        parameters={
            "low": fixed,
            "per_unit": fixed,
            "table": Parameter(unit="count", low=0.0, axes=("cell", "entry")),
        },
        about=("look_up", cells, inputs, levels),
    )


def level_of(params, x: jax.Array, levels: int) -> jax.Array:
    """(cell, inputs) -> int32 of the same shape, 0 to levels - 1."""
    place = (x - params["low"]) * params["per_unit"]
    # A number of at least 0 is rounded down by its conversion.
    return jnp.clip(place, 0, levels - 1).astype(jnp.int32)


def contract() -> list[tuple[Stage, tuple[int, ...]]]:
    return [
        (look_up(3, inputs, levels), (3, inputs)) for inputs, levels in ((1, 5), (2, 4))
    ]
