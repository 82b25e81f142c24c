"""The Poisson loss of 100 LNK cells over 10 s in steps of 1 ms.

    python -m benchmarks.lnk_forward --peers PATH/bin/python

A filter of 30 lags, a sigmoid, four-state kinetics, softplus; float32. The filter is a
matrix product on all sides; what differs is who runs the loop over bins. All have the
same parameters and must have the same loss.
"""

from __future__ import annotations

from typing import Any

from benchmarks.reports import options, parsed
from benchmarks.side_by_side import Contender, race

LNK = {"bins": 10_000, "cells": 100, "lags": 30, "bin_s": 1e-3, "gradient": False}
SMALL = LNK | {"bins": 400, "cells": 3}
TORCH = "benchmarks.peers.torch_loops:lnk"
CONTENDERS = [
    Contender("retina", "benchmarks.our_circuits:lnk_forward"),
    Contender("numpy loop", "benchmarks.loops:lnk_forward", reach=8.0),
    Contender("torch loop", TORCH, True),
    Contender("torch.jit.script", TORCH, True, {"script": True}),
]


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    chosen = parsed(options(__doc__), arguments)
    return race("lnk_forward", CONTENDERS, SMALL if chosen.small else LNK, chosen)


if __name__ == "__main__":
    main()
