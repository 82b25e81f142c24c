"""The verb `fetch`: a card's files, downloaded or copied, verified, put in place."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from retina import atomic, resources
from retina.data import card as cards
from retina.data.card import Card, File
from retina.data.verify import check_file, is_good, wrong
from retina.errors import ChecksumMismatch, MissingData

Progress = Callable[[str, int, int], None]
_CHUNK = 1 << 16


def fetch(
    name: str | Path,
    *,
    source: str | Path | None = None,
    say: Callable[[str], None] = print,
    progress: Progress | None = None,
) -> Path:
    """Puts the files of a data set into the cache; what is there already stays.

    name:     a data set, or the path of a card.
    source:   a folder that holds the files, in place of the network.
    say:      is given each line of text; the licence and the size come first.
    progress: called with (file, bytes so far, bytes in all).
    returns:  the folder of the files.
    raises:   ChecksumMismatch, MissingData where a file cannot be had,
              UnwritableFolder. A download that breaks off is resumed by the next call.

    >>> fetch("simulated", say=lambda line: None).name
    'simulated'
    """
    card = cards.read(name)
    if not card.files:
        say(f"{card.name} has no files to fetch: it is made at its first use")
        return resources.derived() / card.name
    folder = resources.cache() / card.name
    say(f"{card.title} ({card.name})")
    say(f"licence: {card.licence}")
    if not card.publish:
        say("its terms forbid to publish results")
    say(f"size: {card.bytes / 1e6:.1f} MB from {source or card.source}")
    report = progress or (lambda file, done, size: None)
    if any(not is_good(folder / file.path, file) for file in card.files):
        with atomic.explained(folder):
            folder.mkdir(parents=True, exist_ok=True)
            with _alone(folder):
                for file in card.files:
                    _get(card, file, folder / file.path, source, say, report)
    say(f"{card.name} is complete in {folder}")
    return folder


def _get(
    card: Card,
    file: File,
    path: Path,
    source: str | Path | None,
    say: Callable[[str], None],
    report: Progress,
) -> None:
    if is_good(path, file):
        return
    if source is not None:
        found = _in_folder(Path(source).expanduser(), card, file)
        hint = f"{source} holds no {file.path}: give the folder that does"
        fill = found and _copy(found)
    else:
        hint = f"{card.name}: {file.path} has no address to download it from: type"
        fill = _download(card, file) if file.url else None
    if fill:
        _place(card, file, path, fill, report)
        known = "sha256 verified" if file.sha256 else "no sha256 in the card"
        say(f"{file.path}: {path.stat().st_size / 1e6:.1f} MB, {known}")
    elif not file.optional:
        raise MissingData(f"{hint} `retina fetch {card.typed} --from FOLDER`")


def local(card: Card, name: str | Path = "") -> Path:
    """The folder that holds a card's files, each of them verified.

    name:   what the card was found by; the files may lie beside a card given by path.
    raises: MissingData that says what to type; ChecksumMismatch.
    """
    if not card.files:
        return resources.derived() / card.name
    places = [resources.cache() / card.name, resources.derived() / card.name]
    if str(name).endswith(".toml"):
        places.append(Path(name).expanduser().absolute().parent)
    needed = [file for file in card.files if not file.optional]
    lacking = {
        place: [file.path for file in needed if not (place / file.path).is_file()]
        for place in places
    }
    folder = min(places, key=lambda place: len(lacking[place]))
    if lacking[folder]:
        offered = all(file.url for file in needed if file.path in lacking[folder])
        source = "" if offered else " --from FOLDER"
        raise MissingData(
            f"{card.name}: {', '.join(lacking[folder])} not in {folder}: type "
            f"`retina fetch {card.typed}{source}` ({card.bytes / 1e6:.0f} MB), or set "
            f"RETINA_CACHE to the folder that holds {card.name}/"
        )
    for file in card.files:
        if (folder / file.path).is_file():
            check_file(folder / file.path, file, card.typed)
    return folder


def _in_folder(source: Path, card: Card, file: File) -> Path | None:
    tries = (
        source / file.path,
        source / card.name / file.path,
        source / Path(file.path).name,
    )
    return next((path for path in tries if path.is_file()), None)


Filler = Callable[[Path, Callable[[int], None]], None]


def _place(card: Card, file: File, path: Path, fill: Filler, report: Progress) -> None:
    """Fills a file aside, verifies it, and only then moves it into place."""
    aside = path.with_name(path.name + ".part")
    path.parent.mkdir(parents=True, exist_ok=True)
    aside.touch()
    if not (file.sha256 or file.bytes):
        os.truncate(aside, 0)  # nothing would tell two halves that do not fit
    resumed = aside.stat().st_size > 0
    fill(aside, lambda done: report(file.path, done, file.bytes))
    found = wrong(aside, file)
    if found and resumed:
        # What lay there was of another file, or the server does not resume.
        os.truncate(aside, 0)
        fill(aside, lambda done: report(file.path, done, file.bytes))
        found = wrong(aside, file)
    if found:
        os.unlink(aside)
        raise ChecksumMismatch(
            f"{file.path} ({found}): nothing was replaced. Type `retina fetch "
            f"{card.typed}` again, or `--from FOLDER` with the files of {card.source}"
        )
    os.replace(aside, path)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keeps a second fetch into the same folder waiting until this one is done."""
    with open(folder / ".lock", "ab") as held:
        with contextlib.suppress(ImportError):  # no such locks on Windows
            import fcntl

            fcntl.flock(held, fcntl.LOCK_EX)
        yield


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


def _download(card: Card, file: File) -> Filler:
    import pooch
    import requests

    def fill(aside: Path, report: Callable[[int], None]) -> None:
        have = aside.stat().st_size
        if have >= file.bytes > 0:
            return  # all of it came, but it was never moved into place
        headers = {"Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
        load = pooch.HTTPDownloader(chunk_size=_CHUNK, headers=headers)
        load.progressbar = _Counter(report, have)  # type: ignore[assignment]
        try:
            with open(aside, "ab") as sink:
                # Only pooch's own file caches need the Pooch that it wants here.
                nothing: Any = None
                load(file.url, sink, nothing)
        except requests.exceptions.RequestException as error:
            raise MissingData(
                f"{file.url} cannot be downloaded ({error}): type `retina fetch "
                f"{card.typed}` again to go on from here, or add --from FOLDER"
            ) from None

    return fill
