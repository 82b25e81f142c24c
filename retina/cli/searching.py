"""What is said of a search when it has ended, and before it begins."""

from __future__ import annotations

from typing import Any

from retina.cli import output


def table(rungs: Any) -> str:
    """Who was tried on each rung of halving, those that went furthest first.

    >>> from retina.search.halving import Rung, Tried
    >>> one, other = ("a", "ln rank=1", 8, 0.5, True), ("b", "cnn", 8, None, False)
    >>> print(table([Rung(8, (Tried(*one), Tried(*other)))]))
    validation bits per spike  at 8 steps
    ln rank=1                  0.5000, kept
    cnn                        failed
    """
    cells: dict[str, list[str]] = {}
    order: dict[str, tuple] = {}
    for number, rung in enumerate(rungs):
        for one in rung.tried:
            word = "failed" if one.bits is None else f"{one.bits:.4f}"
            row = cells.setdefault(one.run, [one.label])
            row.append(f"{word}, kept" if one.kept else word)
            order[one.run] = (number, one.bits is not None, one.kept, one.bits or 0.0)
    heads = ["validation bits per spike", *(f"at {r.steps:,} steps" for r in rungs)]
    names = sorted(cells, key=lambda run: order[run], reverse=True)
    rows = [cells[run] + [""] * (len(heads) - len(cells[run])) for run in names]
    return output.columns(rows, heads)


def print_searched(found: Any) -> None:
    """How exhaustive the searches were."""
    for one in found:
        if one.rungs:
            print(f"\n{table(one.rungs)}")
        print(one.sentence)


def to_try(experiment: Any) -> str:
    """What there is beside the jobs that are known, in words; "" for nothing."""
    from retina.search.explore import spaces

    search = experiment.search
    if not spaces(experiment):
        return ""
    on = len(experiment.datasets)
    each = f" on each of {on} data sets" if on > 1 else ""
    if search.method == "halving":
        return f"; besides, halving begins at most {search.trials} fits{each}"
    return f"; besides, {search.method} tries at most {search.trials} points{each}"
