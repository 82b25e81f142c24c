"""Ways to have a file: from a folder, out of a zip, over the network.

A filler writes the file where it is told, aside of its place: see `retina.data.fetch`.
"""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

from retina.data.card import Card
from retina.data.download import download, forget
from retina.data.rules import File
from retina.data.unzip import member
from retina.errors import MissingData

Filler = Callable[[Path, Callable[[int], None]], None]
_CHUNK = 1 << 16


def fillers(
    card: Card, file: File, source: str | Path | None, patience_s: float
) -> list[Filler]:
    """In the order that they are tried; [] where there is none.

    source:     a folder or a zip that holds the files, or the file itself; None for the
                network.
    patience_s: how long a server may be silent.
    raises:     UnreadableFile for a broken zip.
    """
    if source is None:
        addresses = [url for url in (file.url, *file.mirrors) if url]
        return [download(card, file, url, patience_s) for url in addresses]
    given = Path(source).expanduser()
    if given.is_file() and _itself(card, file, given):
        return [_copy(given)]
    if given.is_file() and zipfile.is_zipfile(given):
        try:
            return [member(given, file.path)]
        except MissingData:
            return []
    tries = (
        given / file.path,
        given / card.name / file.path,
        given / Path(file.path).name,
    )
    return [_copy(path) for path in tries if path.is_file()][:1]


def needed(card: Card) -> list[File]:
    """Files without which nothing can be read."""
    return [f for f in card.files if not f.optional and f.path not in card.archives]


def _itself(card: Card, file: File, given: Path) -> bool:
    """Whether it is the file: by its name, or of a card of one by its ending."""
    alike = given.suffix.lower() == Path(file.path).suffix.lower()
    if alike and needed(card) == [file]:
        return True
    # Of two folders of a card, each may have one of that name.
    called = [f for f in card.files if Path(f.path).name == given.name]
    return called == [file]


def _copy(found: Path) -> Filler:
    def fill(aside: Path, report: Callable[[int], None]) -> None:
        forget(aside)
        with open(found, "rb") as source, open(aside, "wb") as sink:
            shutil.copyfileobj(source, sink, _CHUNK)
            report(sink.tell())

    return fill
