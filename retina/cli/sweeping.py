"""`retina sweep`, `compare` and `frontier`: many runs, and which of them is better."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from retina.cli import output
from retina.cli.names import Json
from retina.cli.runs import ScoredBin
from retina.cli.searching import print_searched, to_try
from retina.cli.tally import Tally
from retina.errors import BadSetting, RetinaError

_OTHER_AXES = "; on other axes: retina frontier RUN... --x COST --y METRIC"


def sweep(
    experiment: Annotated[str, typer.Argument(help="A name or a folder.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what there is to do, and stop.")
    ] = False,
    executor: Annotated[
        str, typer.Option(help="local, local://PROCESSES, dask://HOST:PORT, ...")
    ] = "local",
    limit: Annotated[
        float | None, typer.Option(help="Seconds that a job may take.")
    ] = None,
    profile: Annotated[
        str, typer.Option(help="Another size that the experiment states.")
    ] = "",
    out: Annotated[Path | None, typer.Option(help="A folder of runs.")] = None,
    json: Json = False,
) -> int:
    """Run the jobs of an experiment that are not finished."""
    from retina.search import experiment as experiments
    from retina.search.sweep import sweep as run

    asked = experiments.read(experiment, profile)
    place = Path(experiment).resolve()
    name = (place.parent if place.suffix else place).name
    folder = out or Path("runs") / (f"{name}-{profile}" if profile else name)
    if dry_run:
        swept = run(asked, folder, executor, dry_run=True)
        return _print_estimates(swept, json)
    output.say(f"runs {folder}; from elsewhere: retina status {folder}")
    with output.meter(Path(experiment).name) as tell:
        counted = Tally(tell, asked.y)
        swept = run(asked, folder, executor, progress=counted, limit_s=limit)
    for failure in swept.failures:
        output.say(f"failed: {failure.job.label}: {failure.error}")
    for surprise in swept.surprises:
        output.say(f"not as expected: {surprise}")
    fronts, figures = _shown(swept, tables=not json)
    kept = _kept(swept)
    for refused in swept.refused:
        output.say(f"refused: {refused.job.label}: {refused.error}")
    if not json:
        _print_headlines(swept)
        _print_controls(swept)
        _print_effects(swept)
        print_searched(swept.searched)
        print(f"all figures {kept}")
    if json:
        from retina.search.effect import as_rows
        from retina.search.frontier import as_json

        output.print_json(
            {
                "frontiers": {name: as_json(front) for name, front in fronts.items()},
                "figures": figures,
                "effects": as_rows(swept.effects),
                "searched": [dataclasses.asdict(one) for one in swept.searched],
                "headlines": _headline_rows(swept),
                "result": kept,
                "failed": {one.job.label: one.error for one in swept.failures},
                "skipped": swept.skipped,
            }
        )
    return swept.status


def _kept(swept: Any) -> Path:
    """Every score and cost, in one file beside the runs, and as tables in another."""
    from retina import atomic
    from retina.reports import markdown, result
    from retina.search.effect import as_rows

    made = result.result(
        swept.points,
        swept.labels,
        controls=swept.controls,
        effects=as_rows(swept.effects),
        searched=[dataclasses.asdict(one) for one in swept.searched],
        recordings=swept.recordings,
        headlines=_headline_rows(swept),
        untried=swept.untried,
        x=swept.experiment.x,
    )
    tables = markdown.markdown(made, swept.experiment.y, swept.experiment.x)
    atomic.write_file(swept.folder / markdown.NAME, tables.encode())
    return result.write(made, swept.folder)


def _headline_rows(swept: Any) -> list[dict[str, Any]]:
    from retina.search.headline import as_rows

    return [
        row
        for name, found in swept.headlines.items()
        for row in as_rows(name, found, swept.labels)
    ]


def _print_headlines(swept: Any) -> None:
    """The cheapest near the best, and the cheapest that explains so much."""
    from retina.reports.answer import answer

    for name, points in swept.by_recording().items():
        if name in swept.headlines:
            found = swept.headlines[name]
            print(answer(name, found, points, swept.labels), end="")


def _print_controls(swept: Any) -> None:
    """Scores on sampled spikes, apart from those on what was recorded."""
    from retina.reports.numbers import interval, median

    if not swept.controls:
        return
    y = swept.experiment.y
    rows = []
    for point in swept.controls:
        metric = point.score.metrics[y]
        shown = f"{median(metric)} {interval(metric)}"
        rows.append((swept.labels[point.run], point.dataset, shown))
    print("\nfitted to sampled spikes, and scored on them")
    print(output.columns(rows, ("model", "data set", f"{y} median [95 %]")))


def _print_effects(swept: Any) -> None:
    """What each mechanism does, beside its positive control."""
    if not swept.effects:
        return
    heads = ("with", "without", "test", "bits/spike [95 %]", "Holm p")
    rows = [
        (
            *one.recording.names,
            f"{one.dataset} {one.group}",
            one.recording.figures,
            f"{one.p_holm:.3f}",
            one.control.figures if one.control else "-",
            f"{one.smallest:.2g}" if one.control else "-",
            one.verdict,
        )
        for one in swept.effects
    ]
    print("\nwith minus without a mechanism, on the recording and in its control")
    print(output.columns(rows, (*heads, "in the control", "smallest", "verdict")))


def _shown(swept: Any, tables: bool) -> tuple[dict[str, Any], dict[str, Path]]:
    """The frontier and the figure of each data set, where they can be made.

    The fits are done: an axis that is undefined for a recording is told, and takes
    nothing else with it. The table is printed before anything is drawn.
    """
    from retina.reports.figure import figure
    from retina.reports.table import table
    from retina.search.frontier import frontier

    fronts, figures = {}, {}
    x, y = swept.experiment.x, swept.experiment.y
    for name, points in swept.by_recording().items():
        try:
            fronts[name] = frontier(points, x, y)
        except BadSetting as error:
            output.say(f"no frontier of {name}: {error}{_OTHER_AXES}")
        if tables:
            print(table(fronts[name]) if name in fronts else table(points, y=y))
        drawn, file = "", f"{name}.svg".replace(":", "_")
        if name in fronts:
            try:
                figures[name] = figure(fronts[name], swept.folder / file)
                drawn = f", figure {figures[name]}"
            except BadSetting as error:
                output.say(f"no figure of {name}: {error}{_OTHER_AXES}")
            except RetinaError as error:
                output.say(f"no figure of {name}: {error}")
        if tables:
            print(f"runs {swept.folder}{drawn}")
    if len(figures) > 1:
        together = {name: fronts[name] for name in figures}
        together |= _per_synapse(swept, figures)
        page = figure(together, swept.folder / "figure.svg")
        if tables:
            print(f"all of them on one page {page}")
    return fronts, figures


def _per_synapse(swept: Any, names: Iterable[str]) -> dict[str, Any]:
    """Of recordings that enter such claims: there the range of a constant is drawn."""
    from retina.costs.denominators import PER_SYNAPSE, enters_synapse_claims
    from retina.search.frontier import frontier

    x, y = swept.experiment.x, swept.experiment.y
    found = {}
    for name, points in swept.by_recording().items():
        claims = all(enters_synapse_claims(point.cost) for point in points)
        if name in names and claims and x not in PER_SYNAPSE:
            per = "flops_per_s_per_synapse"
            found[f"{name}, per synapse"] = frontier(points, per, y)
    return found


def _print_estimates(swept: Any, json: bool) -> int:
    rows = [
        {
            "job": one.job.label,
            "dataset": one.job.recording,
            "flops_per_bin": one.flops_per_bin,
            "flops": one.flops,
            "finished": one.finished,
            "error": one.error,
            "seconds": one.seconds,
        }
        for one in swept.estimates
    ]
    if json:
        output.print_json(rows)
    else:
        lines = [
            (
                row["job"],
                row["dataset"],
                "?" if row["flops_per_bin"] is None else f"{row['flops_per_bin']:,}",
                _steps(row),
                output.duration(row["seconds"]),
                "finished" if row["finished"] else row["error"] or "to do",
            )
            for row in rows
        ]
        heads = ("job", "data set", "FLOPs per bin", "of all steps", "time", "state")
        print(output.columns(lines, heads))
        print(_time_in_all(rows, swept.experiment.time) + to_try(swept.experiment))
    return 1 if any(row["error"] for row in rows) else 0


def _steps(row: dict[str, Any]) -> str:
    if row["finished"]:
        return "-"
    return "?" if row["flops"] is None else f"{row['flops']:.3g}"


def _time_in_all(rows: list[dict[str, Any]], stated: str) -> str:
    """What is left, job after job, by those that are finished."""
    todo = [row for row in rows if not (row["finished"] or row["error"])]
    known = [row["seconds"] for row in todo if row["seconds"] is not None]
    line = f"{len(todo)} of {len(rows)} to do"
    if known:
        line += f", {output.duration(sum(known))} for {len(known)} of them one by one"
    if len(known) < len(todo):
        line += f"; no time known for {len(todo) - len(known)}"
    counted = [row["flops"] for row in todo if row["flops"] is not None]
    if counted:
        line += f"; {sum(counted):.3g} FLOPs if"
        line += f" {len(counted)} of them take every step that they may"
    return f"{line}; the experiment says: {stated}"


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
