"""Merging of redundant cells: a population read out as mixtures of a few drives."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from retina import build
from retina.clocks import bins_held
from retina.errors import BadSetting, at_least_one
from retina.layers.wrapped import parts_of
from retina.models.merged import readout_of
from retina.reduction.channels import ENOUGH
from retina.reduction.cutting import fitting
from retina.stage import Model, Tree, chain
from retina.types import Fit, Split


def merge(
    fit: Fit, split: Split, key: jax.Array, /, *, rank: int = 4
) -> tuple[Model, Tree]:
    """Reads out a few drives and makes every cell a sum of them.

    rank:    drives for the whole population, fewer than its cells.
    returns: the model `merged` of what was fitted, and its parameters. On the training
             stimulus no other drives, so few, come nearer to those of the cells, each
             cell's in units of its own s.d.
    raises:  BadSetting for a model without a readout for each cell, or a rank that
             merges nothing.
    lowers:  flops_per_bin, params
    source:  Izenman 1975, doi 10.1016/0047-259X(75)90042-1 (reduced-rank regression).
    """
    at_least_one(rank=rank)
    cells = fit.model.spec.cells
    _, name, _ = readout_of(fit.model)
    if rank >= cells:
        raise BadSetting(f"merge rank {rank}: below the {cells} cells, or none merge")
    small = build.model(
        "merged",
        fit.model.spec,
        of=fit.model.name,
        settings=fit.model.settings,
        rank=rank,
    )
    drive = drives(fit, split)
    mean, sd = drive.mean(0), np.maximum(drive.std(0), 1e-6)
    down, up = population_modes((drive - mean) / sd, rank)
    weights = _weights(fit)
    # As in `mixture`, which scales both where they are used.
    modes = (weights / sd) @ down * np.sqrt(len(weights))
    mixing = up * sd * np.sqrt(rank)
    offset = mean - (mean / sd) @ down @ (up * sd)
    kept = {part: own for part, own in fit.params.items() if part != name}
    own = {"modes": modes, "mixing": mixing, "offset": offset}
    own = {leaf: jnp.asarray(value, jnp.float32) for leaf, value in own.items()}
    return fitting(small, kept | {"mixture": own}, "merge")


def population_modes(drive: np.ndarray, rank: int) -> tuple[np.ndarray, np.ndarray]:
    """(cell, rank) and (rank, cell): `drive @ down @ up` is nearest to the drives.

    drive: (time, cell), of mean 0.

    >>> down, up = population_modes(np.array([[1.0, 2.0], [2.0, 4.0]]), 1)
    >>> (np.array([1.0, 2.0]) @ down @ up).round(6).tolist()
    [1.0, 2.0]
    """
    _, vectors = np.linalg.eigh(drive.T @ drive)
    down = vectors[:, ::-1][:, :rank]
    return down, down.T


def drives(fit: Fit, split: Split) -> np.ndarray:
    """(time, cell) float64: what the readout says to the longest training clip.

    In bins or, of a model that reads out once per frame, in frames. Of its first
    ENOUGH bins, without those that lack history.
    """
    place, _, _ = readout_of(fit.model)
    front = chain(*(part for _, part in parts_of(fit.model)[: place + 1]))
    clip = max(split.train, key=lambda one: one.bins)
    shown = clip.stimulus[: clip.skip + ENOUGH]
    first = min(max(clip.skip, fit.model.stage.lags), len(shown) // 2)
    each = bins_held(fit.model)

    @jax.jit
    def run(params: Tree, x: jax.Array) -> jax.Array:
        return front.apply(params, front.start(params), x)[1]

    said = run(fit.params, jnp.asarray(shown[::each]))
    return np.asarray(said[-(-first // each) :], np.float64)


def _weights(fit: Fit) -> np.ndarray:
    """(place * feature, cell) float64: the readout as the one matrix that it is."""
    _, name, readout = readout_of(fit.model)
    params, shape = fit.params[name], readout.about[1]

    def drive(x: jax.Array) -> jax.Array:
        return readout.step(params, (), x)[1]

    slopes = jax.jacrev(drive)(jnp.zeros(shape, jnp.float32))
    return np.asarray(slopes, np.float64).reshape(fit.model.spec.cells, -1).T
