"""The verb `fetch`: a card's files, downloaded or copied, verified, put in place."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from retina import atomic, resources
from retina.data import card as cards
from retina.data.below import below
from retina.data.card import Card
from retina.data.download import forget, goes_on, in_words, sizes
from retina.data.filling import Filler, fillers, needed
from retina.data.rules import File
from retina.data.unzip import member
from retina.data.verify import check_file, is_good, wrong
from retina.errors import BadSetting, ChecksumMismatch, MissingData, nearest

Progress = Callable[[str, int, int], None]


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
    source:     a folder or a zip that holds the files, in place of the network; of a
                card of one file, that file, whatever its name.
    variant:    whose files to fetch, where variants have files of their own; "" for the
                card's default, "all" for every one.
    offline:    only look whether they are all there.
    patience_s: how long a server may be silent before the next address is tried.
    say:        is given each line of text; the licence and the size come first.
    progress:   called with (file, bytes so far, bytes in all).
    returns:    the folder of the files.
    raises:     ChecksumMismatch, MissingData where a file cannot be had, BadSetting for
                an unknown variant, UnreadableFile for a broken zip, UnwritableFolder.
                A download that breaks off is resumed by the next call.

    >>> fetch("simulated", say=lambda line: None).name
    'simulated'
    """
    if not 0 < patience_s < math.inf:
        raise BadSetting(f"patience_s {patience_s:g}: above 0")
    if offline and source is not None:
        raise BadSetting("offline looks into the cache alone: leave `--from` out")
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
    members = [file for file in files if file.path not in card.archives]
    places = {file: below(folder, file.path, pickled=True) for file in members}
    lacking = [file for file, place in places.items() if not is_good(place, file)]
    size_of = {f.path: f.bytes for f in files if not (f.archive or f.optional)}
    if not offline and source is None:
        size_of |= sizes(_downloads(card, lacking, folder), patience_s)
    say(f"size: {in_words(size_of)} from {source or card.source}")

    def report(path: str, done: int, size: int) -> None:
        if progress:
            progress(path, done, size or size_of.get(path, 0))

    if offline:
        names = [file.path for file in lacking if not file.optional]
        if names:
            raise MissingData(
                f"{card.name}: {', '.join(names)} not whole in {folder}: type `retina "
                f"fetch {card.fetched}` without --offline, or with --from PATH"
            )
    elif lacking:
        with atomic.explained(folder):
            folder.mkdir(parents=True, exist_ok=True)
            with _alone(folder):
                for file in lacking:
                    _get(card, file, folder, source, patience_s, say, report)
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


def _downloads(card: Card, lacking: list[File], folder: Path) -> list[File]:
    """The files that must come over the network for those that are lacking."""
    whole = {file.path: file for file in card.files}
    needed = dict.fromkeys(
        file if file.url or not file.archive else whole[file.archive]
        for file in lacking
        if not file.optional
    )
    return [
        file
        for file in needed
        if file.url and not is_good(below(folder, file.path, pickled=True), file)
    ]


def _get(
    card: Card,
    file: File,
    folder: Path,
    source: str | Path | None,
    patience_s: float,
    say: Callable[[str], None],
    report: Progress,
) -> None:
    path = below(folder, file.path, pickled=True)
    if is_good(path, file):
        return  # another process, or another file's archive, has brought it
    offered = fillers(card, file, source, patience_s)
    if file.archive and not offered:
        whole = next(one for one in card.files if one.path == file.archive)
        _get(card, whole, folder, source, patience_s, say, report)
        offered = [member(below(folder, whole.path, pickled=True), file.path)]
    if not offered and not file.optional:
        raise MissingData(_nowhere(card, file, source, folder))
    for turn, fill in enumerate(offered, start=1):
        try:
            _place(card, file, path, fill, report)
        except (MissingData, ChecksumMismatch) as error:
            if turn == len(offered):
                raise
            say(f"{error}; trying the next address")
        else:
            known = "sha256 verified" if file.sha256 else "no sha256 in the card"
            say(f"{file.path}: {path.stat().st_size / 1e6:.1f} MB, {known}")
            return


