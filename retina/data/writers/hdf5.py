"""The project's own HDF5 layout: every block as it is, read by `blocks_hdf5`.

/                    attributes format = "retina blocks", version = 1
/cells               (cell,) names; /cell_types (cell,)
/blocks/NAME/stimulus    (frame, *frame shape), as stored
/blocks/NAME/onsets_s    (frame + 1,) seconds
/blocks/NAME/counts      (trial, bin, cell), with the attribute count_s; or
/blocks/NAME/spike_s     (spike,) seconds, one trial after another, in each one cell
                         after another
/blocks/NAME/spike_ends  (trial, cell) where each train ends in spike_s
/blocks/NAME/truth/KEY   (frame, cell), of simulations
attributes of a block: role, group, lead, and order, its place in the recording
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from retina.types import Block, Recording

FORMAT, VERSION = "retina blocks", 1


def write(recording: Recording, path: Path) -> tuple[str, dict[str, Any]]:
    """Writes the file; gives the reader and the options of its card."""
    with h5py.File(path, "w") as store:
        store.attrs.update(format=FORMAT, version=VERSION)
        words = h5py.string_dtype()
        names = [cell.name for cell in recording.cells]
        store.create_dataset("cells", data=names, dtype=words)
        types = [cell.type for cell in recording.cells]
        store.create_dataset("cell_types", data=types, dtype=words)
        for order, block in enumerate(recording.blocks):
            group = store.create_group(f"blocks/{_plain(block.name)}")
            group.attrs.update(
                name=block.name,
                role=block.role,
                group=block.group,
                lead=block.lead,
                order=order,
            )
            _block(group, block)
            for key, value in (recording.truth or {}).get(block.name, {}).items():
                group.create_dataset(f"truth/{key}", data=value)
    return "blocks_hdf5", {}


def _block(group: h5py.Group, block: Block) -> None:
    group.create_dataset("onsets_s", data=np.asarray(block.onsets_s, np.float64))
    # Levels above the first take ten times as long for a tenth of the bytes.
    pressed: dict[str, Any] = {"compression": "gzip", "compression_opts": 1}
    group.create_dataset("stimulus", data=block.stimulus, **pressed)
    if block.counts is not None:
        counts = group.create_dataset("counts", data=block.counts, **pressed)
        counts.attrs["count_s"] = block.count_s
        return
    assert block.spikes is not None
    trains = [train for trial in block.spikes for train in trial]
    ends = np.cumsum([len(train) for train in trains], dtype=np.int64)
    times = np.concatenate(trains).astype(np.float64)
    group.create_dataset("spike_s", data=times, **pressed)
    group.create_dataset("spike_ends", data=ends.reshape(len(block.spikes), -1))


def _plain(name: str) -> str:
    """A slash would make a group of its own."""
    return name.replace("/", "_")
