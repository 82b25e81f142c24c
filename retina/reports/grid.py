"""Tables of text: a title, heads, aligned rows, and what is to be said below them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any


def grid(title: str) -> Any:
    """An empty table, to which columns and then rows are added."""
    from rich import box
    from rich.table import Table

    return Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)


def text(rows: Any, width: int) -> str:
    """A table of `grid` as lines, no wider than `width`; words stay as they are.

    Rich would take a cell that is called "[a]" for a style, and leave it out.
    """
    from rich.console import Console

    page = io.StringIO()
    console = Console(
        file=page,
        width=width,
        no_color=True,
        color_system=None,
        markup=False,
        emoji=False,
        highlight=False,
    )
    console.print(rows)
    return "\n".join(line.rstrip() for line in page.getvalue().splitlines()) + "\n"


def footer(notes: Sequence[str]) -> str:
    """Notes a line each, each once."""
    return "".join(f"{note}\n" for note in dict.fromkeys(notes))
