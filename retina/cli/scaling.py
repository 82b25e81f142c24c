"""`retina scale`: from one ganglion cell to a retina or a brain, as a range."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

import typer

from retina.cli import costing, output
from retina.cli.fitting import BinS, Set
from retina.cli.names import Json


def scale(
    what: Annotated[str, typer.Argument(metavar="RUN|MODEL")],
    to: Annotated[
        str, typer.Option(help="human-retina, mouse-retina or brain.")
    ] = "human-retina",
    dataset: costing.Dataset = None,
    frame: costing.Frame = None,
    n_cells: costing.Cells = None,
    bin_s: BinS = None,
    set_: Set = None,
    json: Json = False,
) -> None:
    """An extrapolation of a cost to a whole retina or brain, beside published ones."""
    from retina.costs import cost, scaling

    model, params, split, species = costing.found_for(
        what, dataset, frame, n_cells, bin_s, set_
    )
    one = cost.cost(model, params, split, species=species, runs=1)
    made = scaling.scale(one, to)
    if json:
        output.print_json(dataclasses.asdict(made))
        return
    print(_text(made))


def _text(made: Any) -> str:
    from retina.reports.numbers import amount
    from retina.types import Interval

    def line(what: str, range_: Any, mark: str = "", source: str = "") -> tuple:
        return what, amount(range_), mark, source

    rows = [
        line("one ganglion cell, FLOP/s", made.per_cell, "counted"),
        *(
            line(f"x {row.name}", Interval(row.low, row.high), row.mark, row.source)
            for row in (made.cells, *made.factors)
        ),
    ]
    whole = [line(f"this model, {made.cells.name}", made.retina)]
    whole += [
        line(f"this model, {made.to}, by {name}", range_)
        for name, range_ in made.by_factor.items()
    ]
    if made.by_factor:
        whole.append(line(f"this model, {made.to}, least to most", made.whole))
    whole += [
        line(row.name, Interval(row.low, row.high), row.mark, row.source)
        for row in made.published
    ]
    heads = ("FLOP/s", "", "mark", "source")
    return "\n\n".join(
        [
            made.warning,
            output.columns(rows, ("factor", "", "mark", "source")),
            output.columns(whole, heads),
            made.warning,
        ]
    )
