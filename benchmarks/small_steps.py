"""Steps of a small perceptron: many in one dispatch, or one by one in two ways."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

import retina
from benchmarks.ours import our_versions, rounds
from benchmarks.worker import Work, versions
from retina.fitting import descent
from retina.fitting.clips import Table, tabulate
from retina.fitting.loss import poisson
from retina.fitting.optimiser import direction
from retina.fitting.start import mean_counts
from retina.parameter import to_free
from retina.stage import Model, Params
from retina.types import Clip, Spec, Split

RATE = 1e-2
LAYERS = ("linear", "linear2", "linear3")


def perceptron(settings: dict[str, Any]) -> tuple[Model, Split, dict[str, Params]]:
    """The model, white noise to fit it to, and the weights that all start from."""
    lags, bins = settings["lags"], settings["bins"]
    draw = np.random.default_rng(0)
    stimulus = draw.standard_normal(bins, np.float32)
    counts = draw.poisson(0.5, (1, bins, 1)).astype(np.float32)
    clip = Clip("noise", stimulus, counts, skip=lags - 1)
    spec = Spec((), 1, 0.01)
    model = retina.model("mlp", spec, lags=lags, width=settings["width"], shrink=0.0)
    params = model.stage.init(jax.random.key(0))
    names = (*LAYERS, "output")
    weights = {
        name: {leaf: np.asarray(value) for leaf, value in params[name].items()}
        for name in names
    }
    return model, Split(spec, (clip,), (clip,), ()), weights


def many(settings: dict[str, Any]) -> Work:
    model, split, weights = perceptron(settings)
    seeds, steps = settings["seeds"], settings["steps"]
    return rounds(model, split, weights, steps=steps, seeds=seeds, learning_rate=RATE)


def batches(settings: dict[str, Any], model: Model, split: Split) -> tuple[Table, Any]:
    """The table of clips, and (step, clip in batch, 2) rows as the fit draws them."""
    table = tabulate(model, split.train, model.recipe.clip_bins)
    return table, descent.shuffled(table, 0, 0, settings["steps"], model.recipe.batch)


def plain(settings: dict[str, Any]) -> Work:
    """jax.jit of one step, its parameters a plain dict."""
    model, split, weights = perceptron(settings)
    table, rows = batches(settings, model, split)
    order = [jnp.asarray(one) for one in rows]
    loss_of = descent.objective(model, table, mean_counts(split.train))
    params = model.stage.init(jax.random.key(0))
    params = params | jax.tree.map(jnp.asarray, weights)
    free = to_free(model.stage.parameters, params)
    towards = direction("adam")
    state = towards.init(free)

    def loss(free, first):
        rest = params, {}  # no keywords of the penalty
        return loss_of(free, rest, first, table.stimulus, table.counts, 0)[0]

    @jax.jit
    def one(free, state, first):
        value, slope = jax.value_and_grad(loss)(free, first)
        with jax.numpy_dtype_promotion("standard"):  # optax mixes dtypes
            move, state = towards.update(slope, state, free)
        return jax.tree.map(lambda p, m: p + RATE * m, free, move), state, value

    start = np.mean([float(jax.jit(loss)(free, first)) for first in order])

    def step() -> dict[str, Any]:
        nonlocal free, state
        for first in order:
            free, state, _ = one(free, state, first)
        jax.block_until_ready(free)
        return {"loss": float(start)}

    return Work(step, our_versions(), len(order))


class Perceptron(nnx.Module):
    """(bin, lag) to (bin, 1) expected counts, with the weights of ours."""

    def __init__(self, weights: dict[str, Params]):
        self.layers = nnx.List()
        for name in LAYERS:
            kernel = weights[name]["kernel"]
            inputs, outputs = kernel.shape
            bias = "bias" in weights[name]
            layer = nnx.Linear(inputs, outputs, use_bias=bias, rngs=nnx.Rngs(0))
            # Ours are stored with unit spread: see `retina.layers.linear`.
            layer.kernel = nnx.Param(
                jnp.asarray(kernel * np.sqrt(np.float32(2 / inputs)))
            )
            self.layers.append(layer)
        self.bias = nnx.Param(jnp.asarray(weights["output"]["bias"]))
        self.gain = nnx.Param(jnp.asarray(weights["output"]["gain"]))

    def __call__(self, x: jax.Array) -> jax.Array:
        for layer in self.layers[:-1]:
            x = jax.nn.relu(layer(x))
        drive = self.layers[-1](x) + self.bias[...][None]
        return self.gain[...][None] * jax.nn.softplus(drive)


def module(settings: dict[str, Any]) -> Work:
    """flax.nnx.jit of one step; the windows are cut before the clock runs."""
    model, split, weights = perceptron(settings)
    table, rows = batches(settings, model, split)
    lags = settings["lags"]
    stimulus, counts = np.asarray(table.stimulus), np.asarray(table.counts)
    at = table.lead + np.arange(table.bins)
    data = []
    for batch in rows:
        bins = np.concatenate([stimulus_row + at for stimulus_row, _ in batch])
        heard = np.concatenate([counts_row + 1 + at for _, counts_row in batch])
        windows = stimulus[bins[:, None] - np.arange(lags)]  # lag 0 first
        data.append((jnp.asarray(windows), jnp.asarray(counts[heard])))
    null = jnp.asarray(mean_counts(split.train), jnp.float32)
    net = Perceptron(weights)
    optimiser = nnx.Optimizer(
        net, optax.chain(direction("adam"), optax.scale(RATE)), wrt=nnx.Param
    )

    def loss(net, x, y):
        return poisson(net(x), y, null)

    @nnx.jit
    def one(net, optimiser, x, y):
        value, slope = nnx.value_and_grad(loss)(net, x, y)
        with jax.numpy_dtype_promotion("standard"):
            optimiser.update(net, slope)
        return value

    start = np.mean([float(loss(net, x, y)) for x, y in data])

    def step() -> dict[str, Any]:
        value = None
        for x, y in data:
            value = one(net, optimiser, x, y)
        jax.block_until_ready(value)
        return {"loss": float(start)}

    return Work(step, versions("flax", "jax"), len(data))
