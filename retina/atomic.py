"""Files and folders that are either the old ones or the new ones, whole, at any moment.

Everything is written under another name beside its place, flushed to the disk, and
renamed: a process killed at any point leaves what stood there before.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import glob
import os
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from retina.errors import BadSetting, UnwritableFolder

_STALE_S = 3600.0  # a folder half-written for longer than this belongs to the dead
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_MOVED = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT)
_TRIES = 100  # to take a folder's place before others do; chosen


@contextlib.contextmanager
def explained(place: Path) -> Iterator[None]:
    """Turns an error of the file system into UnwritableFolder, which says what to do.

    >>> with explained(Path("/dev/null/run")):
    ...     raise NotADirectoryError(errno.ENOTDIR, "Not a directory")
    Traceback (most recent call last):
    retina.errors.UnwritableFolder: cannot write /dev/null/run: not a directory; ...
    """
    try:
        yield
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        full = error.errno in _FULL
        hint = "free some space" if full else "name another folder"
        raise UnwritableFolder(
            f"cannot write {place}: {why}; {hint} and run the same command again"
        ) from error


def write_file(path: Path, data: bytes) -> None:
    """Puts `data` into `path`; whatever happens, the file is the old or the new one.

    raises: UnwritableFolder where the folder cannot be written or the disk is full.
    """
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # Not mkstemp: its files are for their owner alone, these are for whom the
        # folder is for.
        name = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
        handle = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            with os.fdopen(handle, "wb") as file:
                _write(file, data)
            os.replace(name, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise
        _flush_folder(path.parent)


@contextlib.contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A folder to fill; at the end of the block it stands at `folder`, flushed.

    folder: its place; a folder that is there already is replaced in one step.
    yields: an empty folder beside it. An exception inside the block removes it.
    raises: UnwritableFolder where it cannot be written or the disk is full.
    """
    folder = folder.absolute()
    with explained(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        recover(folder)
        # Not mkdtemp: its folders are for their owner alone.
        made = folder.parent / f".{folder.name}.{secrets.token_hex(6)}.partial"
        os.mkdir(made)
        try:
            yield made
            for file in made.rglob("*"):
                if file.is_file():
                    with open(file, "rb") as opened:
                        os.fsync(opened.fileno())
            _flush_folder(made)
            _take_place(made, folder)
        except BaseException:
            shutil.rmtree(made, ignore_errors=True)
            raise
        _sweep(folder)


def recover(folder: Path) -> None:
    """Ends a replacement that was cut off between its two renames.

    That can only happen on systems that cannot exchange two folders in one step (NFS);
    the old folder then waits under another name.
    """
    old = _aside(folder)
    if not folder.exists() and old.is_dir():
        # Where that fails it was not cut off, and has come to its end meanwhile; or
        # nothing can be written here.
        with contextlib.suppress(OSError):
            os.rename(old, folder)


def check_writable(folder: Path) -> None:
    """Raises UnwritableFolder now rather than after an hour of work."""
    folder = folder.absolute()
    with explained(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        os.rmdir(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))


def refuse_existing(path: Path) -> None:
    """Raises BadSetting where a file is that a command would write over."""
    if path.exists():
        raise BadSetting(f"{path} exists: name another --out, or delete it")


def _write(file, data: bytes) -> None:
    file.write(data)
    file.flush()
    os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:  # some file systems do so by themselves, or not at all
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)


def _take_place(made: Path, folder: Path) -> None:
    """Others may get between: who reads takes two renames for one that was cut off and
    puts the old folder back, and where locks do not hold another may store here too.
    """
    old, tries = _aside(folder), 0
    while True:
        try:
            if not folder.exists():
                os.rename(made, folder)
                break
            if exchange(made, folder):
                shutil.rmtree(made, ignore_errors=True)
                break
            shutil.rmtree(old, ignore_errors=True)
            os.rename(folder, old)
        except OSError as error:
            tries += 1
            if error.errno not in _MOVED or tries == _TRIES:
                raise
    shutil.rmtree(old, ignore_errors=True)
    _flush_folder(folder.parent)


def exchange(one: Path, other: Path) -> bool:
    """Swaps two folders in one step; False where the system cannot.

    source: renameat2(2) with RENAME_EXCHANGE (Linux), renamex_np(2) with RENAME_SWAP
            (macOS); both are 2, and AT_FDCWD is -100.
    """
    library = ctypes.CDLL(None, use_errno=True)
    paths = os.fsencode(one), os.fsencode(other)
    try:
        if sys.platform == "linux":
            return library.renameat2(-100, paths[0], -100, paths[1], 2) == 0
        if sys.platform == "darwin":
            return library.renamex_np(paths[0], paths[1], 2) == 0
    except AttributeError:  # a C library older than the call
        pass
    return False


def _aside(folder: Path) -> Path:
    return folder.parent / f".{folder.name}.old"


def _sweep(folder: Path) -> None:
    """Removes what killed processes left half-written beside `folder` long ago."""
    for left in folder.parent.glob(f".{glob.escape(folder.name)}.*.partial"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > _STALE_S:
                shutil.rmtree(left, ignore_errors=True)
