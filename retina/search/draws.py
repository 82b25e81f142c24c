"""What a fit would have scored on other stretches of time, kept beside its run."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from retina import atomic
from retina.data.groups import by_group, same_trials
from retina.fitting.score import COUNTED, SEED, rates
from retina.metrics.compare import over_starts
from retina.metrics.resample import Draws, resampled
from retina.types import GRADED, Fit, Split

FILE = "draws.npz"
VALIDATION = "validation"
# Single trials have no ceiling, but it is the same for all models of a cell: in a ratio
# of two of them it cancels. So this metric may choose where repeats are missing.
CHOOSING = ("pearson_trial", "bits_per_spike")
REPEATED = "feve"

Drawn = Mapping[tuple[str, str], Draws]


def drawn(fit: Fit, split: Split, *, draws: int = 1000) -> dict[tuple[str, str], Draws]:
    """Accuracy on validation and test clips, under draws of blocks of time.

    returns: (place, metric) -> Draws; place is "validation" or "test GROUP". Of several
             seeds, a cell's value is the median over them. The draws of a place are of
             the same blocks for every fit of a recording, so two fits are paired.
    raises:  as `retina.score`.
    """
    places = {VALIDATION: list(split.validation)}
    places |= {f"test {name}": clips for name, clips in by_group(split.test).items()}
    made = {}
    for place, clips in places.items():
        clips = same_trials(clips)
        trials = len(clips[0].response)
        each = [rates(fit, params, clips) for params in fit.seeds]
        for metric in _metrics(fit, place, trials):
            starts = resampled(
                metric,
                each,
                split.spec.bin_s,
                rng=np.random.default_rng([SEED, zlib.crc32(place.encode())]),
                null_rate=fit.null_rate,
                draws=draws,
            )
            made[place, metric] = over_starts(starts)
    return made


def kept(run: Path, of: Callable[[], tuple[Fit, Split]]) -> Drawn:
    """`drawn`, from the file in the run; made of a fit, and kept, where it is not."""
    try:
        return _read(run / FILE)
    except (OSError, KeyError, ValueError, zipfile.BadZipFile):
        made = drawn(*of())
    arrays = {}
    for (place, metric), one in made.items():
        name = f"{place}/{metric}"
        arrays[f"{name}/values"] = one.values.astype(np.float32)
        arrays[f"{name}/observed"] = one.observed
        arrays[f"{name}/blocks"] = np.asarray(one.blocks)
    file = io.BytesIO()
    np.savez(file, **arrays)
    atomic.write_file(run / FILE, file.getvalue())
    return _read(run / FILE)  # rounded as the next call will have them


def _read(file: Path) -> Drawn:
    with np.load(file) as arrays:
        names = dict.fromkeys(name.rpartition("/")[0] for name in arrays.files)
        return {
            (name.rpartition("/")[0], name.rpartition("/")[2]): Draws(
                arrays[f"{name}/observed"],
                arrays[f"{name}/values"].astype(np.float64),
                int(arrays[f"{name}/blocks"]),
            )
            for name in names
        }


def _metrics(fit: Fit, place: str, trials: int) -> list[str]:
    counted = fit.model.spec.event != GRADED
    chosen = [name for name in CHOOSING if counted or name not in COUNTED]
    return chosen + ([REPEATED] if place != VALIDATION and trials > 1 else [])
