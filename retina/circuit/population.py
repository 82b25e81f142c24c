"""Populations: cells of one type, where they stand, what they do with their drive."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from retina.errors import BadSetting, ShapeMismatch, nearest
from retina.stage import Stage

Dynamics = Callable[[int, float], Stage]
CLOCKS = ("step", "bin")


@dataclasses.dataclass(frozen=True)
class Population:
    """Cells of one type.

    name:       of the population: a word, for parameters, messages and the diagram.
    shape:      (n,), n cells without a place, or n types of one each; (height, width),
                a grid; (types, height, width), a grid for each type.
    dynamics:   (cells, dt_s) -> Stage (cells,) -> (cells,), from the sum of all that
                arrives to the cells' output. None: the output is the drive.
    safe_s:     the longest step at which the dynamics are right, seconds; to be given
                where there is a voltage.
    clock:      "step": in every step of the circuit. "bin": once per bin, for exact
                linear parts before all others, and for what hears their mean after.
    voltage:    state of the dynamics -> (cells,) mV, against which conductances onto
                the cells drive their current, as it was a step before. None: the cells
                have no potential, and a conductance finds them at -60 mV.
    spacing_um: between neighbours on the grid, which is centred on the retina's origin.
    gives:      (least, greatest) output, where the dynamics see to that: then nothing
                has to be cut off for a rung that hears no more, or to divide by.
    part_of:    another population, of which these are compartments: what they hear
                from it comes by no synapse.
    inner:      (source, target, kernel) of synapses that the dynamics keep to
                themselves; they count, and have wires, like a projection's.

    raises: ShapeMismatch, BadSetting.

    >>> Population("bipolar", (2, 3, 4), spacing_um=30.0).cells
    24
    """

    name: str
    shape: tuple[int, ...]
    dynamics: Dynamics | None = None
    safe_s: float = math.inf
    clock: str = "step"
    spacing_um: float | None = None
    voltage: Callable[[Any], Any] | None = None
    gives: tuple[float, float] = (-math.inf, math.inf)
    part_of: str = ""
    inner: tuple[tuple[Population, Population, Any], ...] = ()

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise BadSetting(
                f"population {self.name!r}: give a word of letters, digits and _"
            )
        if not (
            isinstance(self.shape, tuple)
            and 1 <= len(self.shape) <= 3
            and all(isinstance(side, int) and side >= 1 for side in self.shape)
        ):
            raise ShapeMismatch(
                f"population {self.name!r}: shape {self.shape}; give (cells,), "
                "(height, width) or (types, height, width)"
            )
        if self.clock not in CLOCKS:
            raise BadSetting(
                f"population {self.name!r}: clock {self.clock!r}: "
                f"{nearest(self.clock, CLOCKS)}"
            )
        if not self.safe_s > 0:
            raise BadSetting(
                f"population {self.name!r}: safe_s {self.safe_s:g}; give a time above 0"
            )
        if self.voltage is not None and self.safe_s == math.inf:
            raise BadSetting(
                f"population {self.name!r} has a voltage, on which conductances pull: "
                "not every step is stable; give safe_s, 0.0005 s for `membrane`"
            )
        if not self.gives[0] < self.gives[1]:
            raise BadSetting(
                f"population {self.name!r}: gives {self.gives}; the least first"
            )
        if self.spacing_um is not None and not 0 < self.spacing_um < math.inf:
            raise BadSetting(
                f"population {self.name!r}: spacing_um {self.spacing_um:g}; give a "
                "length above 0, or leave it out"
            )

    @property
    def cells(self) -> int:
        return math.prod(self.shape)

    @property
    def layout(self) -> tuple[int, int, int]:
        """(types, height, width); cells without a place are types at one place.

        >>> Population("ganglion", (5,)).layout, Population("cone", (6, 7)).layout
        ((5, 1, 1), (1, 6, 7))
        """
        if len(self.shape) == 1:
            return (self.shape[0], 1, 1)
        return (1, *self.shape)[-3:]  # type: ignore[return-value]

    @property
    def axes_um(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows and columns of the grid, um from its centre.

        raises: ShapeMismatch for a grid without spacing_um.

        >>> Population("cone", (1, 3), spacing_um=10.0).axes_um[1].tolist()
        [-10.0, 0.0, 10.0]
        """
        _, height, width = self.layout
        if height * width > 1 and self.spacing_um is None:
            raise ShapeMismatch(
                f"population {self.name!r}: its {height} x {width} grid has no "
                "positions; give it spacing_um"
            )
        step = self.spacing_um or 0.0
        rows, columns = (np.arange(n) - (n - 1) / 2 for n in (height, width))
        return rows * step, columns * step

    @property
    def positions_um(self) -> np.ndarray:
        """(cells, 2) y and x of every cell, in the order of its outputs."""
        rows, columns = self.axes_um
        grid = np.stack(np.meshgrid(rows, columns, indexing="ij"), -1).reshape(-1, 2)
        return np.tile(grid, (self.layout[0], 1))
