"""Wall time of a whole fit until validation reaches 1.5, 1.8 and 1.9 bits per spike.

    RETINA_CACHE=FOLDER python -m benchmarks.whole_fit --peers PATH/bin/python

The checkerboard recording, 32 x 32 crop, 16 cells, 135 trials to fit and 15 to judge
by. Bits per spike are the mean over cells (what `fit.curve` has), on the same bins, of
the same null; the weak cells pull it below the median that the experiments tell. Ours
is `retina.fit` of `cnn` with its defaults; its time includes compilation and every
validation pass. Torch is a network of the same family on shuffled windows; open-retina
is its core and readout in its own trainer, dataloader and settings. The peers' clock
stands while they are judged: open-retina's network takes a minute for that. Between two
judgements a curve is taken as a straight line. Who does not get there within `--limit`
seconds is told so. The ratio is of the time to the last aim.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.our_fits import loaded
from benchmarks.side_by_side import Answers, Contender, options, parsed, race

OURS = "retina cnn"
TORCH = "benchmarks.peers.torch_whole_fit:fitted"
OPEN_RETINA = "benchmarks.peers.openretina_whole_fit:fitted"
FAMILY = {"basis": 5, "channels": 8}
COSINE = "torch CNN, AdamW at 2e-3, falling over 5 epochs"
FALLING = {**FAMILY, "rate": 2e-3, "decay": 0.1, "epochs": 5}
CONTENDERS = [
    Contender(OURS, "benchmarks.our_fits:whole"),
    Contender("torch CNN, Adam at 5e-4", TORCH, True, {**FAMILY, "rate": 5e-4}, 8.0),
    Contender("torch CNN, Adam at 2e-3", TORCH, True, {**FAMILY, "rate": 2e-3}, 8.0),
    Contender(COSINE, TORCH, True, FALLING, 8.0),
    Contender("open-retina core and readout", OPEN_RETINA, True, reach=8.0),
]


def keep(settings: dict[str, Any], folder: Path) -> None:
    """The recording as arrays that the peers read; blocks cut to equal lengths."""
    split = loaded(settings)
    arrays: dict[str, Any] = {
        "mean": split.spec.stimulus_mean,
        "sd": split.spec.stimulus_sd,
    }
    # The movie that all test trials repeat, and the trials that were shown once.
    longest = max(split.test, key=lambda clip: len(clip.response))
    running = [clip for clip in split.test if len(clip.response) == 1]
    each = {"train": split.train, "validation": split.validation, "running": running}
    for role, clips in each.items():
        bins = min(len(clip.stimulus) for clip in clips)
        arrays[f"{role}_stimulus"] = np.stack([c.stimulus[:bins] for c in clips])
        arrays[f"{role}_counts"] = np.stack([c.response[0, :bins] for c in clips])
        arrays[f"{role}_skip"] = max(clip.skip for clip in clips)
    arrays["frozen_stimulus"] = longest.stimulus
    arrays["frozen_counts"] = longest.response[:, longest.skip :]
    np.savez(folder / "recording.npz", **arrays)


def until(curve: list[list[float]], bits: float) -> float | None:
    """Seconds to so many bits, on a straight line between two judgements."""
    before = None
    for seconds, now in curve:
        if now >= bits:
            if before is None:
                return seconds
            share = (bits - before[1]) / (now - before[1])
            return before[0] + share * (seconds - before[0])
        before = seconds, now
    return None


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    parser = options(__doc__, rounds=1)
    parser.add_argument("--limit", type=float, default=600, help="seconds of each")
    parser.add_argument("--aims", type=float, nargs="+", default=[1.5, 1.8, 1.9])
    chosen = parsed(parser, arguments)
    settings: dict[str, Any] = {
        "dataset": "gollisch_whitenoise_78rgc",
        "limit_s": chosen.limit,
        "model": {},
    }
    if chosen.small:
        model = {"lags": 4, "channels": 1, "sizes": [3, 3], "basis": 2}
        settings |= {"dataset": "simulated", "clips": 3, "limit_s": 3.0, "model": model}
    aims = sorted(chosen.aims)

    def judge(told: Answers) -> dict[str, float | None]:
        return {who: until(answer["curve"], aims[-1]) for who, answer in told.items()}

    def notes(rows: list[dict[str, Any]]) -> list[str]:
        """A line for each aim, of the first round."""
        lines = []
        for bits in aims:
            each = []
            for row in rows:
                for answer in row.get("answers", [])[:1]:
                    seconds = until(answer["curve"], bits)
                    best = max(now for _, now in answer["curve"])
                    missed = f"not in {answer['spent_s']:.0f} s (best {best:.2f})"
                    when = missed if seconds is None else f"{seconds:.1f} s"
                    each.append(f"{row['name']} {when}")
            lines.append(f"{bits:g} bits per spike: " + "; ".join(each) + ".")
        return lines

    with tempfile.TemporaryDirectory() as folder:
        if chosen.peers:
            keep(settings, Path(folder))
        given = settings | {"aims": aims, "folder": folder}
        return race(
            "whole_fit",
            CONTENDERS,
            given,
            chosen,
            warm_ups=0,
            judge=judge,
            notes=notes,
        )


if __name__ == "__main__":
    main()
