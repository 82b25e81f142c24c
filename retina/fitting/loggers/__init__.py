"""Where a fit tells its curve while it runs: one file per place.

A file NAME.py defines

    def NAME(folder: Path, about: Mapping) -> AbstractContextManager[Log]

folder: of the fit that runs; what is written there goes into the finished run.
about:  what was asked for: the data set, the model and its settings, ...
returns: entered when the fit begins, it gives the function that takes each row of
         `ROW`, of several fits in a row with "part" as well; a row replaces those that
         a killed fit told from its step on.
raises: MissingExtra at once, before anything is entered or written.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from retina.errors import BadSetting

Log = Callable[[Mapping[str, Any]], None]
# Validation bits per spike are those of each seed of each recipe, the loss is that of
# the recipe that leads; the seconds are of the whole fit.
ROW = ("step", "seconds", "train_loss", "validation", "rate", "steps_per_s")


def scalars(row: Mapping[str, Any], about: Mapping[str, Any]) -> dict[str, float]:
    """The figures of a row by name, those that are finite; the step is not one.

    about: its "seeds" tell recipes that are fitted side by side apart, which are
           numbered in the order of training["tuned"].

    >>> row = {"step": 3, "rate": None, "seconds": 2.0, "validation": [0.1, 0.2]}
    >>> scalars(row, {"seeds": 2})
    {'seconds': 2.0, 'validation/seed0': 0.1, 'validation/seed1': 0.2}
    >>> scalars(row, {"seeds": 1})
    {'seconds': 2.0, 'validation/recipe0/seed0': 0.1, 'validation/recipe1/seed0': 0.2}
    """
    found = {name: value for name, value in row.items() if name != "step"}
    lanes = found.pop("validation", ())
    seeds = about.get("seeds", len(lanes))
    for lane, bits in enumerate(lanes):
        recipe = f"recipe{lane // seeds}/" if len(lanes) > seeds else ""
        found[f"validation/{recipe}seed{lane % seeds}"] = bits
    return {
        name: float(value)
        for name, value in found.items()
        if value is not None and math.isfinite(value)
    }


def refused(name: str, error: Exception) -> BadSetting:
    """What a tool said when it was asked for a run, in one line.

    >>> refused("mlflow", ValueError("no store\\nat all"))
    BadSetting('--log mlflow: no store at all: put that right, or fit without it')
    """
    why = " ".join(str(error).split()).rstrip(".")
    return BadSetting(f"--log {name}: {why}: put that right, or fit without it")


def flat(about: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by dotted names.

    >>> flat({"model": "ln", "settings": {"lags": 30}})
    {'model': 'ln', 'settings.lags': 30}
    """
    return dict(_flat(about, prefix))


def _flat(about: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in about.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
