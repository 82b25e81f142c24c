"""Expressive leaky memory: a neuron of leaky branches and interacting memories."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from retina.parameter import Parameter
from retina.stage import Stage, recurrent

REACH = 5.0  # the paper's lambda: how far a memory can be driven
LASTS = 4.0  # time constants after which 2 % of a leaky state is left
SOURCE = "Spieler et al. 2023, arXiv 2306.16922"
KERNEL = Parameter(axes=("neuron", "input", "out"))
BIAS = Parameter(axes=("neuron", "out"))


def elm(
    branches: int,
    synapses: int,
    memory: int,
    outputs: int,
    *,
    bin_s: float,
    synapse_tau_s: float = 0.005,
    memory_tau_s: tuple[float, float] = (0.001, 0.15),
    neurons: int = 1,
) -> Stage:
    """The Branch-ELM neuron, `neurons` of them side by side, each with its own weights.

        b = k_s b + sum over the branch's synapses of w x     k_s = exp(-bin / tau_s)
        m = k_m m + 5 (1 - k_m) tanh(mlp(b, k_m m))           k_m = exp(-bin / tau_m)
        y = readout(m)

    In the paper each synapse keeps a trace of its own, s = k_s s + w x, and a branch is
    the sum of its traces. All traces decay alike and w stands at the input, so that sum
    is itself one leaky state: exactly the same numbers from 1 / synapses of the work.

    branches, synapses: branches per neuron, synapses per branch.
    memory:        memory units; the mlp has one hidden layer of twice as many, relu.
    outputs:       of the linear readout.
    synapse_tau_s: of every synapse; not fitted.
    memory_tau_s:  of the fastest and the slowest memory, the others evenly between on a
                   logarithmic axis; not fitted.
    returns:       stage (neuron, branch, synapse) -> (neuron, output).
    source:        Spieler et al. 2023, arXiv 2306.16922.

    >>> elm(45, 100, 10, 2, bin_s=0.001).burn_in_s
    0.6
    """
    hidden = 2 * memory
    keep_b = np.float32(np.exp(-bin_s / synapse_tau_s))
    taus = np.geomspace(*memory_tau_s, memory)
    keep_m = np.exp(-bin_s / taus).astype(np.float32)[None]
    drive_m = (REACH * (1 - np.exp(-bin_s / taus))).astype(np.float32)[None]
    # Kernels are stored with unit spread and scaled where used: see `conv2d`.
    inputs = branches + memory
    fans = {"first": inputs, "second": hidden, "readout": memory}
    scale = {name: np.float32(np.sqrt(2 / fan)) for name, fan in fans.items()}
    scale["synapses"] = np.float32(1 / np.sqrt(synapses))
    ends = {"first": hidden, "second": memory, "readout": outputs}

    def init(key: jax.Array):
        keys = jax.random.split(key, len(ends))
        strength = jnp.full((neurons, branches, synapses), 0.5, jnp.float32)
        params: dict[str, Any] = {"synapses": strength}
        for k, (name, end) in zip(keys, ends.items(), strict=True):
            drawn = jax.random.normal(k, (neurons, fans[name], end), jnp.float32)
            if name == "readout":  # small: the output starts at the mean count
                drawn = 0.1 * drawn
            params[name] = {"kernel": drawn, "bias": jnp.zeros((neurons, end))}
        return params

    def dense(params, name: str, x: jax.Array) -> jax.Array:
        kernel = params[name]["kernel"] * scale[name]
        return jnp.einsum("ni,nio->no", x, kernel) + params[name]["bias"]

    def start(params, key: jax.Array | None = None):
        return {
            "branch": jnp.zeros((neurons, branches), jnp.float32),
            "memory": jnp.zeros((neurons, memory), jnp.float32),
        }

    def pooled(params, x: jax.Array) -> jax.Array:
        return jnp.einsum(
            "...nbs,nbs->...nb", x, params["synapses"] * scale["synapses"]
        )

    def after(params, state, arrived: jax.Array):
        branch = keep_b * state["branch"] + arrived
        kept = keep_m * state["memory"]
        seen = jnp.concatenate([branch, kept], axis=1)
        target = dense(params, "second", jax.nn.relu(dense(params, "first", seen)))
        m = kept + drive_m * jnp.tanh(target)
        return {"branch": branch, "memory": m}, m

    def step(params, state, x: jax.Array):
        state, m = after(params, state, pooled(params, x))
        return state, dense(params, "readout", m)

    one_by_one = recurrent(
        after,
        start=start,
        init=init,
        parameters={
            "synapses": Parameter(
                0.5, low=0.0, source=SOURCE, axes=("neuron", "branch", "input")
            ),
            **{name: {"kernel": KERNEL, "bias": BIAS} for name in ends},
        },
        # The slowest leak. Memories that hold one another up through the mlp may last.
        burn_in_s=LASTS * max(synapse_tau_s, *memory_tau_s),
        about=(
            "elm",
            (neurons, branches, synapses, memory, outputs),
            (bin_s, synapse_tau_s, memory_tau_s),
        ),
    )

    def apply(params, state, x: jax.Array):
        # Only what depends on the state is scanned.
        state, m = one_by_one.apply(params, state, pooled(params, x))
        return state, jax.vmap(lambda m: dense(params, "readout", m))(m)

    return one_by_one.seen(step=step, apply=apply)


def contract() -> list[tuple[Stage, tuple[int, ...]]]:
    return [
        (elm(3, 4, 5, 2, bin_s=0.001), (1, 3, 4)),
        (elm(2, 3, 3, 1, bin_s=0.01, neurons=2), (2, 2, 3)),
    ]
