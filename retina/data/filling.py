"""Ways to have a file: from a folder, out of a zip, over the network.

A filler writes the file where it is told, aside of its place: see `retina.data.fetch`.
"""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from retina.data.card import Card
from retina.data.rules import File
from retina.data.unzip import member
from retina.errors import MissingData

Filler = Callable[[Path, Callable[[int], None]], None]
_CHUNK = 1 << 16


def fillers(
    card: Card, file: File, source: str | Path | None, patience_s: float
) -> list[Filler]:
    """In the order that they are tried; [] where there is none.

    source:     a folder or a zip that holds the files; None for the network.
    patience_s: how long a server may be silent.
    raises:     UnreadableFile for a broken zip.
    """
    if source is None:
        addresses = [url for url in (file.url, *file.mirrors) if url]
        return [_download(card, file, url, patience_s) for url in addresses]
    given = Path(source).expanduser()
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


def _copy(found: Path) -> Filler:
    def fill(aside: Path, report: Callable[[int], None]) -> None:
        with open(found, "rb") as source, open(aside, "wb") as sink:
            shutil.copyfileobj(source, sink, _CHUNK)
            report(sink.tell())

    return fill


class _Counter:
    """Stands where pooch wants a progress bar."""

    def __init__(self, report: Callable[[int], None], have: int) -> None:
        self.report, self.have, self.done, self.total = report, have, 0, 0

    def update(self, more: int) -> None:
        # pooch counts whole chunks, also where the last is shorter.
        self.done = min(self.done + more, self.total or self.done + more)
        self.report(self.have + self.done)

    def reset(self) -> None:
        self.done = 0

    def close(self) -> None:
        pass


def _download(card: Card, file: File, url: str, patience_s: float) -> Filler:
    import pooch
    import requests

    def fill(aside: Path, report: Callable[[int], None]) -> None:
        have = aside.stat().st_size
        if have >= file.bytes > 0:
            return  # all of it came, but it was never moved into place
        headers = {"Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
        load = pooch.HTTPDownloader(
            chunk_size=_CHUNK, headers=headers, timeout=patience_s
        )
        load.progressbar = _Counter(report, have)  # type: ignore[assignment]
        try:
            with open(aside, "ab") as sink:
                # Only pooch's own file caches need the Pooch that it wants here.
                nothing: Any = None
                load(url, sink, nothing)
        except requests.exceptions.RequestException as error:
            raise MissingData(
                f"{url} cannot be downloaded ({error}): type `retina fetch "
                f"{card.fetched}` again to go on from here, or add --from FOLDER"
            ) from None

    return fill
