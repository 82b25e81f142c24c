"""What a step of a small model costs beyond its arithmetic: seconds per seed and step.

    python -m benchmarks.dispatch

A perceptron of two hidden layers on 20 lags of one pixel, two clips of 128 bins a step.
The same loss, batches and optimiser (a clipped Adam) in four ways: a Python loop over
`jax.jit`, one over `flax.nnx.jit`, `retina.fit`'s 40 steps in one dispatch, and these
with 32 seeds side by side. Needs no peers: flax is a dependency.
"""

from __future__ import annotations

from typing import Any

from benchmarks.reports import options, parsed
from benchmarks.side_by_side import Contender, race

PERCEPTRON = {"lags": 20, "width": 32, "bins": 20_000, "steps": 40, "seeds": 1}
SMALL = PERCEPTRON | {"width": 4, "bins": 600, "steps": 3}

CONTENDERS = [
    Contender("retina, many steps a dispatch", "benchmarks.small_steps:many"),
    Contender(
        "retina, seeds side by side",
        "benchmarks.small_steps:many",
        False,
        {"seeds": 32},
    ),
    Contender("jax.jit per step, plain dict", "benchmarks.small_steps:plain"),
    Contender("flax nnx.jit per step", "benchmarks.small_steps:module"),
]


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    chosen = parsed(options(__doc__, rounds=7), arguments)
    settings = SMALL if chosen.small else PERCEPTRON
    contenders = CONTENDERS
    if chosen.small:
        contenders = [c if c.settings == {} else few(c) for c in CONTENDERS]
    return race("dispatch", contenders, settings, chosen)


def few(contender: Contender) -> Contender:
    return Contender(contender.name, contender.build, settings={"seeds": 2})


if __name__ == "__main__":
    main()
