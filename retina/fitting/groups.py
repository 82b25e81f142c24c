"""Test clips by group: what is scored together, in as many trials each."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from retina.types import Clip


def by_group(clips: Sequence[Clip]) -> dict[str, list[Clip]]:
    """Name of a group -> its clips, in their order; a clip without one is alone."""
    groups: dict[str, list[Clip]] = {}
    for clip in clips:
        groups.setdefault(clip.group or clip.name, []).append(clip)
    return groups


def same_trials(clips: Sequence[Clip]) -> list[Clip]:
    """The clips, each with as many of its first trials as all of them have."""
    trials = min(len(clip.response) for clip in clips)
    return [dataclasses.replace(c, response=c.response[:trials]) for c in clips]
