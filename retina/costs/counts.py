"""Counts: how much of each kind of work a program does, as exact Python integers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

TRANSCENDENTAL_WEIGHT = 10
WEIGHTS = (1, 10, 20)  # shown side by side

KINDS = (
    "macs",
    "acs",
    "adds",
    "multiplies",
    "divides",
    "comparisons",
    "transcendentals",
    "integers",
    "randoms",
    "words_read",
    "words_written",
)


@dataclasses.dataclass(frozen=True)
class Counts:
    """Exact work of a program, kept apart by kind.

    macs:            multiply-adds of products and convolutions (2 FLOPs each).
    acs:             the same where one factor was declared a 0/1 spike (1 FLOP each).
    adds, multiplies, divides: all others; a subtraction or a sign flip is an add.
    comparisons:     max, min, abs, clip, select, ReLU, sign, rounding: one each.
    transcendentals: exp, log, tanh, sqrt, pow, ... : one each, 10 FLOPs unless told.
    integers:        everything on integer or boolean numbers, and number conversions.
    randoms:         random draws, one per number drawn or key made.
    words_read, words_written: words moved by gather, scatter, slicing at a computed
                     place, sorting, joining. Shapes and views cost nothing.
    by_primitive:    the same, by the name of the JAX primitive.
    by_part:         the same, by the `jax.named_scope` the work was done in.

    >>> Counts(macs=3, adds=1).flops
    7
    >>> (Counts(macs=3) + 2 * Counts(acs=1)).flops
    8
    """

    macs: int = 0
    acs: int = 0
    adds: int = 0
    multiplies: int = 0
    divides: int = 0
    comparisons: int = 0
    transcendentals: int = 0
    integers: int = 0
    randoms: int = 0
    words_read: int = 0
    words_written: int = 0
    by_primitive: Mapping[str, Counts] = dataclasses.field(
        default_factory=dict, hash=False
    )
    by_part: Mapping[str, Counts] = dataclasses.field(default_factory=dict, hash=False)

    @property
    def flops(self) -> int:
        """2 MAC + AC + add + multiply + divide + 10 transcendental."""
        return self.flops_with(TRANSCENDENTAL_WEIGHT)

    def flops_with(self, weight: int) -> int:
        """FLOPs when one transcendental counts as `weight` of them.

        >>> [Counts(adds=1, transcendentals=2).flops_with(w) for w in (1, 10, 20)]
        [3, 21, 41]
        """
        plain = self.acs + self.adds + self.multiplies + self.divides
        return _told(2 * self.macs + plain + weight * self.transcendentals)

    @property
    def moved(self) -> int:
        """Words looked up and words stored at a computed place."""
        return self.words_read + self.words_written

    @property
    def total_ops(self) -> int:
        """FLOPs and all that FLOPs leave out, so that a look-up table is not free.

        >>> Counts(adds=1, comparisons=2, integers=3, randoms=4, words_read=5).total_ops
        15
        """
        rest = self.comparisons + self.integers + self.randoms
        return _told(self.flops + rest + self.moved)

    def as_dict(self) -> dict[str, int]:
        """The eleven kinds and the two sums, ready for JSON."""
        kinds = {kind: getattr(self, kind) for kind in KINDS}
        return kinds | {"flops": self.flops, "total_ops": self.total_ops}

    def bare(self) -> Counts:
        """The kinds alone, without the two break-downs."""
        return dataclasses.replace(self, by_primitive={}, by_part={})

    def within(self, primitive: str, part: str) -> Counts:
        """The same work, filed under one primitive and one part."""
        if not self:
            return Counts()
        bare = self.bare()
        return dataclasses.replace(
            bare, by_primitive={primitive: bare}, by_part={part: bare}
        )

    def __bool__(self) -> bool:
        return any(getattr(self, kind) for kind in KINDS)

    def __add__(self, other: Counts) -> Counts:
        kinds = {kind: getattr(self, kind) + getattr(other, kind) for kind in KINDS}
        return Counts(
            **kinds,
            by_primitive=_merged(self.by_primitive, other.by_primitive),
            by_part=_merged(self.by_part, other.by_part),
        )

    def __mul__(self, times: int) -> Counts:
        kinds = {kind: getattr(self, kind) * times for kind in KINDS}
        return Counts(
            **kinds,
            by_primitive={name: c * times for name, c in self.by_primitive.items()},
            by_part={name: c * times for name, c in self.by_part.items()},
        )

    __rmul__ = __mul__


def _told(number: Any) -> Any:
    """Thirds, of a mean over bins, add up to a whole: without the last bits."""
    return number if isinstance(number, int) else round(number, 6)


def _merged(one: Mapping[str, Counts], two: Mapping[str, Counts]) -> dict[str, Counts]:
    merged = dict(one)
    for name, counts in two.items():
        merged[name] = merged[name] + counts if name in merged else counts
    return merged
