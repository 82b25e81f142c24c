"""The verb `check`: what a card says, held against what its files hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from retina.data import card as cards
from retina.data import stated
from retina.data.card import Card
from retina.data.caveats import PREPARED, UNVERIFIED
from retina.data.cells import keep, select
from retina.data.coding import below_darkness, odd_coding
from retina.data.finding import Finding, some
from retina.data.groups import by_group
from retina.data.leak import leak, too_short
from retina.data.load import differences, events, held, stored, words_of
from retina.data.preparation.prepare import prepare
from retina.data.quality.ceiling import ceiling
from retina.data.quality.clock import clock
from retina.data.quality.drift import drift
from retina.data.quality.fields import fields
from retina.data.quality.follows import follows
from retina.data.quality.intervals import intervals
from retina.data.quality.shared_spikes import shared_spikes
from retina.data.quality.shift import alignment, averages, between_trials
from retina.data.quality.silence import silence
from retina.data.quality.whole import whole
from retina.data.roles import roles
from retina.data.split import split
from retina.errors import RetinaError
from retina.types import GRADED, Recording, Split, one_of

# Of a cell, in spikes per second: beyond these a unit of time is more likely wrong.
SLOW, FAST = 0.02, 150.0
MANY = 50  # spikes of a block, before their end says anything


def check(
    name: str | Path, *, cells: str | Sequence[str | int] | None = None
) -> list[Finding]:
    """Licence, units, files, splits, counts, repeats, alignment of one data set.

    name:    a data set, or the path of a card; every variant is checked.
    cells:   as for `retina.load`: those of which alignment, fields and the ceiling are
             told, and which may not be silent; a variant alone is checked alone.
    returns: findings in that order. Where the files are missing or wrong, or lack one
             of the cells, that is the last one of the variant; "note" where it is not
             the default one.
    raises:  UnknownName, BadCard.

    >>> [finding.level for finding in check("simulated")].count("wrong")
    0
    """
    card = cards.read(name)
    found = list(stated.words(card))
    asked = words_of(cells)
    words = [word for word in asked if word not in card.variants]
    for variant in [word for word in asked if word in card.variants] or (
        card.variants or ("",)
    ):
        rules = card.variant(variant).splits
        found += stated.splits(rules, variant)
        try:
            found += stated.sums(card.variant(variant), name)
            recording = stored(name, ["all", *([variant] if variant else [])])
            names = [cell.name for cell in recording.cells]
            chosen = select(card.variant(variant), names, words)
            found += _recording(card.variant(variant), recording, variant, chosen)
        except RetinaError as error:
            # What of several was not fetched is nobody's mistake.
            other = variant and variant != card.default_variant
            found.append(Finding("note" if other else "wrong", "files", str(error)))
    return list(dict.fromkeys(found))


def _recording(
    card: Card, recording: Recording, variant: str, chosen: list[int]
) -> Iterator[Finding]:
    """chosen: the cells that models are given."""
    where = f" {variant}".rstrip()
    for text in recording.notes:  # what the reader found, which no card can know
        if text not in card.notes and UNVERIFIED not in text:
            yield Finding("note", f"read{where}", text)
    # Loading refuses such a recording, unless nobody has read its files before.
    for text in differences(recording, card):
        yield Finding("wrong", f"counts{where}", f"the files hold {text}")
    for rule in card.splits:
        blocks = [
            block
            for block in recording.blocks
            if (block.role, block.group) == (rule.role, rule.group)
        ]
        whom = rule.group or rule.role
        counts, kind, words = held(blocks), "note", "the card does not say: expect ="
        wanted = rule.expect.model_dump(exclude_none=True) if rule.expect else {}
        if counts == counts | wanted and len(wanted) == len(counts):
            kind, words = "ok", "as the card says"
        listed = ", ".join(f"{key} = {n}" for key, n in counts.items())
        yield Finding(kind, f"counts{where}", f"{whom}: {words} {{ {listed} }}")
    yield from _spans(recording, where)
    yield from _repeats(recording, where)
    silent, told = _silent(recording, chosen)
    for finding in told:
        yield finding._replace(about=finding.about + where)
    every = keep(recording, [n for n in range(len(silent)) if not silent[n]])
    live = keep(recording, [n for n in chosen if not silent[n]])
    if not live.cells:
        return
    try:
        made = split(every)
    except RetinaError as error:
        yield Finding("wrong", f"cells{where}", str(error))
        return
    yield Finding("ok", f"splits{where}", roles(made))
    yield from _leaks(made, where)
    for text in odd_coding(recording.coding, made.train):
        yield Finding("note", f"coding{where}", text)
    if recording.mean_rstar_per_s is not None:
        for text in below_darkness(recording.coding, made.train):
            yield Finding("note", f"light{where}", text)
    yield from _prepared(card, live, where)
    some_cells = split(live)
    found = averages(some_cells)
    for looked in (
        clock(recording),
        whole(recording),
        silence(recording),
        intervals(recording),
        shared_spikes(recording),
        drift(made),
        between_trials(made),
        ceiling(some_cells),
        alignment(some_cells, found),
        follows(some_cells, found),
        fields(some_cells, found.past),
    ):
        for finding in looked:
            yield finding._replace(about=finding.about + where)


def _silent(
    recording: Recording, chosen: list[int]
) -> tuple[np.ndarray, list[Finding]]:
    """(cell,) without an event in training, to which nothing can be fitted; and words.

    Wrong where such a cell is among the chosen; the checks go on without it.
    """
    train = recording.role("train")
    if not train:  # as `split` says
        return np.zeros(len(recording.cells), bool), []
    silent = np.sum([events(block) for block in train], axis=0) == 0
    names = np.array([cell.name for cell in recording.cells])
    if not silent.any():
        return silent, [
            Finding("ok", "cells", f"{len(names)} cells, none silent, no NaN")
        ]
    asked = np.isin(np.arange(len(names)), chosen)
    found = []
    none = f"no {one_of(recording.event)} in the training blocks"
    if (silent & ~asked).any():
        text = f"{some(names[silent & ~asked])}: {none}; not among the chosen"
        found.append(Finding("note", "cells", text))
    if (silent & asked).any():
        out = ",".join("-" + name for name in names[silent & asked])
        text = (
            f"{some(names[silent & asked])}: {none}, so nothing can be fitted to it: "
            f'leave it out with default_cells = "{out}" in the card, or --cells={out}'
        )
        found.append(Finding("wrong", "cells", text))
    text = f"{(~silent).sum()} of {len(names)} cells have events; the rest is of them"
    return silent, [*found, Finding("note", "cells", text)]


def _prepared(card: Card, chosen: Recording, where: str) -> Iterator[Finding]:
    """What the card's steps do with the chosen cells."""
    try:
        made = prepare(chosen, card.prepare)
    except RetinaError as error:
        yield Finding("wrong", f"prepare{where}", str(error))
        return
    for note in made.notes[len(chosen.notes) :]:
        yield Finding("ok", f"prepare{where}", note.removeprefix(PREPARED))


