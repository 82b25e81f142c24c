"""What checkpoints cost a fit: its whole time with them, beside the time without.

    python -m benchmarks.checkpoints

`retina.fit` of `ln` and of `cnn` to the simulated recording, with a fixed number of
steps so that both do the same work. These fits take seconds, so that one is written
each second, beside the fit, in place of each fifteenth as fits have it; `--every` sets
that. The notes tell the share of the time in which the
fit itself waits for its checkpoints, and the share by which the whole time grows
(writing goes on beside the fit and takes some of the cores; on a busy machine this
figure is noise of a few per cent). Orbax is imported before the clock runs: that is
told apart, as a process does it once. Needs no peers.
"""

from __future__ import annotations

import statistics
from typing import Any

from benchmarks.reports import options, parsed
from benchmarks.side_by_side import Contender, pairs, race

BUILD = "benchmarks.our_fits:kept"
FITS: dict[str, dict[str, Any]] = {
    "ln": {"model": {}, "recipe": {}},  # L-BFGS ends where it always does
    "cnn": {"model": {}, "recipe": {"max_steps": 400, "patience": 1000}},
}
FEW = {"max_steps": 3, "clip_bins": 64, "batch": 2}
SMALL: dict[str, dict[str, Any]] = {
    "ln": {"model": {"lags": 3, "rank": 1, "window": 3}, "recipe": {"max_steps": 10}},
    "cnn": {
        "model": {"lags": 4, "basis": 2, "channels": 2, "sizes": [3, 3]},
        "recipe": FEW,
    },
}
AIM = 0.03


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    parser = options(__doc__, rounds=5)
    parser.add_argument(
        "--every", type=float, default=1.0, help="seconds between checkpoints"
    )
    chosen = parsed(parser, arguments)
    settings: dict[str, Any] = {"dataset": "simulated", "every_s": chosen.every}
    if chosen.small:
        settings |= {"cells": 2, "clips": 1}
    contenders = [
        Contender(
            f"{name}, {'checkpoints' if kept else 'none'}",
            BUILD,
            settings={"name": name, "kept": kept, **fit},
        )
        for name, fit in (SMALL if chosen.small else FITS).items()
        for kept in (False, True)
    ]
    return race("checkpoints", contenders, settings, chosen, notes=notes)


def notes(rows: list[dict[str, Any]]) -> list[str]:
    """The shares of each model, from its pair of rows; the aim is of the first."""
    lines = []
    for without, kept in pairs(rows):
        counted = kept["answers"][-len(kept["seconds"]) :]
        waited = [one["waited_s"] / one["spent_s"] for one in counted]
        rounds = zip(kept["seconds"], without["seconds"], strict=True)
        grown = [1 - less / more for more, less in rounds]
        median = statistics.median(waited)
        lines.append(
            f"{kept['name'].split(',')[0]}: waited {median:.2%} of the time (aim < "
            f"{AIM:.0%}) with {counted[-1]['written']} written; the whole time grew by "
            f"{statistics.median(grown):.1%}; importing orbax took "
            f"{kept['about']['import_s']:.2f} s"
        )
    return lines


if __name__ == "__main__":
    main()
