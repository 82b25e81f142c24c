"""`retina fetch` and `retina check`: a data set's files, and whether all is well."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from retina.cli import output
from retina.cli.names import Json


def fetch(
    dataset: Annotated[str, typer.Argument(help="A name or a TOML card.")],
    source: Annotated[
        Path | None,
        typer.Option("--from", help="Copy the files from this folder or zip file."),
    ] = None,
    variant: Annotated[
        str,
        typer.Option(help="Whose files, where variants have their own; or all."),
    ] = "",
    offline: Annotated[
        bool, typer.Option("--offline", help="Only look whether all is there.")
    ] = False,
) -> None:
    """Download a recording; its licence is shown first."""
    from retina.data import fetch as fetching

    with output.meter(f"fetch {Path(dataset).stem}") as tell:
        fetching.fetch(
            dataset,
            source=source,
            variant=variant,
            offline=offline,
            say=print,
            progress=lambda file, done, size: tell(
                done / max(size, 1), f"{file} {done / 1e6:.1f} of {size / 1e6:.1f} MB"
            ),
        )


def check(
    dataset: Annotated[str, typer.Argument(help="A name or a TOML card.")],
    json: Json = False,
    html: Annotated[
        Path | None,
        typer.Option("--html", help="Also write a page, with a portrait of each cell."),
    ] = None,
) -> int:
    """Hold a data set's card against its files, and look for what is odd in them."""
    from retina.data import check as checking

    found = checking.check(dataset)
    if html is not None:
        from retina.reports.check_page import check_page

        with output.meter(f"draw {Path(dataset).stem}") as tell:
            check_page(
                dataset,
                found,
                html,
                progress=lambda done, cells: tell(
                    done / cells, f"cell {done} of {cells}"
                ),
            )
    findings = [finding._asdict() for finding in found]
    if json:
        output.print_json(findings)
    else:
        print(output.columns([tuple(row.values()) for row in findings]))
    if html is not None:
        output.say(f"written: {html}")
    return 1 if any(row["level"] == "wrong" for row in findings) else 0
