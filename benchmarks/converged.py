"""Where the peers' fits end, beside ours, each left to its own rules.

    RETINA_CACHE=FOLDER python -m benchmarks.converged --peers PATH/bin/python

The recording, networks and trainers of `whole_fit`, without an aim: torch's fit ends
with its schedule, open-retina's when its own (patience 5 epochs) has lowered the rate
three times (with `--epochs N`: when a rate that falls along a cosine has come to zero),
either after `--limit` seconds; ours where `retina.fit` ends it. Told are bits per spike
on validation where each was best on them, and there on the running test
trials, and Pearson's r on the frozen test movie, medians over cells. To open-retina's
end it takes hours: the times are no comparison (`whole_fit` is one), the ends are.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.reports import options, parsed
from benchmarks.side_by_side import Contender, race
from benchmarks.whole_fit import COSINE, FALLING, OPEN_RETINA, TORCH, keep

CONTENDERS = [
    Contender("retina cnn", "benchmarks.our_fits:ended"),
    Contender(COSINE, TORCH, True, FALLING),
    Contender("open-retina core and readout", OPEN_RETINA, True),
]


def notes(rows: list[dict[str, Any]]) -> list[str]:
    lines = []
    ours = rows[0]["answers"][0]
    for row in rows:
        for answer in row.get("answers", []):
            ended = "" if answer["settled"] else ", stopped by the limit"
            bits, running, r = (
                statistics.median(answer[name])
                for name in ("per_cell", "running", "frozen_r")
            )
            lines.append(
                f"{row['name']}: {bits:.2f} validation bits per spike, {running:.2f} "
                f"on the running trials, frozen r {r:.3f}, after "
                f"{answer['spent_s']:.0f} s{ended}."
            )
            if answer is not ours:
                pairs = zip(ours["running"], answer["running"], strict=True)
                gains = [mine - theirs for mine, theirs in pairs]
                lines.append(
                    f"On these trials ours is better on {sum(g > 0 for g in gains)} of "
                    f"{len(gains)} cells, by {statistics.median(gains):.2f} in the "
                    "median."
                )
    return lines


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    parser = options(__doc__, rounds=1)
    parser.add_argument(
        "--limit", type=float, default=4 * 3600, help="seconds of each peer, in all"
    )
    parser.add_argument(
        "--keep",
        help="folder of open-retina's state after each epoch, from which the next run "
        "of the same settings goes on; its seconds count",
    )
    parser.add_argument(
        "--epochs",
        type=int,
        help="of open-retina, under a cosine; its own plateaus by default",
    )
    parser.add_argument("--threads", type=int, help="of open-retina; all by default")
    chosen = parsed(parser, arguments)
    settings: dict[str, Any] = {
        "dataset": "gollisch_whitenoise_78rgc",
        "limit_s": chosen.limit,
        "aims": [99.0],  # bits that nobody reaches
        "drops": 3,
        "falling": chosen.epochs,
        "threads": chosen.threads,
        "keep": chosen.keep and str(Path(chosen.keep).resolve()),
        "model": {},
    }
    if chosen.small:
        model = {"lags": 4, "channels": 1, "sizes": [3, 3], "basis": 2}
        settings |= {"dataset": "simulated", "clips": 3, "limit_s": 3.0, "model": model}
    with tempfile.TemporaryDirectory() as folder:
        if chosen.peers:
            keep(settings, Path(folder))
        given = settings | {"folder": folder}
        return race("converged", CONTENDERS, given, chosen, warm_ups=0, notes=notes)


if __name__ == "__main__":
    main()
