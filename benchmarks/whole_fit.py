"""Wall time of a whole fit until validation reaches 1.5, 1.8 and 1.9 bits per spike.

    RETINA_CACHE=FOLDER python -m benchmarks.whole_fit --peers PATH/bin/python

The checkerboard recording, 32 x 32 crop, 16 cells, 135 trials to fit and 15 to judge
by. Bits per spike are the mean over cells (what `fit.curve` has), on the same bins, of
the same null; the weak cells pull it below the median that the experiments tell. Ours
is `retina.fit` of `cnn` with its defaults; its time includes every validation pass.
Torch is a network of the same family on shuffled windows; open-retina is its core and
readout in its own trainer, dataloader and settings. The peers' clock stands while they
are judged: open-retina's network takes a minute for that. Between two judgements a
curve is taken as a straight line. Compilation counts on all sides and is told apart.

Three recipes of torch are run eagerly, and the last of them, whose rate falls, in each
other way too: those rows take the same steps, and a line says whether their first
losses agree. With the lags projected on time courses, windows are frames of five
channels: `channels_last` has those last, the spectral way needs no contiguous clips.
The spectra it keeps of the movie are made on the clock, as all else that is prepared.

The ratio is of the time to the last aim. Ours has no limit but its own end. Each peer
is given `REACH` times what ours took to that aim and a tenth more: whoever is not there
by then has missed it by more than the target, so a run always settles the question
(`--limit` gives all the same seconds instead, ours too, and may leave it open). The fit
whose rate falls ends after its epochs: where that is before the aim and before its
limit, the table says "ended before".
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.our_fits import loaded
from benchmarks.reports import options, parsed
from benchmarks.side_by_side import SAME, Answers, Contender, race

OURS = "retina cnn"
TORCH = "benchmarks.peers.torch_whole_fit:fitted"
OPEN_RETINA = "benchmarks.peers.openretina_whole_fit:fitted"
FAMILY = {"basis": 5, "channels": 8}
COSINE = "torch CNN, AdamW at 2e-3, falling over 5 epochs"
FALLING = {**FAMILY, "rate": 2e-3, "decay": 0.1, "epochs": 5}
REACH = 8.0
AIMS = [1.5, 1.8, 1.9]
WAYS: dict[str, dict[str, Any]] = {
    "channels_last": {"channels_last": True},
    "torch.compile": {"compile": True},
    "torch.compile channels_last": {"compile": True, "channels_last": True},
    "by our spectral method": {"spectral": True},
    "by our spectral method, compiled": {"spectral": True, "compile": True},
}
CONTENDERS = [
    Contender(OURS, "benchmarks.our_fits:whole"),
    Contender("torch CNN, Adam at 5e-4", TORCH, True, {**FAMILY, "rate": 5e-4}, REACH),
    Contender("torch CNN, Adam at 2e-3", TORCH, True, {**FAMILY, "rate": 2e-3}, REACH),
    Contender(COSINE, TORCH, True, FALLING, REACH),
    *(
        Contender(f"the same, {name}", TORCH, True, FALLING | way, REACH)
        for name, way in WAYS.items()
    ),
    Contender("open-retina core and readout", OPEN_RETINA, True, reach=REACH),
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


def told_of_aims(rows: list[dict[str, Any]], aims: list[float]) -> list[str]:
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


def told_of_work(rows: list[dict[str, Any]]) -> list[str]:
    """Compilation, and whether the ways of one recipe of torch did the same."""
    first = {row["name"]: row["answers"][0] for row in rows if row.get("answers")}
    each = [
        f"{name} {answer['compile_s']:.1f} s"
        for name, answer in first.items()
        if "compile_s" in answer
    ]
    lines = [f"Of these times compilation took: {'; '.join(each)}."]
    limits = {a["limit_s"] for a in first.values() if "limit_s" in a}
    lines += [f"Each peer was given {limit:.0f} s." for limit in limits]
    plain = first.get(COSINE)
    losses = [a["first_loss"] for name, a in first.items() if "the same, " in name]
    if plain and losses:
        off = max(abs(loss / plain["first_loss"] - 1) for loss in losses)
        same = "the same" if off <= SAME else "NOT THE SAME"
        lines.append(f"The ways of one recipe had {same} first loss ({off:.0e}).")
    return lines


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    parser = options(__doc__, rounds=1)
    parser.add_argument(
        "--limit", type=float, help="seconds of each; else they follow from ours"
    )
    parser.add_argument("--aims", type=float, nargs="+", help="bits per spike")
    chosen = parsed(parser, arguments)
    settings: dict[str, Any] = {
        "dataset": "gollisch_whitenoise_78rgc",
        "limit_s": chosen.limit,
        "model": {},
    }
    if chosen.small:
        model = {"lags": 4, "channels": 1, "sizes": [3, 3], "basis": 2}
        settings |= {"dataset": "simulated", "clips": 3, "model": model}
    # Small, everyone is there when first judged.
    aims = sorted(chosen.aims or ([-9.0] if chosen.small else AIMS))

    def judge(told: Answers) -> dict[str, float | None]:
        return {who: until(answer["curve"], aims[-1]) for who, answer in told.items()}

    def allow(ours: dict[str, Any]) -> dict[str, Any]:
        if settings["limit_s"] is not None:
            return {}
        took = until(ours["curve"], aims[-1])
        return {"limit_s": 1.1 * REACH * (ours["spent_s"] if took is None else took)}

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
            allow=allow,
            notes=lambda rows: told_of_aims(rows, aims) + told_of_work(rows),
        )


if __name__ == "__main__":
    main()