def _nowhere(card: Card, file: File, source: str | Path | None, folder: Path) -> str:
    """What to say of a file that cannot be had: where to look, and what to type."""
    typed = f"`retina fetch {card.fetched} --from PATH`"
    by_hand = [f for f in card.files if not (f.url or f.archive or f.optional)]
    lacking = [f.path for f in by_hand if not (folder / f.path).is_file()]
    itself = ""
    if needed(card) == [file]:
        itself = f", or the {Path(file.path).suffix} file itself, whatever its name,"
    if source is not None:
        known = Path(source).expanduser().exists()
        there = f"{source} holds no {file.path}" if known else f"there is no {source}"
        return (
            f"{there}: give the folder or zip file that does{itself} as PATH: {typed}"
        )
    look = f"look at {card.page} (`retina show {card.typed}` says more), then "
    has = "has" if len(lacking) < 2 else "have"
    return (
        f"{card.name}: {', '.join(lacking) or file.path} {has} no address to download "
        f"from: {look if card.page else ''}type {typed}, with the folder or zip file "
        f"that holds {'it' if has == 'has' else 'them'}{itself} as PATH"
    )


def local(card: Card, name: str | Path = "") -> Path:
    """The folder that holds a card's files, each of them verified.

    card:   of one variant, where the variants have files of their own.
    name:   what the card was found by; the files may lie beside a card given by path.
    raises: MissingData that says what to type; ChecksumMismatch; BadCard for a link
            that leads out of the folder.
    """
    if not card.files:
        return resources.derived() / card.name
    folder, missing = holder(card, name)
    if missing:
        if all(file.url or file.archive for file in missing):
            source, size = "", f" ({card.bytes / 1e6:.0f} MB)" if card.bytes else ""
        else:
            source = " --from PATH"
            size = f" with the files of {card.page}" if card.page else ""
        raise MissingData(
            f"{card.name}: {', '.join(f.path for f in missing)} not in {folder}: type "
            f"`retina fetch {card.fetched}{source}`{size}, or set RETINA_CACHE to the "
            f"folder that holds {card.name}/"
        )
    for file in card.files:
        path = below(folder, file.path, pickled=True)
        if file.path not in card.archives and path.is_file():
            check_file(path, file, card.fetched)
    return folder


def holder(card: Card, name: str | Path) -> tuple[Path, list[File]]:
    """The folder that holds most of a card's files, and those that it lacks."""
    places = [resources.cache() / card.name, resources.derived() / card.name]
    if str(name).endswith(".toml"):
        places.append(Path(name).expanduser().absolute().parent)
    lacking = {
        place: [f for f in needed(card) if not (place / f.path).is_file()]
        for place in places
    }
    folder = min(places, key=lambda place: len(lacking[place]))
    return folder, lacking[folder]


def _place(card: Card, file: File, path: Path, fill: Filler, report: Progress) -> None:
    """Fills a file aside, verifies it, and only then moves it into place."""
    aside = path.with_name(path.name + ".part")
    path.parent.mkdir(parents=True, exist_ok=True)
    aside.touch()
    if not goes_on(aside, file):
        os.truncate(aside, 0)  # nothing would tell two halves that do not fit
    resumed = aside.stat().st_size > 0
    fill(aside, lambda done: report(file.path, done, file.bytes))
    found = wrong(aside, file)
    if found and resumed:
        # What lay there was of another file, or the server does not resume.
        os.truncate(aside, 0)
        fill(aside, lambda done: report(file.path, done, file.bytes))
        found = wrong(aside, file)
    forget(aside)
    if found:
        os.unlink(aside)
        raise ChecksumMismatch(
            f"{file.path} ({found}): nothing was replaced. Type `retina fetch "
            f"{card.fetched}` again, or `--from PATH` with the files of {card.source}"
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
