"""The project's own HDF5 layout, as `retina export --hdf5` writes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from retina.data.card import Card
from retina.data.hdf5 import array, opened
from retina.data.parts import as_stimulus
from retina.data.rules import SplitRule
from retina.data.writers.hdf5 import FORMAT, VERSION
from retina.errors import BadCard, ShapeMismatch, UnreadableFile
from retina.types import Block, Cell, Recording


def blocks_hdf5(folder: Path, card: Card) -> Recording:
    """Every block as it was exported; the layout is in `retina.data.writers.hdf5`.

    folder: with the card's files.
    card:   option ``file``. The card's splits name the blocks to take: part is the name
            of a block, whose role, group and history stand in the file.
    raises: UnreadableFile for another layout or version; ShapeMismatch; BadCard where
            a split says something else than the file.
    """
    options = card.needs("file")
    wanted = {rule.part for rule in card.splits}
    with opened(folder, options["file"]) as store:
        where = store.filename
        if store.attrs.get("format") != FORMAT or store.attrs.get("version") != VERSION:
            raise UnreadableFile(
                f'{where} is not "{FORMAT}", version {VERSION}: name another reader, '
                "or export it again"
            )
        names, types = (_words(store, name) for name in ("cells", "cell_types"))
        if len(names) != len(types):
            raise ShapeMismatch(f"{where}: {len(names)} cells, {len(types)} cell types")
        stored = store["blocks"]
        if not isinstance(stored, h5py.Group):
            raise UnreadableFile(f"{where}: blocks is no group")
        groups = [one for one in stored.values() if isinstance(one, h5py.Group)]
        groups.sort(key=lambda one: _whole(one, "order"))
        truth: dict[str, dict[str, np.ndarray]] = {}
        blocks = []
        for group in groups:
            name = str(group.attrs["name"])
            if wanted and name not in wanted:
                continue
            blocks.append(_block(store, group, name, len(names), card.name))
            known = group.get("truth")
            if isinstance(known, h5py.Group):
                truth[name] = {
                    str(key): array(store, f"{known.name}/{key}") for key in known
                }
        if missing := wanted - {block.name for block in blocks}:
            raise UnreadableFile(f"{where} has no block {min(missing)!r}")
    held = {block.name: block for block in blocks}
    for rule in card.splits:
        _check_rule(card, rule, held[rule.part])
    return Recording(
        name=card.name,
        species=card.species,
        cells=tuple(Cell(*both) for both in zip(names, types, strict=True)),
        blocks=tuple(blocks),
        frame_s=card.frame_s,
        coding=card.coding,
        event=card.event,
        native_bin_s=card.native_bin_s,
        notes=card.notes,
        truth=truth or None,
        publish=card.publish,
        mean_rstar_per_s=card.mean_rstar_per_s,
        pixel_um=card.pixel_um,
    )


def _check_rule(card: Card, rule: SplitRule, block: Block) -> None:
    """raises: BadCard where a split of the card was edited: it would do nothing."""
    group = (block.group or "running") if block.role == "test" else block.group
    frames = (block.lead, len(block.stimulus))
    told = (rule.role, rule.group or group, rule.frames, rule.trials)
    if told != (block.role, group, (frames,), None):
        raise BadCard(
            f"{card.name}: the split of part {rule.part!r} must be {block.role}"
            f"{f', group {group!r}' if group else ''}, frames {list(frames)} and all "
            "trials, as in the file: to change it, edit the card that was exported, "
            "and export again"
        )


def _whole(group: h5py.Group, name: str) -> int:
    value: Any = group.attrs[name]
    return int(value)


def _words(store: h5py.File, name: str) -> list[str]:
    found = store[name]
    if not isinstance(found, h5py.Dataset) or found.ndim != 1:
        raise UnreadableFile(f"{store.filename}: {name} is no list of names")
    return [str(word) for word in found.asstr()[()]]


def _block(
    store: h5py.File, group: h5py.Group, name: str, cells: int, where: str
) -> Block:
    at: dict[str, Any] = dict(group.attrs)
    path = group.name
    spikes = counts = count_s = None
    if "counts" in group:
        counts = array(store, f"{path}/counts", "trial, bin, cell")
        seconds: Any = group["counts"].attrs["count_s"]
        count_s = float(seconds)
    else:
        times = array(store, f"{path}/spike_s", "spike").astype(np.float64)
        ends = array(store, f"{path}/spike_ends", "trial, cell")
        flat = ends.ravel()
        if ends.shape[1] != cells or np.any(np.diff(flat, prepend=0) < 0):
            raise ShapeMismatch(
                f"{where}: spike_ends of {name!r} do not fit {cells} cells"
            )
        if not len(flat) or flat[-1] != len(times):
            raise ShapeMismatch(
                f"{where}: spike_ends of {name!r} end elsewhere than its "
                f"{len(times)} spikes"
            )
        each = np.split(times, flat[:-1])
        spikes = tuple(
            tuple(each[t * cells : (t + 1) * cells]) for t in range(len(ends))
        )
    return Block(
        name=name,
        role=str(at["role"]),
        stimulus=as_stimulus(array(store, f"{path}/stimulus"), where),
        onsets_s=array(store, f"{path}/onsets_s", "frame").astype(np.float64),
        spikes=spikes,
        counts=counts,
        count_s=count_s,
        lead=int(at["lead"]),
        group=str(at["group"]),
    )
