"""What learning at a synapse costs without back-propagation: rules, counted.

Each rule is written as one step over all synapses of a layer, and priced by the walker.
The gradient's own price is `retina.search.learning`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp

from retina.costs.flops import count


@dataclasses.dataclass(frozen=True)
class Rule:
    """A rule of learning from what a synapse can know.

    step:   (weight, eligibility, pre, post, broadcast) -> (weight, eligibility); weight
            and eligibility are (source, target), pre (source,), post (target,).
            The traces are given: a neuron keeps them, not a synapse.
    states: numbers that each synapse keeps beside its weight.
    source: where it comes from.
    """

    step: Callable[..., tuple[jax.Array, jax.Array]]
    states: int
    source: str


RATE = 1e-3  # any number: it is one multiply
KEEP = 0.9


def _hebb(weight, eligibility, pre, post, broadcast):
    return weight + jnp.outer(RATE * pre, post), eligibility


def _oja(weight, eligibility, pre, post, broadcast):
    change = jnp.outer(RATE * pre, post) - (RATE * post**2)[None] * weight
    return weight + change, eligibility


def _three_factor(weight, eligibility, pre, post, broadcast):
    eligibility = KEEP * eligibility + jnp.outer(pre, post)
    return weight + broadcast[None] * eligibility, eligibility


RULES = {
    "hebb": Rule(_hebb, 0, "Hebb: dw = rate x pre x post"),
    "oja": Rule(_oja, 0, "Oja 1982, doi 10.1007/BF00275687 (recalled)"),
    "three_factor": Rule(
        _three_factor,
        1,
        "an eligibility trace times what is broadcast to a neuron: reward, or the "
        "learning signal of e-prop, Bellec et al. 2020, doi 10.1038/s41467-020-17236-y "
        "(recalled)",
    ),
}


def per_synapse(name: str, sources: int = 100, targets: int = 100) -> float:
    """FLOPs of one step per synapse, what each neuron does shared out over its own.

    name: of `RULES`.

    >>> [round(per_synapse(name)) for name in RULES]
    [2, 4, 5]
    """
    synapses = jnp.zeros((sources, targets))
    pre, post = jnp.zeros(sources), jnp.zeros(targets)
    step = RULES[name].step
    return count(step, synapses, synapses, pre, post, post).flops / synapses.size


def per_event(name: str, rate_hz: float, dt_s: float) -> float:
    """FLOPs per presynaptic spike where every synapse is stepped, spike or none.

    >>> round(per_event("three_factor", 10, 0.001))
    500
    """
    return per_synapse(name) / (rate_hz * dt_s)
