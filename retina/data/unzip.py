"""One file out of a zip, to where the caller says and nowhere else."""

from __future__ import annotations

import stat
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from retina.data.download import forget
from retina.errors import MissingData, UnreadableFile, nearest

_CHUNK = 1 << 20


def member(archive: Path, path: str) -> Callable[[Path, Callable[[int], None]], None]:
    """What writes one file of a zip into the place that it is given.

    archive: the zip. Names in it decide nothing about where anything is written.
    path:    the file's; where the zip has no such entry, the only one that ends in it
             or that it ends in, or else the only one of its last name.
    raises:  MissingData where there is no such entry; UnreadableFile for a broken zip.
    """
    entry = _entry(archive, path)

    def fill(aside: Path, report: Callable[[int], None]) -> None:
        done = 0
        forget(aside)
        try:
            with zipfile.ZipFile(archive) as whole, whole.open(entry) as source:
                with open(aside, "wb") as sink:
                    while piece := source.read(_CHUNK):
                        done += len(piece)
                        if done > entry.file_size:
                            raise zipfile.BadZipFile("more bytes than it declares")
                        sink.write(piece)
                        report(done)
        except (*_BROKEN, EOFError) as error:
            raise _unreadable(archive, error) from None

    return fill


_BROKEN = (
    *(zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError, zlib.error),
)


def _entry(archive: Path, path: str) -> zipfile.ZipInfo:
    try:
        with zipfile.ZipFile(archive) as whole:
            entries = [e for e in whole.infolist() if not e.is_dir()]
    except _BROKEN as error:
        raise _unreadable(archive, error) from None
    alike: list[zipfile.ZipInfo] = []
    for close in (_same, _one_in_the_other, _last_name):
        alike = [e for e in entries if close(e.filename, path)]
        if alike:
            break
    if len(alike) != 1:
        known = [e.filename for e in alike or entries]
        raise MissingData(
            f"{archive} holds {len(alike)} files that could be {path}: "
            + nearest(path, known[:100])
        )
    if stat.S_ISLNK(alike[0].external_attr >> 16):
        raise UnreadableFile(f"{archive}: {alike[0].filename} is a link, not a file")
    return alike[0]


def _same(name: str, path: str) -> bool:
    return name == path


def _one_in_the_other(name: str, path: str) -> bool:
    return name.endswith("/" + path) or path.endswith("/" + name)


def _last_name(name: str, path: str) -> bool:
    return PurePosixPath(name).name == PurePosixPath(path).name


def _unreadable(archive: Path, error: Exception) -> UnreadableFile:
    return UnreadableFile(
        f"{archive} is not a readable zip ({error}): delete it and fetch it again"
    )
