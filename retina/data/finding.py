"""Finding: one thing that was looked at in a recording, and what came out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Finding(NamedTuple):
    """level: "ok", "note" (worth knowing) or "wrong" (to be put right).

    per_cell: (cell name, figure) of each cell, where there is one.
    """

    level: str
    about: str
    text: str
    per_cell: tuple[tuple[str, float], ...] = ()

    @property
    def row(self) -> tuple[str, str, str]:
        """What stands in a table."""
        return self.level, self.about, self.text


def some(names: np.ndarray | list[str], kind: str = "cell") -> str:
    """The first few of a list of names, in words.

    >>> some(["a", "b"]), some([str(n) for n in range(10)], "clip")[-10:]
    ('cell a, b', 'and 2 more')
    """
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return f"{kind} {', '.join(names[:8])}{more}"
