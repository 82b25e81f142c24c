"""How a model's cost grows: exponents against synapses, cells, lags and branches.

python -m benchmarks.growth [FILE.md]

Nothing is timed and nothing is run: each model is traced at two sizes, one twice the
other along one axis and everything else held, and its FLOPs per bin are counted. An
exponent of 1 says that twice as many cost twice as much; below 1, that something else
is shared; 2, that each meets each.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax

from retina import build
from retina.costs.flops import count_step
from retina.types import Spec

AXES = ("synapses", "cells", "lags", "branches")
Size = tuple[Spec, Mapping[str, Any]]


def strip(pixels: int, cells: int = 2) -> Spec:
    """A frame of one row: a window on it is as long as it is."""
    return Spec((1, pixels), cells, 0.02)


def _windowed(**given: Any) -> dict[str, Callable[[int], Size]]:
    """Of a model that looks at a window of pixels through a filter."""
    fixed = {"window": 16, "lags": 32} | given
    return {
        "synapses": lambda n: (strip(n), fixed | {"window": n}),
        "cells": lambda n: (strip(16, n), fixed),
        "lags": lambda n: (strip(16), fixed | {"lags": n}),
    }


def _along(name: str, **given: Any) -> Callable[[int], Size]:
    """The axis is one keyword, on a fixed strip."""
    return lambda n: (strip(16), given | {name: n})


def _banked() -> dict[str, Callable[[int], Size]]:
    """Subunits of n pixels at eight places each."""
    return {
        "synapses": lambda n: (strip(n + 7), {"size": n, "lags": 8}),
        "cells": lambda n: (strip(16, n), {"lags": 8}),
        "lags": lambda n: (strip(16), {"lags": n}),
        "branches": _along("subunits", lags=8),
    }


def _convolved(**given: Any) -> dict[str, Callable[[int], Size]]:
    """Kernels of n pixels at eight places each."""
    return {
        "synapses": lambda n: (strip(n + 7), given | {"sizes": (n, 1), "lags": 8}),
        "cells": lambda n: (strip(16, n), given | {"sizes": (9, 1), "lags": 8}),
        "lags": lambda n: (strip(16), given | {"sizes": (9, 1), "lags": n}),
        "branches": lambda n: (
            strip(16),
            given | {"sizes": (9, 1), "lags": 8, "channels": n},
        ),
    }


def _core(size: int = 9, taps: int = 8, channels: int = 4) -> dict[str, Any]:
    """Two layers of which the second looks at one place and bin."""
    return {
        "sizes": (size, 1),
        "temporal_sizes": (taps, 1),
        "hidden_channels": (channels, channels),
    }


# What a branch is: a subunit, a channel, a unit, a tree, a type of cell, a dendrite's
# branch.
CASES: dict[str, dict[str, Callable[[int], Size]]] = {
    "ln": _windowed(rank=2),
    "ln full": _windowed(rank=None),
    "recursive_ln": {
        "synapses": lambda n: (strip(n), {"window": n}),
        "cells": lambda n: (strip(16, n), {}),
        # Its memory is in its poles: however far back it looks, the work is the same.
        "lags": lambda n: (strip(16), {}),
    },
    "glm": _windowed(rank=1, history=8),
    "glm coupled": {
        "cells": lambda n: (strip(16, n), {"rank": 1, "coupling": True, "lags": 8})
    },
    "lnk": _windowed(rank=1),
    "ribbon_ln": _windowed(rank=1),
    "nim": _windowed() | {"branches": _along("excitatory", window=16, lags=8)},
    "lookup_table": _windowed(),
    "boosted_trees": _windowed() | {"branches": _along("trees", window=16, lags=8)},
    "bcn": _windowed() | {"branches": _along("types", window=16, lags=8)},
    "lnln": _banked(),
    "subunit_ribbon": _banked(),
    "cnn": _convolved(),
    "cnn_history": _convolved(history=8, history_basis=4),
    "photoreceptor_cnn": _convolved(mean_rstar_per_s=1e4),
    "bn_cnn": _convolved(),
    "recursive_cnn": {
        "synapses": lambda n: (strip(n + 7), {"sizes": (n, 1)}),
        "cells": lambda n: (strip(16, n), {"sizes": (9, 1)}),
        "lags": lambda n: (strip(16), {"sizes": (9, 1)}),  # as recursive_ln
        "branches": _along("channels", sizes=(9, 1)),
    },
    "core_readout": {
        "synapses": lambda n: (strip(n + 7), _core(size=n)),
        "cells": lambda n: (strip(16, n), _core()),
        "lags": lambda n: (strip(16), _core(taps=n)),
        "branches": lambda n: (strip(16), _core(channels=n)),
    },
    "conv_gru": {
        # Every second pixel is a place: eight of them.
        "synapses": lambda n: (strip(n + 14), {"sizes": (n, 1)}),
        "cells": lambda n: (strip(16, n), {"sizes": (9, 1)}),
        "branches": _along("channels", sizes=(9, 1)),
    },
    "mlp": _windowed(basis=8) | {"branches": _along("width", window=16, lags=8)},
    "tcn": {
        "synapses": lambda n: (strip(n), {"window": n}),
        "cells": lambda n: (strip(16, n), {}),
        "lags": _along("taps"),
        "branches": _along("width"),
    },
    "lstm": {
        "synapses": lambda n: (strip(n), {"window": n}),
        "cells": lambda n: (strip(16, n), {}),
        "branches": _along("units"),
    },
    "elm": {
        # A window of four branches of one row each: n synapses a branch, or n branches.
        "synapses": lambda n: (
            Spec((n, 4 * n), 1, 0.02),
            {"window": 4 * n, "patch": n},
        ),
        "cells": lambda n: (strip(16, n), {"window": 16, "patch": 1}),
        "lags": lambda n: (strip(16), {"memory_tau_s": (0.01, 0.02 * n)}),
        "branches": lambda n: (strip(n, 1), {"window": n, "patch": 1}),
    },
    "circuit": {
        # A square frame, for what pools it: by rows and then by columns, whatever the
        # reach, so that a place takes as many products as a side has pixels.
        "synapses": lambda n: (Spec((n, n), 2, 0.02), {}),
        "cells": lambda n: (strip(16, n), {}),
        "branches": _along("types"),
    },
}
LARGE = 512
# Of n x n pixels: n synapses, of a branch or of a frame, are n^2.
SQUARE = {("elm", "synapses"), ("circuit", "synapses")}


def flops(name: str, size: Size) -> int:
    spec, settings = size
    model = build.model(name.split()[0], spec, **settings)
    shapes = jax.eval_shape(model.stage.init, jax.random.key(0))
    return count_step(model, shapes)[1].flops


def exponent(name: str, axis: str, n: int = LARGE) -> float:
    """log2 of how much dearer the model is with 2 n than with n.

    >>> round(exponent("ln full", "synapses", 64), 1)
    1.0
    """
    made = CASES[name][axis]
    grown = math.log2(flops(name, made(2 * n)) / flops(name, made(n)))
    return grown / 2 if (name, axis) in SQUARE else grown


def table(n: int = LARGE) -> str:
    """The exponents of every family as markdown, a dash where it has no such axis."""
    lines = [
        f"| model | {' | '.join(AXES)} |",
        "|---|" + "---|" * len(AXES),
    ]
    for name, made in CASES.items():
        told = (f"{exponent(name, a, n):.2f}" if a in made else "-" for a in AXES)
        lines.append(f"| `{name}` | {' | '.join(told)} |")
    return "\n".join(lines) + "\n"


def page() -> str:
    """What growth.md says."""
    return (
        "# How cost grows\n\n"
        f"Exponents of FLOPs per bin from {LARGE} to {2 * LARGE} along one axis, the "
        "rest held (`benchmarks/growth.py` says at what). Made by `python -m "
        "benchmarks.growth benchmarks/growth.md`.\n\n" + table()
    )


def main(words: list[str]) -> None:
    text = page()
    if words:
        Path(words[0]).write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main(sys.argv[1:])
