"""What random numbers cost: one draw each, however the generator makes them.

JAX's own samplers loop until they accept, and their bodies change between versions, so
`jax.random.poisson` and its like are counted by this rule and never walked. JAX writes
`binomial` into its caller: of that each of its two loops is a draw, the rest is walked.
"""

from __future__ import annotations

from collections.abc import Callable

from retina.costs.counts import Counts
from retina.costs.program import Op


def _drawn(op: Op) -> Counts:
    return Counts(randoms=max(out.size for out in op.outs))


def _nothing(op: Op) -> Counts:
    return Counts()


def _bits(op: Op) -> Counts:
    """The second result holds the bits, the first is the generator's new state."""
    return Counts(randoms=op.outs[1].size)


RULES: dict[str, Callable[[Op], Counts]] = {
    "random_sampler": _drawn,
    "random_bits": _drawn,
    "random_seed": _drawn,
    "random_split": _drawn,
    "random_fold_in": _drawn,
    "random_clone": _nothing,
    "rng_bit_generator": _bits,
}
