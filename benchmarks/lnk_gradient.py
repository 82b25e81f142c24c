"""Loss and gradient of 100 LNK cells over 10 s in steps of 1 ms.

    python -m benchmarks.lnk_gradient --peers PATH/bin/python

As `lnk_forward`, with the slope of every parameter. The row "plain scan" is ours
without recomputation: it keeps every state of the clip, and its memory stands under the
table. Temporary memory is what the compiler sets aside for the program, also for 100 s,
which is planned and not run; peak memory is that of the whole process.
"""

from __future__ import annotations

from typing import Any

from benchmarks import lnk_forward
from benchmarks.lnk_forward import TORCH
from benchmarks.side_by_side import Contender, options, parsed, race

LNK = lnk_forward.LNK | {"gradient": True, "long": 100_000}
SMALL = lnk_forward.SMALL | {"gradient": True, "long": 800, "cells": 100}
OURS = "benchmarks.our_circuits:lnk_gradient"
CONTENDERS = [
    Contender("retina", OURS),
    Contender("retina, plain scan", OURS, settings={"plain": True}),
    Contender("torch loop", TORCH, True, reach=25.0),
    Contender("torch.jit.script", TORCH, True, {"script": True}, reach=25.0),
]


def notes(rows: list[dict[str, Any]]) -> list[str]:
    """Of the first two: memory, and the share that recomputing leaves of it."""
    cut, plain = (row["about"] for row in rows[:2])
    said = [
        f"{row['name']}: {row['about']['temporary_bytes'] / 1e6:.1f} MB temporary, "
        f"{row['about']['long_temporary_bytes'] / 1e6:.1f} MB for the long clip, "
        f"{row['answers'][-1]['peak_bytes'] / 1e6:.0f} MB peak of the process"
        for row in rows[:2]
    ]
    share = cut["long_temporary_bytes"] / plain["long_temporary_bytes"]
    met = "met" if share <= 1 / 3 else "missed"
    return [
        *said,
        f"memory of the long clip: {share:.3f} of a plain scan's (<= 1/3: {met})",
    ]


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    chosen = parsed(options(__doc__), arguments)
    settings = SMALL if chosen.small else LNK
    return race("lnk_gradient", CONTENDERS, settings, chosen, notes=notes)


if __name__ == "__main__":
    main()
