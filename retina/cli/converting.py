"""`retina convert`: a pickle's arrays, as a file that can run nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def convert(
    file: Annotated[Path, typer.Argument(help="A pickle of arrays.")],
    out: Annotated[Path, typer.Option(help="The npz to write.")],
    trust: Annotated[
        bool, typer.Option("--trust", help="Read it, after you saw what it names.")
    ] = False,
) -> int:
    """Write a pickle's arrays into an npz file; without --trust, say what it names."""
    from retina.data import convert as converting

    lines = converting.convert(file, out, trust=trust)
    for line in lines:
        print(line)
    if trust:
        print(f"{out}: {len(lines)} arrays")
        return 0
    print(
        f"{file} names the above ({len(lines)}). Nothing was run. With --trust it is "
        "read by a reader that runs none of them: arrays of numbers, text and plain "
        "containers are put together from their bytes, anything else is refused"
    )
    return 1
