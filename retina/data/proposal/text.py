"""The text of a proposed card: what is known, to be filled in, or to be looked at."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from retina.data.proposal.trials import Gapped, between

FILL, LOOK = "  # <- fill in", "  # <- look at this"
HISTORY = 30  # frames that most models look back on by default
TRAIN, VALIDATION = 0.8, 0.9  # of the frames


def card_text(
    name: str,
    reader: str,
    files: Sequence[Path],
    options: list[str],
    parts: dict[str, Any],
    *,
    species: str = "not stated",
    frame_s: float | None = None,
) -> str:
    """TOML of a card.

    files:   to be listed, the one that `options` begins with first.
    options: lines of the reader's table.
    parts:   name of a stretch -> what has its frames, cells, trials and frame_s.
    frame_s: seconds per frame where no part knows.
    """
    guessed = next((p.frame_s for p in parts.values() if p.frame_s), frame_s)
    frame_s = float(f"{guessed or 0:.9g}")
    mark = LOOK if guessed else FILL
    cells = next((one.cells for one in parts.values() if one.cells), 1)
    shortest = min(one.frames for one in parts.values())
    second = round(1 / frame_s) if frame_s else 30
    lead = max(1, min(second, shortest // 20))
    if shortest >= 10 * HISTORY:
        lead = max(lead, HISTORY)
    lines = [
        "# Proposed from the files. What is marked is yours to fill in or to look at;",
        f"# `retina check {name}.toml` says what is still missing.",
        f"name = {quoted(name)}",
        f'title = "One line: which cells, which stimulus"{FILL}',
        f"species = {quoted(species)}{FILL}",
        f'citation = "Authors (year) title, journal"{FILL}',
        f'licence = "not stated"{FILL}: who may use it, in your own words',
        f'source = "which rig, which day"{FILL}',
        f"reader = {quoted(reader)}",
        f'coding = "light"{LOOK}: "contrast" where it has mean 0 and unit scale',
        f"frame_s = {frame_s!r}{mark}: seconds per frame{_said(frame_s)}",
        *_missed(parts.values()),
        f'stimulus_unit = ""{FILL}: what one number of the stimulus means',
        f"lead = {lead}",
        f"cell_count = {cells}",
        'notes = ["Nobody has looked at it yet."]',
        "",
        *options,
        *_splits(parts, lead),
    ]
    for path in files:
        lines += ["", "[[files]]", f"path = {quoted(path.name)}"]
    return "\n".join(lines) + "\n"


def _said(frame_s: float) -> str:
    """What else to say of how long a frame lasts; 0 where nothing says so."""
    if not frame_s:
        return ", 1/60 is 0.0166666667; no file has as many times as frames"
    if 5e-4 <= frame_s <= 5:
        return ""
    return "? By the times of frames: are those in seconds, and those of spikes?"


def _missed(parts: Iterable[Any]) -> list[str]:
    """A line for times of frames that lack some, in place of which they may be put."""
    if not any("missed_pulses" in getattr(one, "doubt", "") for one in parts):
        return []
    return [f"missed_pulses = false{LOOK}: true puts in the times that were missed"]


def _splits(parts: dict[str, Any], lead: int) -> list[str]:
    """A stretch with repeats is the test; else the last tenth of the longest one."""
    repeated = [name for name, one in parts.items() if one.trials > 1]
    called = [n for n in parts if "test" in n.lower() or "frozen" in n.lower()]
    tests = [n for n in (repeated or called) if len(parts) > 1]
    lines: list[str] = []

    def add(role: str, part: str, *frames: tuple[int, int], group: str = "") -> None:
        lines.extend(["", "[[splits]]", f"role = {quoted(role)}"])
        lines.extend([f"part = {quoted(part)}"] if part else [])
        lines.extend([f"group = {quoted(group)}"] if group else [])
        ranges = [list(pair) for pair in frames]
        lines.append(f"frames = {ranges[0] if len(ranges) == 1 else ranges}{LOOK}")

    for name in sorted(parts, key=lambda name: name in tests):
        one, frames = parts[name], parts[name].frames
        if name in tests:
            group = "frozen" if one.trials > 1 else "running"
            add("test", name, (lead, frames), group=group)
            continue
        if isinstance(one, Gapped):
            between(add, name, one, lead)
            continue
        first, second = round(TRAIN * frames), round(VALIDATION * frames)
        if tests:
            first, second = round(VALIDATION * frames), frames
        add("train", name, (lead, first))
        add("validation", name, (first + lead, second))
        if not tests:
            group = "frozen" if one.trials > 1 else "running"
            add("test", name, (second + lead, frames), group=group)
    return lines


def quoted(value: Any) -> str:
    """A value as TOML writes it."""
    return json.dumps(value)
