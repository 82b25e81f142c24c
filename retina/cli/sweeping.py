"""`retina sweep`: many fits, and what they come to."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from retina.cli import output
from retina.cli.names import Json
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
