"""The steps that a card asks for, in their order."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

from retina.errors import BadCard, nearest
from retina.types import Recording

STEPS = tuple("around_fields at_least contrast crop downsample rstar unique".split())


def prepare(recording: Recording, steps: Sequence[Mapping[str, Any]]) -> Recording:
    """Each step's function on what the one before gave.

    steps:  tables of one key each, the name of a step, with its value.
    raises: BadCard for an unknown step or a table of several; BadSetting.

    >>> import retina
    >>> made = prepare(retina.load("simulated"), [{"downsample": 4}])
    >>> made.frame, made.notes[-1]
    ((5, 5), 'prepared: means of 4 x 4 pixels, 5 x 5 of them')
    """
    for step in steps:
        if len(step) != 1:
            raise BadCard(
                f"{recording.name}: prepare has the table {dict(step)!r}: one step a "
                "table, as in prepare = [{ crop = [0, 0, 32, 32] }, { downsample = 2 }]"
            )
        ((name, value),) = step.items()
        if name not in STEPS:
            known = nearest(name, STEPS)
            raise BadCard(f"{recording.name}: prepare has no step {name!r}: {known}")
        module = importlib.import_module(f"retina.data.preparation.{name}")
        recording = getattr(module, name)(recording, value)
    return recording
