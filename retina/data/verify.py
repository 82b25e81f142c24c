"""Checksums of a card's files, remembered so that a file is read through only once."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable
from pathlib import Path

from retina import atomic, resources
from retina.data.rules import File
from retina.errors import ChecksumMismatch, UnwritableFolder

LOOKED_AT, PIECE = 1 << 30, 1 << 20  # bytes


def sha256(path: Path) -> str:
    """The sha256 of a file; remembered by its path, size and time of change."""

    def whole() -> str:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    return _remembered(path, str(path.absolute()), whole)


def fingerprint(path: Path) -> str:
    """The sha256 of a file; of one beyond 1 GiB, that of its size and a GiB of it.

    Remembered likewise.
    """
    size = path.stat().st_size
    if size <= LOOKED_AT:
        return sha256(path)

    def some() -> str:
        digest = hashlib.sha256(str(size).encode())
        pieces = LOOKED_AT // PIECE
        with open(path, "rb") as file:
            for n in range(pieces):
                file.seek((size - PIECE) * n // (pieces - 1))
                digest.update(file.read(PIECE))
        return digest.hexdigest()

    return _remembered(path, f"{path.absolute()} in part", some)


def _remembered(path: Path, key: str, count: Callable[[], str]) -> str:
    status = path.stat()
    stamp = [status.st_size, status.st_mtime_ns]
    known = _read()
    if known.get(key, [])[:2] == stamp:
        return known[key][2]
    digest = count()
    _write(_read() | {key: [*stamp, digest]})
    return digest


def wrong(path: Path, file: File) -> str:
    """What tells a file from the card's, or "": its sum, or else its size if known."""
    size = path.stat().st_size
    if file.sha256:
        found = sha256(path)
        if found == file.sha256:
            return ""
        sizes = f"{size} bytes" + (f" of {file.bytes}" if size != file.bytes else "")
        return f"{sizes}, sha256 is {found}, the card says {file.sha256}"
    if file.bytes in (0, size):
        return ""
    return f"{size} bytes, the card says {file.bytes}"


def is_good(path: Path, file: File) -> bool:
    """True where the file is there and is the card's."""
    return path.is_file() and not wrong(path, file)


def check_file(path: Path, file: File, dataset: str) -> None:
    """raises: ChecksumMismatch with both sums, the sizes, and what to type."""
    found = wrong(path, file)
    if found:
        raise ChecksumMismatch(
            f"{path} ({found}): it is truncated, damaged or another version; type "
            f"`retina fetch {dataset}`"
        )


def _memory() -> Path:
    return resources.derived() / "verified.json"


def _read() -> dict[str, list]:
    try:
        table = json.loads(_memory().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return table if isinstance(table, dict) else {}


def _write(table: dict[str, list]) -> None:
    """Best effort: a lost entry only costs another reading of the file."""
    with contextlib.suppress(UnwritableFolder):
        atomic.write_file(_memory(), json.dumps(table).encode())
