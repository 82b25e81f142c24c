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
from benchmarks.reports import options, parsed
from benchmarks.side_by_side import Contender, race

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
    ours = [row for row in rows if "kinetics_bytes" in row.get("about", {})]
    said = [
        f"{row['name']}: {mega(row, 'temporary_bytes')} MB temporary, "
        f"{mega(row, 'long_temporary_bytes')} MB for the long clip, of the kinetics "
        f"alone {mega(row, 'kinetics_bytes')} MB; "
        f"{row['answers'][-1]['peak_bytes'] / 1e6:.0f} MB peak of the process"
        for row in ours
    ]
    if len(ours) < 2:  # the other was left out
        return said
    whole, part = (
        ours[0]["about"][name] / ours[1]["about"][name]
        for name in ("long_temporary_bytes", "kinetics_bytes")
    )
    met = "met" if whole <= 1 / 3 else "missed"
    said.append(
        f"long clip: {whole:.2f} of a plain scan's memory in the whole model (<= 1/3: "
        f"{met}), {part:.2f} in the kinetics alone"
    )
    return said


def mega(row: dict[str, Any], name: str) -> str:
    return f"{row['about'][name] / 1e6:.1f}"


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    chosen = parsed(options(__doc__), arguments)
    settings = SMALL if chosen.small else LNK
    return race("lnk_gradient", CONTENDERS, settings, chosen, notes=notes)


if __name__ == "__main__":
    main()
