"""`retina compare` and `frontier`: which of several runs is better."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from retina.cli import output
from retina.cli.names import Json
from retina.cli.runs import ScoredBin
from retina.errors import BadSetting


def frontier(
    run: Annotated[list[str], typer.Argument(help="Runs, or folders of runs.")],
    x: Annotated[str, typer.Option(help="A cost.")] = "flops_per_synaptic_event",
    y: Annotated[str, typer.Option(help="A metric.")] = "cc_norm",
    out: Annotated[
        Path | None, typer.Option(help="Write the figure here (.svg, .png, .pdf).")
    ] = None,
    json: Json = False,
) -> None:
    """The runs that no other beats on cost and accuracy."""
    from retina.search import records
    from retina.search.frontier import as_json
    from retina.search.frontier import frontier as front_of

    # `runs/*` names the figures that lie among the runs as well.
    folders = [name for name in run if not Path(name).is_file()] or run
    points = [point for folder in folders for point in records.points(folder)]
    if not points:
        raise BadSetting("no runs were given")
    front = front_of(points, x, y)
    if out is not None:
        from retina.reports.figure import figure

        figure(front, out)
    if json:
        output.print_json(as_json(front))
        return
    from retina.reports.table import table

    print(table(front))
    if out is not None:
        print(f"figure {out}")


def compare(
    run: Annotated[list[str], typer.Argument(help="Runs of one recording.")],
    metric: Annotated[str, typer.Option(help="A metric.")] = "bits_per_spike",
    bin_s: ScoredBin = None,
    ratio: Annotated[
        bool, typer.Option("--ratio", help="What is left of the first run's, per cell.")
    ] = False,
    json: Json = False,
) -> None:
    """Each run against the one named before it: the paired bootstrap on test clips."""
    from retina import store
    from retina.data import identity
    from retina.search import records
    from retina.search.compare import compare as compared
    from retina.search.ratio import ratios

    told = {one: store.read(one) for one in run}
    for one, record in told.items():
        if record["dataset"] != told[run[0]]["dataset"]:
            raise BadSetting(
                f"{run[0]} is of recording {told[run[0]]['dataset']!r}, {one} of "
                f"{record['dataset']!r}: compare runs of one recording"
            )
        if record.get("cell_names") != told[run[0]].get("cell_names"):
            raise BadSetting(
                f"{run[0]} and {one} are of other cells: compare runs with the same "
                "--cells"
            )
        records.check_card(record, one)
        first = told[run[0]].get("recording")
        if not identity.same(record.get("recording") or "", first or ""):
            raise BadSetting(
                f"{run[0]} and {one} were fitted under different cards, or files, of "
                f"{record['dataset']!r}: what one was trained on may be tested on now"
            )
    split = records.split_of(told[run[0]])
    fits = {one: store.load(one) for one in run}
    if ratio:
        left = ratios(fits, split, metric, bin_s=bin_s)
        if json:
            output.print_json([dataclasses.asdict(one) for one in left])
        else:
            _print_told(left)
        return
    made = compared(fits, split, metric, bin_s=bin_s)
    if not json:
        _print_told(made)
        return
    output.print_json(
        [
            {
                "group": one.group,
                "metric": one.difference.metric,
                "runs": one.difference.names,
                "median": one.difference.median,
                "ci95": one.difference.ci95,
                "per_cell": one.difference.per_cell,
                "wins": one.difference.wins,
                "cells": one.difference.cells,
                "p_holm": one.p_holm,
                "rank_biserial": one.difference.rank_biserial,
                "sentence": one.sentence,
                "notes": one.notes,
            }
            for one in made
        ]
    )


def _print_told(made: Iterable[Any]) -> None:
    """Each sentence; then, once, what is to be said of the runs."""
    for one in made:
        print(one.sentence)
    for note in dict.fromkeys(note for one in made for note in one.notes):
        print(note)
