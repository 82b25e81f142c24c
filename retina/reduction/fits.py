"""The fits that reductions in a row come down to: told apart, and each gone on with."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from retina.fitting.fit import fit
from retina.fitting.loop import Progress
from retina.types import Fit


def fits_itself(function: Callable[..., Any]) -> bool:
    """Whether a method fits something, such as a student, before the refit.

    >>> fits_itself(lambda fit, split, key, fitted, /, *, steps=3: None)
    True
    """
    kinds = [one.kind for one in inspect.signature(function).parameters.values()]
    return kinds.count(inspect.Parameter.POSITIONAL_ONLY) > 3


@dataclasses.dataclass(frozen=True)
class Fits:
    """What all fits of reductions in a row have in common.

    progress:   as of `retina.fit`.
    checkpoint: a folder for those of all fits; None keeps nothing.
    parts:      how many fits there are.
    """

    progress: Progress | None
    checkpoint: Path | None
    parts: int

    def begin(self, part: int, name: str, of: str = "") -> Callable[..., Fit]:
        """`retina.fit` that says which of the fits it is, and keeps its own checkpoint.

        part: which, from 0. name: the method. of: what the fit begins with, where that
              is not its key's: a checkpoint knows the model, and another start is
              another fit.
        """
        where = {"reduction": name, "part": part, "parts": self.parts}
        place = "-".join(filter(None, (str(part), of)))

        def tell(event: Mapping[str, Any]) -> None:
            assert self.progress is not None
            self.progress({**event, **where})

        return functools.partial(
            fit,
            progress=self.progress and tell,
            checkpoint=self.checkpoint and self.checkpoint / place,
        )
