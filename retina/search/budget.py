"""What a family may take on a recording, and other sizes of the same experiment."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Budget(Strict):
    """How much any family may take on one recording; what is not stated stays.

    seeds, max_steps: as in Experiment. A family that states its seeds keeps them.
    without: model -> why this recording is not tried with it.
    """

    seeds: int | None = Field(default=None, ge=1)
    max_steps: int | None = Field(default=None, ge=1)
    without: dict[str, str] = {}


class Profile(Strict):
    """Another size of the same experiment; what is not stated stays.

    time, datasets, seeds, max_steps, budgets: as in Experiment.
    """

    time: str
    datasets: tuple[str, ...] | None = Field(default=None, min_length=1)
    seeds: int | None = Field(default=None, ge=1)
    max_steps: int | None = Field(default=None, ge=1)
    budgets: dict[str, Budget] | None = None


def apart(recording: str) -> tuple[str, str | None]:
    """The name, or path, of a card and the cells of it; None for the card's choice.

    >>> apart("simulated:0,1"), apart("C:/cards/mine.toml")
    (('simulated', '0,1'), ('C:/cards/mine.toml', None))
    """
    name, colon, cells = recording.rpartition(":")
    if not colon or "/" in cells or "\\" in cells:
        return recording, None
    return name, cells
