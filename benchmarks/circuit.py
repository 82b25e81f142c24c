"""A step of 1 ms of 500 cells with exponential synapses, beside Brian2.

    python -m benchmarks.circuit --peers BRIAN/bin/python

    r = k log(1 + exp((V - V_th) / k))             release, graded: no spike, no chaos
    dg/dt = sum of w r - g / tau                   of 20 exciting, of 10 inhibiting
    C dV/dt = g_L (E_L - V) + g_e (E_e - V) + g_i (E_i - V) + I(t)

Ours is the package's own declaration, `circuit(populations, projections)` of a
`membrane` with two `exponential` conductances, and nothing written for this. The same
network, currents and order of updates on both sides: release of the step before, g in
its mean over the step, its current of V at the beginning of it, exact decays. What
every cell releases is kept at every step; what must agree is its s.d. over time, mean
over cells.
Brian2 is compiled: cython, and C++ standalone in float64 (its default) and float32. Its
clock starts when the network does: for standalone that is its own report of the run,
without the start of the process and the results' way to disk; for cython a run of no
steps is taken off. Ours is the whole call. Brian2 2.9 cannot be imported beside the
numpy of the other peers and has an environment of its own: see README.md.
"""

from __future__ import annotations

from typing import Any

from benchmarks.reports import options, parsed
from benchmarks.side_by_side import Contender, race

CIRCUIT = {"bins": 10_000, "cells": 500, "excite": 20, "inhibit": 10, "dt_s": 1e-3}
SMALL = CIRCUIT | {"bins": 100, "cells": 20, "excite": 3, "inhibit": 2}
BRIAN = "benchmarks.peers.brian_network:network"
CONTENDERS = [
    Contender("retina", "benchmarks.our_circuits:network"),
    Contender("Brian2, cython", BRIAN, True, {"way": "cython"}, 2.0),
    Contender("Brian2, C++ standalone", BRIAN, True, {"way": "cpp"}, 2.0),
    Contender(
        "Brian2, C++ standalone, float32",
        BRIAN,
        True,
        {"way": "cpp", "float32": True},
        2.0,
    ),
]


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    chosen = parsed(options(__doc__), arguments)
    return race("circuit", CONTENDERS, SMALL if chosen.small else CIRCUIT, chosen)


if __name__ == "__main__":
    main()
