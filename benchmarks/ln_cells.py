"""An LN model of every cell in one fit, against one fit per cell after another.

    RETINA_CACHE=FOLDER python -m benchmarks.ln_cells

The 16 cells of the checkerboard recording where `retina` finds it, else the simulated
ones. Time counts to equal accuracy: the fit of all, until the mean over cells of its
validation bits per spike is within 0.01 of where it ends; each fit of one cell, until
it is within 0.01 of what the fit of all gave that cell (its whole time, if it never
is). Compilation is included on both sides; what the first fit of one cell has compiled,
the others find, as `retina` keeps it.
"""

from __future__ import annotations

from typing import Any

from benchmarks.reports import options, parsed
from benchmarks.side_by_side import Answers, Contender, race
from retina import resources

NEAR = 0.01  # bits per spike
CHECKERBOARD = "gollisch_whitenoise_78rgc"
TOGETHER, APART = "all cells in one fit", "one fit per cell"
BUILD = "benchmarks.our_fits:cells_alone"
CONTENDERS = [
    Contender(TOGETHER, BUILD, settings={"together": True}),
    Contender(APART, BUILD, settings={"together": False}, reach=5.0),
]


def judge(told: Answers) -> dict[str, float | None]:
    """Seconds to equal accuracy; see above."""
    (whole,) = told[TOGETHER]["fits"]
    aim = max(bits for _, bits in whole["curve"])
    seconds: dict[str, float | None] = {TOGETHER: until(whole["curve"], aim - NEAR)}
    if APART not in told:
        return seconds
    each = zip(told[APART]["fits"], whole["per_cell"], strict=True)
    seconds[APART] = sum(until(fit["curve"], bits - NEAR) for fit, bits in each)
    return seconds


def until(curve: list[list[float]], bits: float) -> float:
    """Seconds until a curve of (seconds, bits) is there; else to its end."""
    return next((s for s, now in curve if now >= bits), curve[-1][0])


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    parser = options(__doc__, rounds=5)
    parser.add_argument("--cells", type=int, help="only the first so many")
    parser.add_argument(
        "--clips", type=int, help="only the first so many training clips"
    )
    chosen = parsed(parser, arguments)
    real = (resources.cache() / CHECKERBOARD).is_dir() and not chosen.small
    settings: dict[str, Any] = {
        "dataset": CHECKERBOARD if real else "simulated",
        "model": {"lags": 20} if real else {"lags": 15},
    }
    if chosen.small:
        settings |= {
            "cells": 2,
            "clips": 1,
            "model": {"lags": 3, "rank": 1, "window": 3},
        }
    for name in ("cells", "clips"):
        if getattr(chosen, name) is not None:
            settings[name] = getattr(chosen, name)
    return race("ln_cells", CONTENDERS, settings, chosen, warm_ups=0, judge=judge)


if __name__ == "__main__":
    main()
