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
from retina.data.below import below
from retina.data.card import Card
from retina.data.rules import File
from retina.data.unzip import member
from retina.data.verify import check_file, is_good, wrong
from retina.errors import BadSetting, ChecksumMismatch, MissingData, nearest

Progress = Callable[[str, int, int], None]
_CHUNK = 1 << 16


def fetch(
    name: str | Path,
    *,
    source: str | Path | None = None,
    variant: str = "",
    say: Callable[[str], None] = print,
    progress: Progress | None = None,
) -> Path:
    """Puts the files of a data set into the cache; what is there already stays.

    name:     a data set, or the path of a card.
    source:   a folder that holds the files, in place of the network.
    variant:  whose files to fetch, where variants have files of their own; "" for the
              card's default, "all" for every one.
    say:      is given each line of text; the licence and the size come first.
    progress: called with (file, bytes so far, bytes in all).
    returns:  the folder of the files.
    raises:   ChecksumMismatch, MissingData where a file cannot be had, BadSetting for
              an unknown variant, UnreadableFile for a broken zip, UnwritableFolder.
              A download that breaks off is resumed by the next call.

    >>> fetch("simulated", say=lambda line: None).name
    'simulated'
    """
    chosen = _chosen(cards.read(name), variant)
    card = chosen[0]
    files = tuple(dict.fromkeys(file for one in chosen for file in one.files))
    if not files:
        say(f"{card.name} has no files to fetch: it is made at its first use")
        return resources.derived() / card.name
    card = card.model_copy(update={"files": files})
    folder = resources.cache() / card.name
    say(f"{card.title} ({card.name})")
    say(f"licence: {card.licence}")
    if not card.publish:
        say("its terms forbid to publish results")
    size = f"{card.bytes / 1e6:.1f} MB" if card.bytes else "not known"
    say(f"size: {size} from {source or card.source}")
    report = progress or (lambda file, done, size: None)
    members = [file for file in files if file.path not in card.archives]
    places = {file: below(folder, file.path, pickled=True) for file in members}
    if any(not is_good(place, file) for file, place in places.items()):
        with atomic.explained(folder):
            folder.mkdir(parents=True, exist_ok=True)
            with _alone(folder):
                for file in members:
                    _get(card, file, folder, source, say, report)
    say(f"{card.name} is complete in {folder}")
    return folder


def _chosen(card: Card, variant: str) -> list[Card]:
    """The card, or each of its variants that is asked for."""
    if variant in ("", "all"):
        names = list(card.variants) if variant else [card.default_variant]
        return [card.variant(name) for name in names or [""]]
    if variant not in card.variants:
        raise BadSetting(
            f"{card.name} has no variant {variant!r}: "
            + nearest(variant, ("all", *card.variants))
        )
    return [card.variant(variant)]


def _get(
    card: Card,
    file: File,
    folder: Path,
    source: str | Path | None,
    say: Callable[[str], None],
    report: Progress,
) -> None:
    path = below(folder, file.path, pickled=True)
    if is_good(path, file):
        return
    fill: Filler | None = None
    if source is not None:
        found = _in_folder(Path(source).expanduser(), card, file)
        hint = f"{source} holds no {file.path}: give the folder that does"
        fill = _copy(found) if found else None
    else:
        hint = f"{card.name}: {file.path} has no address to download it from: type"
        fill = _download(card, file) if file.url else None
    if file.archive and not fill:
        whole = next(one for one in card.files if one.path == file.archive)
        _get(card, whole, folder, source, say, report)
        fill = member(below(folder, whole.path, pickled=True), file.path)
    if fill:
        _place(card, file, path, fill, report)
        known = "sha256 verified" if file.sha256 else "no sha256 in the card"
        say(f"{file.path}: {path.stat().st_size / 1e6:.1f} MB, {known}")
    elif not file.optional:
        raise MissingData(f"{hint} `retina fetch {card.fetched} --from FOLDER`")


def local(card: Card, name: str | Path = "") -> Path:
    """The folder that holds a card's files, each of them verified.

    card:   of one variant, where the variants have files of their own.
    name:   what the card was found by; the files may lie beside a card given by path.
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
        if all(file.url or file.archive for file in missing):
            source, size = "", f" ({card.bytes / 1e6:.0f} MB)" if card.bytes else ""
        else:
            source, size = " --from FOLDER", ""
        raise MissingData(
            f"{card.name}: {', '.join(lacking[folder])} not in {folder}: type "
            f"`retina fetch {card.fetched}{source}`{size}, or set RETINA_CACHE to the "
            f"folder that holds {card.name}/"
        )
    for file in files:
        path = below(folder, file.path, pickled=True)
        if path.is_file():
            check_file(path, file, card.fetched)
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
                f"{card.fetched}` again to go on from here, or add --from FOLDER"
            ) from None

    return fill
