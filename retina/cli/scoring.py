"""`retina score`: how well a run predicts what it has not seen."""

from __future__ import annotations

import dataclasses
import statistics
from pathlib import Path
from typing import Annotated, Any

import typer

from retina import registry
from retina.cli import output, runs
from retina.cli.names import Json
from retina.errors import BrokenRun, UnwritableFolder


def score(
    run: Annotated[str, typer.Argument(help="A folder made by retina fit or sweep.")],
    metrics: Annotated[
        str | None, typer.Option(help="Names, comma-separated; default: all that fit.")
    ] = None,
    bin_s: runs.ScoredBin = None,
    population: Annotated[
        bool,
        typer.Option(
            "--population", help="And the noise that cells share, and redundant cells."
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Accuracy of a run on the test clips, with intervals."""
    from retina import store
    from retina.data.quality.ceiling import ceilings
    from retina.search import records
    from retina.search.measure import measure

    record = store.read(run)
    fitted = store.load(run)
    named = metrics.split(",") if metrics else None
    for name in named or ():
        registry.find("metrics", name)
    split = records.split_of(record)
    point = measure(fitted, split, Path(run).name, named, bin_s=bin_s)
    if named is None and bin_s is None:
        try:
            keep(Path(run), point, record["params_sha256"])
        except (UnwritableFolder, BrokenRun) as error:
            output.say(f"the score is not kept in the run: {error}")
    # Of the model's own bins: in longer ones it is another.
    ceiling = ceilings(split) if bin_s is None else {}
    together = ()
    if population:
        from retina.fitting.population import population as shared

        together = shared(fitted, split.test, bin_s=bin_s)
    if json:
        told: dict[str, Any] = {"cc_max": {g: list(c) for g, c in ceiling.items()}}
        if population:
            told["population"] = [vars(one) for one in together]
        output.print_json(score_json(point.score) | told)
        return
    from retina.reports.table import table

    print(table(point.score))
    for group, each in ceiling.items():
        print(_ceiling(group, each))
    for one in together:
        print(one.sentence)


def keep(run: Path, point: Any, fit: str) -> None:
    """Puts a point into the record of its run, as that is now.

    fit:    the sha256 of the parameters that were scored.
    raises: BrokenRun where the run is another fit by now; UnwritableFolder.
    """
    from retina import atomic, store
    from retina.search import records

    record = store.read(run)
    if record["params_sha256"] != fit:
        raise BrokenRun("another fit has taken its place since it was read")
    told = records.describe(records.merged(point, record))
    atomic.write_file(run / store.RECORD, store.dumps(record | told).encode())


def _ceiling(group: str, each: Any) -> str:
    """What bounds every model's correlation with the trial mean, from repeats alone."""
    known = sorted(each[each == each].tolist())  # nan: nothing repeats
    if not known:
        return f"CC_max of {group!r}: no cell repeats itself more than chance would"
    middle = statistics.median(known)
    return (
        f"CC_max of {group!r}, what the best model could reach: {middle:.3f} (median), "
        f"{known[0]:.3f} to {known[-1]:.3f}, {len(known)} of {len(each)} cells"
    )


def score_json(score: Any) -> dict[str, Any]:
    """A score with the keys that do not change, and those that may come and go."""
    metrics = {
        name: {"median": one.median, "ci95": one.ci95, "per_cell": one.per_cell}
        for name, one in score.metrics.items()
    }
    rest = {
        field.name: getattr(score, field.name)
        for field in dataclasses.fields(score)
        if field.name not in ("metrics", "others")
    }
    others = [score_json(other) for other in score.others]
    return rest | {"metrics": metrics, "others": others}