def _spans(recording: Recording, where: str) -> Iterator[Finding]:
    """Spike times in another unit: they end too early, or are too few or too many."""
    events, seconds = 0, 0.0
    for block in recording.role("train"):
        length = float(block.onsets_s[-1] - block.onsets_s[0])
        trains = [train for trial in block.spikes or () for train in trial]
        held = sum(len(train) for train in trains)
        rows = block.trials * block.cells
        count = held if block.counts is None else block.counts.sum(dtype=np.float64)
        events, seconds = events + count, seconds + length * rows
        last = max((float(train[-1]) for train in trains if len(train)), default=0.0)
        last -= float(block.onsets_s[0])
        if held >= MANY and last < 0.1 * length:
            yield Finding(
                "wrong",
                f"units{where}",
                f"block {block.name!r} lasts {length:.1f} s but its {held} spikes end "
                f"after {last:.1f} s: are they in seconds?",
            )
    if recording.event == GRADED or not seconds:
        return
    if not SLOW <= events / seconds <= FAST:
        what = f"{recording.event}s/s per cell in training"
        unit = "spike times and frames in seconds, counts of a bin and no rates"
        text = f"{events / seconds:.3g} {what}: are {unit}?"
        yield Finding("note", f"units{where}", text)


def _repeats(recording: Recording, where: str) -> Iterator[Finding]:
    for group, blocks in by_group(recording.role("test")).items():
        trials = min(block.trials for block in blocks)
        frames = sum(len(block.stimulus) - block.lead for block in blocks)
        seconds = frames * recording.frame_s
        text = f"test {group!r}: {trials} repeats of {seconds:.1f} s"
        if trials < 2:
            text = f"test {group!r}: {seconds:.1f} s, not repeated, no noise ceiling"
        elif trials < 4:
            text += ": too few for a noise ceiling to mean much"
        yield Finding("ok" if trials >= 4 else "note", f"repeats{where}", text)


def _leaks(made: Split, where: str) -> Iterator[Finding]:
    """Test stimulus shown in training or validation too; training's in validation."""
    if again := leak(made.validation, made.train):
        text = (
            f"validation shows what is fitted to: {again}: it may say too late when to "
            "stop, and choose the model that fits this best: leave these frames out"
        )
        yield Finding("note", f"splits{where}", text)
    fitted = (*made.train, *made.validation)
    said = leak(made.test, fitted)
    if said:
        text = f"{said}: leave these frames out of training and validation"
        yield Finding("wrong", f"splits{where}", text)
        return
    if short := too_short(made.test, fitted):
        text = (
            "no exact copy of test stimulus in training or validation; too short to "
            f"tell whether something like it is: {some(np.array(short), 'clip')}"
        )
        yield Finding("note", f"splits{where}", text)
        return
    text = "no test stimulus in training or validation"
    yield Finding("ok", f"splits{where}", text)
