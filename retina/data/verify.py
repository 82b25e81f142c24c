"""Checksums of a card's files, remembered so that a file is read through only once."""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path

from retina import atomic, resources
from retina.data.card import File
from retina.errors import ChecksumMismatch, UnwritableFolder


def sha256(path: Path) -> str:
    """The sha256 of a file; remembered by its path, size and time of change."""
    status = path.stat()
    key = str(path.absolute())
    stamp = [status.st_size, status.st_mtime_ns]
    known = _read()
    if known.get(key, [])[:2] == stamp:
        return known[key][2]
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    _write(_read() | {key: [*stamp, digest]})
    return digest


def wrong_sum(path: Path, file: File) -> str:
    """ "" for a file that is the card's, else the sha256 that it has."""
    found = sha256(path)
    return "" if file.sha256 in ("", found) else found


def is_good(path: Path, file: File) -> bool:
    """True where the file is there and is the card's."""
    return path.is_file() and not wrong_sum(path, file)


def check_file(path: Path, file: File, dataset: str) -> None:
    """raises: ChecksumMismatch with both sums, the sizes, and what to type."""
    wrong = wrong_sum(path, file)
    if not wrong:
        return
    size = path.stat().st_size
    sizes = f"{size} bytes" + (f" of {file.bytes}" if size != file.bytes else "")
    raise ChecksumMismatch(
        f"{path} ({sizes}): sha256 is {wrong}, the card says {file.sha256}: it is "
        f"truncated, damaged or another version; type `retina fetch {dataset}`"
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
