"""What published models of one cortical neuron cost, counted on our own modules.

python -m benchmarks.neuron [FILE.md]

The same map from spikes on 1,278 synapses to a soma, at very different prices: a deep
temporal convolution (Beniaguev et al. 2021) and a leaky memory neuron (Spieler et al.
2023). In bins of 1 ms; a multiply-add is two, a transcendental ten. Nothing is run.
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from retina.costs.flops import count, count_step
from retina.layers.causal_convolution import causal_convolution
from retina.layers.elm import elm
from retina.layers.nonlinearity import pointwise
from retina.stage import chain

BINS_PER_S = 1000
CHANNELS = 1278  # excitatory and inhibitory inputs; read in the published code
# About 8,000 excitatory and 6,200 inhibitory spikes per second; worked out from the
# rates that the published simulation draws.
SPIKES_PER_S = 1.4e4
KERNELS = (54, *[12] * 6)  # of seven layers of 128
WIDTH = 128
BRANCHES, SYNAPSES = 45, 100  # of the leaky memory neuron


@dataclasses.dataclass(frozen=True)
class Price:
    """FLOP/s of one neuron.

    dense:  every synapse in every bin.
    event:  the first layer, or the synapses, only where a spike arrives.
    """

    name: str
    params: int
    dense: float
    event: float

    @property
    def dense_per_spike(self) -> float:
        return self.dense / SPIKES_PER_S

    @property
    def event_per_spike(self) -> float:
        return self.event / SPIKES_PER_S


def convolutions() -> Price:
    """Seven causal convolutions, each rectified; the readout, below 0.01 %, left out.

    >>> round(convolutions().params / 1e6, 1)
    10.0
    """
    layers: list[Any] = []
    inputs = CHANNELS
    for taps in KERNELS:
        layers += [causal_convolution(inputs, WIDTH, taps), pointwise("relu")]
        inputs = WIDTH
    stage = chain(*layers)
    params = jax.eval_shape(stage.init, jax.random.key(0))
    x = jax.ShapeDtypeStruct((CHANNELS,), jnp.float32)
    step = count_step(stage, params, x)[1]
    first = step.by_part["causal_convolution"].macs
    dense = step.flops * BINS_PER_S
    # A spike adds a row of the first kernel to each of its lags.
    adds = first / CHANNELS * SPIKES_PER_S
    event = dense - 2 * first * BINS_PER_S + adds
    return Price("TCN 7 x 128", _size(params), dense, event)


def leaky_memory(memory: int) -> Price:
    """The branch neuron, one leaky state per branch: exact, as the traces are linear.

    >>> leaky_memory(20).params
    8002
    """
    stage = elm(BRANCHES, SYNAPSES, memory, 2, bin_s=0.001)
    params = jax.eval_shape(stage.init, jax.random.key(0))
    x = jax.ShapeDtypeStruct((1, BRANCHES, SYNAPSES), jnp.float32)
    step = count_step(stage, params, x)[1]
    dense = step.flops * BINS_PER_S
    event = dense - 2 * BRANCHES * SYNAPSES * BINS_PER_S + SPIKES_PER_S
    return Price(f"ELM {memory}", _size(params), dense, event)


def leaky_memory_as_coded(memory: int) -> float:
    """FLOP/s with a leaky trace for each synapse, as the published code has it."""
    traces = jax.ShapeDtypeStruct((BRANCHES, SYNAPSES), jnp.float32)

    def step(trace, weights, x):
        trace = 0.8 * trace + weights * x
        return trace, trace.sum(axis=1)

    private = count(step, traces, traces, traces).flops * BINS_PER_S
    collapsed = leaky_memory(memory)
    # Without the leaks of the branches, which the traces are in place of.
    rest = collapsed.event - SPIKES_PER_S - 2 * BRANCHES * BINS_PER_S
    return private + rest


def _size(shapes: Any) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(shapes))


def table() -> str:
    lines = [
        "| model | parameters | FLOP/s dense | FLOP/s, events | per spike, dense | "
        "per spike, events |",
        "|---|---|---|---|---|---|",
    ]
    for one in (convolutions(), *map(leaky_memory, (5, 10, 20, 50, 100))):
        figures = one.dense, one.event, one.dense_per_spike, one.event_per_spike
        told = " | ".join(f"{figure:.2g}" for figure in figures)
        lines.append(f"| {one.name} | {one.params:,} | {told} |")
    return "\n".join(lines) + "\n"


def page() -> str:
    """What neuron.md says."""
    return (
        "# Published models of one neuron\n\n"
        f"At {SPIKES_PER_S:,.0f} spikes per second onto {CHANNELS:,} synapses "
        "(`benchmarks/neuron.py`). Made by `python -m benchmarks.neuron "
        "benchmarks/neuron.md`. As published, with a trace for each synapse, ELM 20 "
        f"takes {leaky_memory_as_coded(20):.2g} FLOP/s.\n\n" + table()
    )


def main(words: list[str]) -> None:
    text = page()
    if words:
        Path(words[0]).write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main(sys.argv[1:])
