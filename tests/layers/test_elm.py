"""The ELM neuron against its published sizes and against its uncollapsed form."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from retina.costs.flops import count
from retina.layers.elm import elm

# Trainable parameters of the published models by memory units: 45 branches of 100
# synapses, 2 outputs. github.com/AaronSpieler/elmneuron, README.
PUBLISHED = {
    1: 4601,
    2: 4708,
    3: 4823,
    5: 5077,
    7: 5363,
    10: 5852,
    15: 6827,
    20: 8002,
    25: 9377,
    30: 10952,
    50: 19252,
    75: 34127,
    100: 54002,
}


@pytest.mark.parametrize(("memory", "published"), PUBLISHED.items())
def test_parameters_are_as_many_as_published(memory: int, published: int):
    """Synapses, an mlp with biases and a readout with biases; no time constants."""
    stage = elm(45, 100, memory, 2, bin_s=0.001)
    shapes = jax.eval_shape(stage.init, jax.random.key(0))
    assert all(p.trainable for p in jax.tree.leaves(stage.parameters))
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == published


def uncollapsed(params, x, bin_s, tau_s, taus):
    """One trace per synapse, summed by branch: the equations as the paper has them."""
    synapses = np.float64(params["synapses"][0]) / np.sqrt(x.shape[-1])
    trace = np.zeros_like(synapses)
    m = np.zeros(len(taus))
    keep = np.exp(-bin_s / taus)

    def dense(name, v):
        kernel = np.float64(params[name]["kernel"][0]) * np.sqrt(2 / len(v))
        return v @ kernel + np.float64(params[name]["bias"][0])

    said = []
    for x_t in x[:, 0].astype(np.float64):
        trace = np.exp(-bin_s / tau_s) * trace + synapses * x_t
        seen = np.concatenate([trace.sum(-1), keep * m])
        m = keep * m + 5 * (1 - keep) * np.tanh(
            dense("second", np.maximum(dense("first", seen), 0))
        )
        said.append(dense("readout", m))
    return np.stack(said)


@pytest.mark.parametrize("memory", [1, 6])
def test_a_leaky_branch_is_the_sum_of_its_leaky_synapses(memory: int):
    settings = {"bin_s": 0.002, "synapse_tau_s": 0.005, "memory_tau_s": (0.004, 0.1)}
    stage = elm(4, 5, memory, 2, **settings)
    params = stage.init(jax.random.key(0))
    leaves, tree = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.key(1), len(leaves))
    # Biases and synapses are drawn too, else a slip in either would not show.
    leaves = [
        a + 0.3 * jnp.abs(jax.random.normal(k, a.shape))
        for a, k in zip(leaves, keys, strict=True)
    ]
    params = jax.tree.unflatten(tree, leaves)
    x = jax.random.normal(jax.random.key(2), (60, 1, 4, 5))
    taus = 0.004 * 25 ** (np.arange(memory) / max(memory - 1, 1))
    wanted = uncollapsed(params, np.asarray(x), 0.002, 0.005, taus)
    said = jax.jit(stage.apply)(params, stage.start(params), x)[1][:, 0]
    assert np.std(wanted) > 0.01
    # float32 against float64, over 60 bins of a leaky recurrence.
    np.testing.assert_allclose(said, wanted, rtol=1e-4, atol=1e-5)


def test_neurons_side_by_side_do_not_mix():
    both = elm(3, 2, 4, 1, bin_s=0.01, neurons=2)
    alone = elm(3, 2, 4, 1, bin_s=0.01)
    params = both.init(jax.random.key(0))
    x = jax.random.normal(jax.random.key(1), (20, 2, 3, 2))
    said = jax.jit(both.apply)(params, both.start(params), x)[1]
    apply = jax.jit(alone.apply)
    for n in range(2):
        own = jax.tree.map(lambda a, n=n: a[n : n + 1], params)
        one = apply(own, alone.start(own), x[:, n : n + 1])[1]
        np.testing.assert_allclose(said[:, n : n + 1], one, rtol=1e-5, atol=1e-6)


def test_a_step_costs_the_collapsed_form():
    """4500 products of synapses, 45 leaky branches, the mlp and the readout."""
    memory, branches, synapses = 10, 45, 100
    stage = elm(branches, synapses, memory, 2, bin_s=0.001)
    params = jax.eval_shape(stage.init, jax.random.key(0))
    state = jax.eval_shape(stage.start, params)
    x = jax.ShapeDtypeStruct((1, branches, synapses), jnp.float32)
    cost = count(lambda s, x: stage.step(ones(params), s, x), state, x)
    hidden = 2 * memory
    products = branches * synapses
    products += (branches + memory) * hidden + hidden * memory + memory * 2
    assert cost.macs == products
    assert cost.transcendentals == memory


def ones(shapes):
    return jax.tree.map(lambda leaf: np.ones(leaf.shape, np.float32), shapes)
