"""The verb `fetch`: a card's files, downloaded or copied, verified, put in place."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from retina import atomic, resources
from retina.data import card as cards
from retina.data.below import below
from retina.data.card import Card
from retina.data.rules import File
from retina.data.unzip import member
from retina.data.verify import check_file, is_good, wrong
from retina.errors import BadSetting, ChecksumMismatch, MissingData, nearest

Progress = Callable[[str, int, int], None]
Filler = Callable[[Path, Callable[[int], None]], None]
_CHUNK = 1 << 16


def fetch(
    name: str | Path,
    *,
    source: str | Path | None = None,
    variant: str = "",
    offline: bool = False,
    patience_s: float = 30.0,
    say: Callable[[str], None] = print,
    progress: Progress | None = None,
) -> Path:
    """Puts the files of a data set into the cache; what is there already stays.

    name:       a data set, or the path of a card.
    source:     a folder or a zip file that holds the files, in place of the network.
    variant:    whose files to fetch, where variants have files of their own; "" for the
                card's default, "all" for every one.
    offline:    only look whether they are all there.
    patience_s: how long a server may be silent before the next address is tried.
    say:        is given each line of text; the licence and the size come first.
    progress:   called with (file, bytes so far, bytes in all).
    returns:    the folder of the files.
    raises:     ChecksumMismatch, MissingData where a file cannot be had, BadSetting,
                UnreadableFile for a broken zip, UnwritableFolder. A download that
                breaks off is resumed by the next call.

    >>> fetch("simulated", say=lambda line: None).name
    'simulated'
    """
    card = _chosen(cards.read(name), variant)
    if not 0 < patience_s < math.inf:
        raise BadSetting(f"patience_s {patience_s:g}: above 0")
    if offline and source is not None:
        raise BadSetting("offline looks into the cache alone: leave `--from` out")
    if not card.files:
        say(f"{card.name} has no files to fetch: it is made at its first use")
        return resources.derived() / card.name
    folder = resources.cache() / card.name
    say(f"{card.title} ({card.name})")
    say(f"licence: {card.licence}")
    if not card.publish:
        say("its terms forbid to publish results")
    size = f"{card.bytes / 1e6:.1f} MB" if card.bytes else "not known"
    say(f"size: {size} from {source or card.source}")
    report = progress or (lambda file, done, size: None)
    lacking = [
        file
        for file in card.files
        if file.path not in card.archives and not is_good(_at(folder, file), file)
    ]
    if offline:
        names = [file.path for file in lacking if not file.optional]
        if names:
            raise MissingData(
                f"{card.name}: {', '.join(names)} not whole in {folder}: type `retina "
                f"fetch {card.fetched}` without --offline, or with --from FOLDER"
            )
    elif lacking:
        with atomic.explained(folder):
            folder.mkdir(parents=True, exist_ok=True)
            with _alone(folder):
                fillers = _fillers(card, source, patience_s)
                for file in lacking:
                    _get(card, file, folder, fillers, source, say, report)
    say(f"{card.name} is complete in {folder}")
    return folder


def _get(
    card: Card,
    file: File,
    folder: Path,
    fillers: Callable[[File], list[Filler]],
    source: str | Path | None,
    say: Callable[[str], None],
    report: Progress,
) -> None:
    path = _at(folder, file)
    if is_good(path, file):
        return  # another process has brought it
    offered = fillers(file)
    if file.archive and not offered:
        whole = next(one for one in card.files if one.path == file.archive)
        _get(card, whole, folder, fillers, source, say, report)
        offered = [member(_at(folder, whole), file.path)]
    if not offered:
        if file.optional:
            return
        raise MissingData(_nowhere(card, file, source))
    for turn, fill in enumerate(offered, start=1):
        try:
            _place(card, file, path, fill, report)
            break
        except (MissingData, ChecksumMismatch) as error:
            if turn == len(offered):
                raise
            say(f"{error}; trying the next address")
    known = "sha256 verified" if file.sha256 else "no sha256 in the card"
    say(f"{file.path}: {path.stat().st_size / 1e6:.1f} MB, {known}")


def _nowhere(card: Card, file: File, source: str | Path | None) -> str:
    typed = f"`retina fetch {card.fetched} --from FOLDER`"
    if source is not None:
        return (
            f"{source} holds no {file.path}: give the folder or zip file that does: "
            f"type {typed}"
        )
    return f"{card.name}: {file.path} has no address to download it from: type {typed}"


def _fillers(
    card: Card,
    source: str | Path | None,
    patience_s: float,
) -> Callable[[File], list[Filler]]:
    """file -> the ways to have it, in the order that they are tried."""
    if source is None:
        return lambda file: [
            _download(card, file, url, patience_s)
            for url in (file.url, *file.mirrors)
            if url
        ]
    given = Path(source).expanduser()
    if zipfile.is_zipfile(given):
        return lambda file: _in_zip(given, file)
    return lambda file: _in_folder(given, card, file)


def local(card: Card, name: str | Path = "") -> Path:
    """The folder that holds a card's files, each of them verified.

    name:   what the card was found by; the files may lie beside a card given by path.
    card:   of one variant, where the variants have files of their own.
    raises: MissingData that says what to type; ChecksumMismatch; BadCard for a link
            that leads out of the folder.
    """
    if not card.files:
        return resources.derived() / card.name
    places = [resources.cache() / card.name, resources.derived() / card.name]
    if str(name).endswith(".toml"):
        places.append(Path(name).expanduser().absolute().parent)
    files = [file for file in card.files if file.path not in card.archives]
    needed = [file for file in files if not file.optional]
    lacking = {
        place: [file.path for file in needed if not (place / file.path).is_file()]
        for place in places
    }
    folder = min(places, key=lambda place: len(lacking[place]))
    if lacking[folder]:
        missing = [file for file in needed if file.path in lacking[folder]]
        offered = all(file.url or file.archive for file in missing)
        source = "" if offered else " --from FOLDER"
        size = f" ({card.bytes / 1e6:.0f} MB)" if card.bytes and offered else ""
        raise MissingData(
            f"{card.name}: {', '.join(lacking[folder])} not in {folder}: type "
            f"`retina fetch {card.fetched}{source}`{size}, or set RETINA_CACHE to the "
            f"folder that holds {card.name}/"
        )
    for file in files:
        path = _at(folder, file)
        if path.is_file():
            check_file(path, file, card.fetched)
    return folder


def _at(folder: Path, file: File) -> Path:
    return below(folder, file.path, pickled=True)


def _chosen(card: Card, variant: str) -> Card:
    """The card with the files of the variants that are asked for."""
    if variant not in ("", "all", *card.variants):
        raise BadSetting(
            f"{card.name} has no variant {variant!r}: "
            + nearest(variant, ("all", *card.variants))
        )
    names = list(card.variants) if variant == "all" else [variant]
    each = [card.variant(name) for name in names or [""]]
    files = tuple(dict.fromkeys(file for one in each for file in one.files))
    return each[0].model_copy(update={"files": files})


def _in_folder(source: Path, card: Card, file: File) -> list[Filler]:
    tries = (
        source / file.path,
        source / card.name / file.path,
        source / Path(file.path).name,
    )
    found = [path for path in tries if path.is_file()]
    return [_copy(found[0])] if found else []


def _in_zip(archive: Path, file: File) -> list[Filler]:
    with contextlib.suppress(MissingData):
        return [member(archive, file.path)]
    return []


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
            f"{card.fetched}` again, or `--from FOLDER` with the files of {card.source}"
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
