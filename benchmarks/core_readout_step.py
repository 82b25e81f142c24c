"""One optimiser step of an open-retina-like core and readout.

    python -m benchmarks.core_readout_step --peers PATH/bin/python

16 clips of 50 frames of 36 x 32; 16 channels of 21 x 11 x 11, then 16 of 11 x 5 x 5
with two pixels of padding; ELU; Gaussian masks to 100 cells; 20 outputs a clip. Kernels
are separable in space and time, in open-retina's basis of sines and cosines. Ours and
torch's separable rows run them as what they are; the rows "full kernel" multiply them
out, as open-retina's module does; those of the spectral method take the way that ours
takes on a CPU, with the clips' own spectra made before the clock runs, as ours are not.
Batch norm stands at fixed statistics on all sides (a learned scale and offset), as our
model has it. All start from the same weights and must have the same loss. Peers take
Adam's step alone; ours clips the gradient and averages as well.
"""

from __future__ import annotations

from typing import Any

from benchmarks.reports import options, parsed
from benchmarks.side_by_side import Contender, race

OPEN_RETINA = {
    "batch": [16, 50, 36, 32],
    "channels": 16,
    "temporal_sizes": [21, 11],
    "sizes": [11, 5],
    "cells": 100,
    "steps_per_dispatch": 4,
}
SMALL = OPEN_RETINA | {
    "batch": [2, 20, 10, 9],
    "channels": 2,
    "temporal_sizes": [6, 3],
    "sizes": [3, 3],
    "cells": 3,
}
TORCH = "benchmarks.peers.torch_core_readout"
CONTENDERS = [
    Contender("retina", "benchmarks.ours:core_readout"),
    Contender("open-retina's module", f"{TORCH}:openretina", True, reach=4.0),
    Contender("torch full kernel", f"{TORCH}:plain", True, {"way": "full"}),
    Contender(
        "torch full kernel, channels_last",
        f"{TORCH}:plain",
        True,
        {"way": "full", "channels_last": True},
    ),
    Contender(
        "torch.compile full kernel",
        f"{TORCH}:plain",
        True,
        {"way": "full", "compile": True},
    ),
    Contender(
        "torch.compile full kernel, channels_last",
        f"{TORCH}:plain",
        True,
        {"way": "full", "compile": True, "channels_last": True},
    ),
    Contender("torch separable", f"{TORCH}:plain", True, {"way": "separable"}),
    Contender(
        "torch separable, channels_last",
        f"{TORCH}:plain",
        True,
        {"way": "separable", "channels_last": True},
    ),
    Contender(
        "torch.compile separable",
        f"{TORCH}:plain",
        True,
        {"way": "separable", "compile": True},
    ),
    Contender(
        "torch, same spectral method", f"{TORCH}:plain", True, {"way": "spectral"}
    ),
    Contender(
        "the same, compiled",
        f"{TORCH}:plain",
        True,
        {"way": "spectral", "compile": True},
    ),
]


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    chosen = parsed(options(__doc__), arguments)
    settings = SMALL if chosen.small else OPEN_RETINA
    return race("core_readout_step", CONTENDERS, settings, chosen)


if __name__ == "__main__":
    main()
