"""What commands print: results on stdout, progress on stderr."""

from __future__ import annotations

import contextlib
import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from retina.cli import interrupt

Tell = Callable[[float, str], None]
_LINE_EVERY_S = 10.0


def print_json(value: Any) -> None:
    """Strict JSON on stdout: NaN and infinities, which JSON lacks, become null."""
    print(json.dumps(plain(value), indent=1, allow_nan=False))


def plain(value: Any) -> Any:
    """Records as plain lists and dicts.

    >>> plain({"a": (1, float("nan"))})
    {'a': [1, None]}
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    return value if isinstance(value, (bool, int, str, type(None))) else str(value)


def columns(rows: Sequence[Sequence[object]], heads: Sequence[str] = ()) -> str:
    """Rows of words as aligned columns.

    >>> print(columns([("a", 1), ("long", 22)], heads=("name", "n")))
    name  n
    a     1
    long  22
    """
    texts = [
        [str(word) for word in row] for row in (*([heads] if heads else ()), *rows)
    ]
    if not texts:
        return ""
    widths = [max(len(row[i]) for row in texts) for i in range(len(texts[0]))]
    lines = (
        "  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True))
        for row in texts
    )
    return "\n".join(line.rstrip() for line in lines)


def say(line: str) -> None:
    """A remark on stderr, so that stdout stays what was asked for."""
    print(line, file=sys.stderr, flush=True)


@contextlib.contextmanager
def meter(label: str) -> Iterator[Tell]:
    """A progress bar on a terminal, a plain line now and then elsewhere.

    yields: tell(fraction, words), to be called as often as one likes.
    """
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        with Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
            TextColumn("{task.fields[words]}", markup=False),
            console=Console(stderr=True),
        ) as bar:
            task = bar.add_task(label, total=1.0, words="")

            def move(fraction: float, words: str) -> None:
                interrupt.check()
                bar.update(task, completed=min(fraction, 1.0), words=words)

            yield move
        return
    last = -math.inf

    def tell(fraction: float, words: str) -> None:
        nonlocal last
        interrupt.check()
        if fraction >= 1.0 or time.monotonic() - last >= _LINE_EVERY_S:
            last = time.monotonic()
            say(f"{label}: {100 * min(fraction, 1.0):3.0f} % {words}")

    yield tell


def fit_words(event: Mapping[str, Any]) -> tuple[float, str]:
    """How far a fit is, and its figures in words, from what `retina.fit` reports.

    A fit ends at its last step or, as a rule, when validation has stopped improving
    at the last of several learning rates: whichever is nearer is the fraction. Of the
    fits of a reduction each is as much as another.
    """
    fraction = event["step"] / max(event["max_steps"], 1)
    if event.get("all_cuts"):
        fraction = max(fraction, event.get("cuts", 0) / event["all_cuts"])
    words = [f"step {event['step']}"]
    if "reduction" in event:
        fraction = (event["part"] + min(fraction, 1.0)) / event["parts"]
        words = [f"{event['reduction']}: step {event['step']}"]
    if math.isfinite(event["train_loss"]):
        words.append(f"loss {event['train_loss']:.4f}")
    words.append(f"validation median {event['validation_median']:.4f} bits/spike")
    if event["steps_per_s"]:
        words.append(f"{event['steps_per_s']:.3g} steps/s")
    return fraction, ", ".join([*words, f"{duration(event['seconds_left'])} left"])


def duration(seconds: float | None) -> str:
    """
    >>> duration(None), duration(7.2), duration(3725)
    ('?', '0:07', '1:02:05')
    """
    if seconds is None:
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
