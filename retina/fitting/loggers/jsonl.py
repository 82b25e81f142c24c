"""metrics.jsonl in the run's folder: one JSON object a line, an evaluation each."""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from retina import atomic
from retina.fitting.loggers import Log

FILE = "metrics.jsonl"


@contextlib.contextmanager
def jsonl(folder: Path, about: Mapping[str, Any]) -> Iterator[Log]:
    """Appends each row to the file; what is not finite becomes null.

    >>> import tempfile
    >>> with jsonl(Path(tempfile.mkdtemp()), {}) as log:
    ...     log({"step": 0, "validation": [0.5]})
    """
    file, begun = folder / FILE, False

    def log(row: Mapping[str, Any]) -> None:
        nonlocal begun
        if not begun:
            _forget(file, _when(row))
            begun = True
        line = json.dumps(_plain(row), allow_nan=False) + "\n"
        with atomic.explained(file), file.open("a", encoding="utf-8") as opened:
            opened.write(line)
            opened.flush()
            os.fsync(opened.fileno())  # the checkpoint that follows is, too

    yield log


def _when(row: Mapping[str, Any]) -> tuple[int, int]:
    """Of several fits in a row, each begins at step 0."""
    return row.get("part", 0), row["step"]


def _forget(file: Path, when: tuple[int, int]) -> None:
    """Drops the rows of a step and later, and a line that was cut off."""
    if not file.exists():
        return
    kept = []
    for line in file.read_text(encoding="utf-8").splitlines():
        try:
            if _when(json.loads(line)) >= when:
                break
        except (ValueError, TypeError, KeyError, AttributeError):
            break
        kept.append(line + "\n")
    atomic.write_file(file, "".join(kept).encode())


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
