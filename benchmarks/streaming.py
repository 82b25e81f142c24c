"""A fit whose movie is read from its file as it goes, beside the movie in memory.

    python -m benchmarks.streaming

A round of gradient steps, about half an epoch, of `cnn` and of `ln` on a movie of
random bytes (48 x 48, 20,000 frames). Both sides call the same program on the same
clips in the same order; the streamed one gathers the clips of each part of the round
while the part before is computed. The file was just written, so the system has it at
hand: what a slow disk would add is not in these times. Needs no peers.
"""

from __future__ import annotations

import statistics
from typing import Any

from benchmarks.reports import options, parsed
from benchmarks.side_by_side import Contender, pairs, race

BUILD = "benchmarks.our_movies:rounds"
AIM = 0.8  # of the speed in memory
MOVIE = {"frames": 20_000, "side": 48, "cells": 16}
MODELS: dict[str, dict[str, Any]] = {
    "cnn": {"model": {}, "recipe": {}},
    "ln": {"model": {}, "recipe": {"optimiser": "adam"}},
}
SMALL_MOVIE = {"frames": 600, "side": 12, "cells": 2}
SMALL: dict[str, dict[str, Any]] = {
    "cnn": {
        "model": {"lags": 4, "basis": 2, "channels": 2, "sizes": [3, 3]},
        "recipe": {"clip_bins": 32},
    },
    "ln": {
        "model": {"lags": 4, "window": 5},
        "recipe": {"optimiser": "adam", "clip_bins": 32},
    },
}


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    chosen = parsed(options(__doc__), arguments)
    movie, models = (SMALL_MOVIE, SMALL) if chosen.small else (MOVIE, MODELS)
    contenders = [
        Contender(
            f"{name}, {'streamed' if stream else 'in memory'}",
            BUILD,
            settings={"name": name, "stream": stream, **fit},
        )
        for name, fit in models.items()
        for stream in (False, True)
    ]
    return race("streaming", contenders, movie, chosen, notes=notes)


def notes(rows: list[dict[str, Any]]) -> list[str]:
    """The speed that streaming keeps, of each model, from its pair of rows."""
    lines = []
    for held, streamed in pairs(rows):
        rounds = zip(held["seconds"], streamed["seconds"], strict=True)
        kept = statistics.median(one / other for one, other in rounds)
        same = [a["train_loss"] for a in held["answers"]] == [
            a["train_loss"] for a in streamed["answers"]
        ]
        lines.append(
            f"{held['name'].split(',')[0]}: {kept:.2f} of the speed in memory (aim >= "
            f"{AIM}: {'met' if kept >= AIM else 'missed'}), losses "
            f"{'equal to the last bit' if same else 'DIFFER'}; a movie of "
            f"{held['about']['movie_bytes'] / 1e6:.0f} MB"
        )
    return lines


if __name__ == "__main__":
    main()
