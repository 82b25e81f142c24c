"""Structured pruning: whole channels, subunits or hidden units, by what they are worth.

A unit's worth is what the training loss loses when the unit is silenced: nothing is
rescaled by hand, so units of small weights and large inputs count for what they do.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from retina.fitting.loss import poisson, rates_of
from retina.parameter import INPUTS
from retina.reduction.cutting import (
    Path,
    at,
    count_kept,
    fitting,
    keyword,
    parts,
    put,
    rebuilt,
)
from retina.stage import Model, Stage, Tree
from retina.types import Fit, Split

KEYWORDS = ("channels", "subunits", "hidden_channels", "width")
ENOUGH = 2048  # bins that a unit's worth is measured on; source="chosen"


def channels(
    fit: Fit, split: Split, key: jax.Array, /, *, keep: float = 0.5
) -> tuple[Model, Tree]:
    """Leaves out the channels, subunits or hidden units that are worth least.

    keep:    share of the units of each layer that stay, above 0.
    returns: the same model with fewer units, really smaller arrays, and its parameters:
             the same rates as the fit with those units silenced.
    raises:  BadSetting where a layer would be empty, or the model has no such units.
    lowers:  flops_per_bin, params
    source:  Molchanov et al. 2017, arXiv 1611.06440 (the loss without a unit as its
             worth; theirs is a first-order estimate of what is computed here).
    """
    name = keyword(fit.model, KEYWORDS, "channels")
    layers = find_layers(fit.model.stage, fit.params)
    numbers = [
        count_kept(keep, one.units, f"{name} of {'.'.join(one.made)}") for one in layers
    ]
    worth = silenced_losses(fit, split, layers)
    params = fit.params
    for one, number, losses in zip(layers, numbers, worth, strict=True):
        kept = np.sort(np.argsort(-losses, kind="stable")[:number])
        params = with_units(params, one, kept)
    value = tuple(numbers) if name == "hidden_channels" else min(numbers, default=1)
    return fitting(rebuilt(fit.model, **{name: value}), params, "channels")


@dataclasses.dataclass(frozen=True)
class Layer:
    """Units that one part makes and a later one hears.

    made:     path of the part that makes them.
    axes:     (path of a leaf, its axis along the units), but for the hearing part.
    hears:    the same of the part that hears them; its first leaf is linear in them,
              and scaled by one over the root of how many there are (see `conv2d`).
    """

    made: Path
    units: int
    axes: tuple[tuple[Path, int], ...]
    hears: tuple[tuple[Path, int], ...]


def find_layers(stage: Stage, params: Tree) -> list[Layer]:
    """Every layer of units of a chain, from what its parameters say of their axes."""
    layers: list[Layer] = []
    made: Path = ()
    units, axes = 0, []
    for path, described in parts(stage):
        leaves = {
            (*path, name): (one.axes, np.shape(at(params, (*path, name))))
            for name, one in described.items()
        }
        words = {word for named, _ in leaves.values() for word in named}
        if units and {"channel", "input"} & words and {"out", "cell"} & words:
            hears = tuple(
                (leaf, named.index(word))
                for leaf, (named, _) in leaves.items()
                for word in ("channel", "input")
                if word in named
            )
            layers.append(Layer(made, units, tuple(axes), hears))
            made, units, axes = (), 0, []
        elif units:  # one number for each unit, or for each unit and place
            axes += [
                (leaf, len(shape) - 1)
                for leaf, (named, shape) in leaves.items()
                if "cell" not in named and shape[-1:] == (units,)
            ]
        if "out" in words and words & set(INPUTS):
            axes = [
                (leaf, named.index("out"))
                for leaf, (named, _) in leaves.items()
                if "out" in named
            ]
            made, (leaf, axis) = path, axes[0]
            units = leaves[leaf][1][axis]
    return layers


def silenced_losses(fit: Fit, split: Split, layers: list[Layer]) -> list[np.ndarray]:
    """Per layer, the training loss (unit,) of the fit with one unit silenced."""
    loss = training_loss(fit, split)

    def of(one: Layer) -> np.ndarray:
        path, axis = one.hears[0]
        leaf = at(fit.params, path)
        along = [1] * leaf.ndim
        along[axis] = leaf.shape[axis]

        def silenced(gates: jax.Array) -> jax.Array:
            every = jnp.tile(gates, leaf.shape[axis] // one.units)
            return loss(put(fit.params, path, leaf * every.reshape(along)))

        gates = 1 - jnp.eye(one.units, dtype=jnp.float32)
        return np.asarray(jax.jit(lambda g: lax.map(silenced, g))(gates))

    return [of(one) for one in layers]


def training_loss(fit: Fit, split: Split):
    """params -> Poisson loss on ENOUGH bins of the longest training clip."""
    clip = max(split.train, key=lambda one: one.bins)
    last = clip.skip + ENOUGH
    first = min(max(clip.skip, fit.model.stage.lags), len(clip.stimulus[:last]) // 2)
    stimulus = jnp.asarray(clip.stimulus[:last])
    # A model that hears its cells hears one trial; others are told the mean of them.
    heard = fit.model.stage.uses_response
    response = clip.response[0] if heard else clip.response.mean(0)
    counts = jnp.asarray(response[:last], jnp.float32)
    null = jnp.asarray(fit.null_rate, jnp.float32)

    def loss(params: Tree) -> jax.Array:
        rate = rates_of(fit.model, params, stimulus, counts)
        return poisson(rate[first:], counts[first:], null)

    return loss


def with_units(params: Tree, one: Layer, kept: np.ndarray) -> Tree:
    """Parameters in which a layer has the units `kept` alone, at their new scale."""
    for path, axis in (*one.axes, *one.hears):
        leaf = at(params, path)
        places = leaf.shape[axis] // one.units
        index = np.arange(places)[:, None] * one.units + kept[None]
        params = put(params, path, jnp.take(leaf, index.reshape(-1), axis=axis))
    path, _ = one.hears[0]
    fewer = np.float32(np.sqrt(len(kept) / one.units))
    return put(params, path, at(params, path) * fewer)
