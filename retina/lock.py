"""A folder that one process works in; the system frees it however that process ends."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from retina import atomic
from retina.errors import InUse

FILE = "lock"


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """The folder, made if need be, is this block's alone.

    raises: InUse where another block, of any process, has it; UnwritableFolder.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with held(folder), held(folder):
    ...     pass
    Traceback (most recent call last):
    retina.errors.InUse: another process (pid ...) is at work in ...: wait for it, ...
    """
    with atomic.explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder / FILE, folder):
        yield


@contextlib.contextmanager
def beside(folder: Path) -> Iterator[None]:
    """As `held`, of a folder that the block makes or removes: the file is beside it.

    The file goes with the block.
    """
    folder = folder.absolute()
    file = folder.parent / f".{folder.name}.{FILE}"
    with atomic.explained(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
    with _alone(file, folder):
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                file.unlink()


@contextlib.contextmanager
def in_turn(file: Path) -> Iterator[None]:
    """As `beside`, by a file of one's own, but waits while another block has it.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "turn"
    >>> with in_turn(file):
    ...     file.exists()
    True
    >>> file.exists()
    False
    """
    with atomic.explained(file.parent):
        file.parent.mkdir(parents=True, exist_ok=True)
    handle = _open(file, file)
    try:
        while _taken(handle, wait=True) and not _stands(handle, file):
            # Its holder removed it: it locks nothing.
            handle = _anew(handle, file, file)
        try:
            yield
        finally:  # whoever is stopped while it waits leaves the holder its file
            with contextlib.suppress(OSError):
                file.unlink()
    finally:
        os.close(handle)


@contextlib.contextmanager
def _alone(file: Path, folder: Path) -> Iterator[None]:
    handle = _open(file, folder)
    try:
        while True:
            if not _taken(handle):
                holder = os.read(handle, 20).decode(errors="replace").strip()
                who = f" (pid {holder})" if holder else ""
                raise InUse(
                    f"another process{who} is at work in {folder}: wait for it, or "
                    "name another place"
                )
            if _stands(handle, file):
                break
            # Its holder removed the file after it was opened here: it locks nothing.
            handle = _anew(handle, file, folder)
        with atomic.explained(folder):
            os.truncate(handle, 0)
            os.write(handle, str(os.getpid()).encode())
        yield
    finally:
        os.close(handle)


def _open(file: Path, folder: Path) -> int:
    with atomic.explained(folder):
        return os.open(file, os.O_RDWR | os.O_CREAT, 0o666)


def _anew(handle: int, file: Path, folder: Path) -> int:
    """Opened once more; where that fails, the handle is still to be closed."""
    fresh = _open(file, folder)
    os.close(handle)
    return fresh


def _stands(handle: int, file: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), os.stat(file))
    except FileNotFoundError:
        return False


def _taken(handle: int, *, wait: bool = False) -> bool:
    try:
        import fcntl
    except ImportError:  # Windows has no such lock
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError:  # nor have some file systems
        return True
    return True
