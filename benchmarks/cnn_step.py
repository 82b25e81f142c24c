"""One optimiser step of deep retina's network: forward, backward, Adam.

    python -m benchmarks.cnn_step --peers PATH/bin/python

40 x 50 x 50 -> 8 of 15 x 15 -> 8 of 11 x 11 -> dense, 14 cells, each with batch norm
per unit; 512 outputs of a contiguous clip; float32. Ours is the step of `retina.fit`, a
few of them in one dispatch; its gradient is clipped by norm and the parameters averaged
as well, which no peer does. The peers have the windows cut out and the stimulus's
spectra ready before the clock runs. All start from the same weights and must have the
same loss. The published noise before each rectification is left out on all sides unless
`--noise 0.05`; then losses differ by the draw.
"""

from __future__ import annotations

from typing import Any

from benchmarks.reports import options, parsed
from benchmarks.side_by_side import Contender, race

DEEP_RETINA = {
    "frame": 50,
    "lags": 40,
    "channels": 8,
    "sizes": [15, 11],
    "cells": 14,
    "bins": 512,
    "steps_per_dispatch": 4,
}
SMALL = DEEP_RETINA | {
    "frame": 12,
    "lags": 4,
    "channels": 2,
    "sizes": [5, 3],
    "bins": 16,
}

TORCH = "benchmarks.peers.torch_cnn:direct"
SPECTRAL = "benchmarks.peers.torch_spectral:spectral"
# A CPU's convolutions are far from its peak, a GPU's are near it.
REACH, REACH_GPU = 12.0, 1.2


def contenders(device: str | None) -> list[Contender]:
    """device: torch's."""
    reach = REACH if device in (None, "cpu") else REACH_GPU
    last, compiled = {"channels_last": True}, {"compile": True}
    return [
        Contender("retina", "benchmarks.ours:deep_retina"),
        Contender("torch eager", TORCH, True, reach=reach),
        Contender("torch channels_last", TORCH, True, last, reach),
        Contender("torch.compile", TORCH, True, compiled, reach),
        Contender("torch.compile channels_last", TORCH, True, last | compiled, reach),
        Contender("torch, same spectral method", SPECTRAL, True, reach=1.0),
        Contender("the same, compiled", SPECTRAL, True, compiled, 1.0),
    ]


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    parser = options(__doc__)
    parser.add_argument("--noise", type=float, default=0.0)
    parser.add_argument("--bins", type=int, help="outputs in a step")
    chosen = parsed(parser, arguments)
    settings = SMALL if chosen.small else DEEP_RETINA
    settings = settings | {
        "noise": chosen.noise,
        "bins": chosen.bins or settings["bins"],
    }
    return race("cnn_step", contenders(chosen.device), settings, chosen)


if __name__ == "__main__":
    main()
