"""`retina fetch` and `retina check`: a data set's files, and whether all is well."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from retina.cli import output
from retina.cli.names import Json

if TYPE_CHECKING:
    from retina.data.finding import Finding


def fetch(
    dataset: Annotated[str, typer.Argument(help="A name or a TOML card.")],
    source: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="Copy the files from this folder or zip file, or this one file.",
        ),
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Only look whether all is there.")
    ] = False,
    variant: Annotated[
        str,
        typer.Option(help="Whose files, where variants have their own; or all."),
    ] = "",
) -> None:
    """Download a recording; its licence is shown first."""
    from retina.data import fetch as fetching

    with output.meter(f"fetch {Path(dataset).stem}") as tell:
        fetching.fetch(
            dataset,
            source=source,
            offline=offline,
            variant=variant,
            say=print,
            progress=lambda file, done, size: tell(
                done / size if size else 0.0,
                f"{file} {done / 1e6:.1f}"
                + (f" of {size / 1e6:.1f} MB" if size else " MB"),
            ),
        )


def check(
    dataset: Annotated[str, typer.Argument(help="A name or a TOML card.")],
    json: Json = False,
    html: Annotated[
        Path | None,
        typer.Option("--html", help="Also write a page, with a portrait of each cell."),
    ] = None,
    cells: Annotated[
        str | None, typer.Option(help="Names, a subset or a variant; as for fit.")
    ] = None,
) -> int:
    """Hold a data set's card against its files, and look for what is odd in them."""
    from retina.data import check as checking

    found = checking.check(dataset, cells=cells)
    if html is not None:
        from retina.reports.check_page import check_page

        with output.meter(f"draw {Path(dataset).stem}") as tell:
            check_page(
                dataset,
                found,
                html,
                cells=cells,
                progress=lambda done, cells: tell(
                    done / cells, f"cell {done} of {cells}"
                ),
            )
    if json:
        output.print_json([_plain(finding) for finding in found])
    else:
        print(output.columns([finding.row for finding in found]))
    if html is not None:
        output.say(f"written: {html}")
    return 1 if any(finding.level == "wrong" for finding in found) else 0


def _plain(finding: Finding) -> dict[str, Any]:
    """As JSON; per_cell only where there is a figure for each cell."""
    told = finding._asdict()
    each = told.pop("per_cell")
    return told | ({"per_cell": dict(each)} if each else {})


def export(
    dataset: Annotated[str, typer.Argument(help="A name or a TOML card.")],
    hdf5: Annotated[
        Path | None, typer.Option("--hdf5", help="Our own layout, all as it is.")
    ] = None,
    nwb: Annotated[
        Path | None, typer.Option("--nwb", help="Neurodata Without Borders.")
    ] = None,
    cells: Annotated[
        str | None, typer.Option(help="Names, a subset or a variant; as for fit.")
    ] = None,
) -> None:
    """Write a recording as one file, and the card that loads it again."""
    from retina.data import export as exporting

    given = [(kind, path) for kind, path in (("hdf5", hdf5), ("nwb", nwb)) if path]
    if not given:
        raise typer.BadParameter("say what to write: --hdf5 FILE or --nwb FILE")
    for layout, path in given:
        file, card = exporting.export(dataset, path, layout, cells=cells)
        print(f"wrote {file} and {card}")
        print(f"next: retina check {card}")
