"""Test clips by group: what is scored together, in as many trials each."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import TypeVar

from retina.types import Block, Clip

One = TypeVar("One", Block, Clip)


def by_group(clips: Iterable[One]) -> dict[str, list[One]]:
    """Name of a group -> its clips, in their order; a clip without one is alone."""
    groups: dict[str, list[One]] = {}
    for clip in clips:
        groups.setdefault(clip.group or clip.name, []).append(clip)
    return groups


def same_trials(clips: Sequence[Clip]) -> list[Clip]:
    """The clips, each with as many of its first trials as all of them have."""
    trials = min(len(clip.response) for clip in clips)
    return [dataclasses.replace(c, response=c.response[:trials]) for c in clips]
