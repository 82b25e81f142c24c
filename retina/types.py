"""The records that travel from a data set's card to the frontier.

Each is defined with those of its kind, and imported from here.
"""

from __future__ import annotations

from retina.binned import Clip, Spec, Split
from retina.recording import GRADED, ROLES, Block, Cell, Recording, one_of
from retina.results import Cost, Fit, Interval, Metric, Point, Score

__all__ = [
    "GRADED",
    "ROLES",
    "Block",
    "Cell",
    "Clip",
    "Cost",
    "Fit",
    "Interval",
    "Metric",
    "Point",
    "Recording",
    "Score",
    "Spec",
    "Split",
    "one_of",
]
