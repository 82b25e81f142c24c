"""Neurodata Without Borders: blocks one after another on one clock.

Each block is a stimulus TimeSeries with the time of every frame, and a table of
intervals NAME_trials with the start and end of each of its trials; a trial's frames
follow its start as the stimulus's follow the first. Spikes are units; counts, where
spike times are not known, are TimeSeries NAME_counts (time, cell, trial) of the
processing module "retina".
"""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import numpy as np

from retina.data.extras import needed
from retina.types import Block, Recording

GAP_S = 1.0  # between trials on the common clock
# Required by the format, and not known of a recording: a date that nobody mistakes.
UNKNOWN = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)
# By their Latin names, as archives ask for.
LATIN = {
    "salamander": "Ambystoma tigrinum",
    "macaque": "Macaca mulatta",
    "mouse": "Mus musculus",
    "marmoset": "Callithrix jacchus",
    "axolotl": "Ambystoma mexicanum",
    "chicken": "Gallus gallus",
}


def write(recording: Recording, path: Path) -> tuple[str, dict[str, Any]]:
    """Writes the file; gives the reader and the options of its card.

    raises: MissingExtra without pynwb.
    """
    pynwb = needed("pynwb", "nwb", "an NWB file")
    file = pynwb.NWBFile(
        session_description=f"retina, {len(recording.cells)} cells; {recording.name}",
        identifier=recording.name,
        session_start_time=UNKNOWN,
        notes="The date is not known: 2000-01-01 stands for it. "
        + " ".join(recording.notes),
    )
    file.subject = pynwb.file.Subject(
        subject_id="unknown",
        species=LATIN.get(recording.species, "Vertebrata"),
        sex="U",
        age="P0D/",
        description=f"species as the source says it: {recording.species}",
    )
    starts = _starts(recording)
    parts: dict[str, dict[str, str]] = {}
    counted = any(block.counts is not None for block in recording.blocks)
    module = None
    if counted:
        module = file.create_processing_module("retina", "events per bin and cell")
        module.add(_cells(pynwb, recording))
    for block, begins in zip(recording.blocks, starts, strict=True):
        name = block.name.replace("/", "_")
        at = np.asarray(block.onsets_s) - block.onsets_s[0]
        file.add_stimulus(
            pynwb.TimeSeries(
                name=name,
                data=block.stimulus,
                unit="a.u.",
                timestamps=begins[0] + at[:-1],
                description=f"{block.role}; axes (frame, y, x)",
            )
        )
        table = pynwb.epoch.TimeIntervals(
            name=f"{name}_trials", description=f"each showing of {name}"
        )
        for begin in begins:
            table.add_interval(start_time=begin, stop_time=begin + at[-1])
        file.add_time_intervals(table)
        parts[block.name] = {"stimulus": name, "repeats": f"{name}_trials"}
        if block.counts is not None:
            assert module is not None
            module.add(
                pynwb.TimeSeries(
                    name=f"{name}_counts",
                    data=block.counts.transpose(1, 2, 0),
                    unit="count",
                    starting_time=begins[0],
                    rate=1.0 / float(block.count_s or 0),
                    description="axes (bin, cell, trial)",
                )
            )
            parts[block.name]["counts"] = f"{name}_counts"
    if not counted:
        _units(file, recording, starts)
    with pynwb.NWBHDF5IO(str(path), "w") as io:
        io.write(file)
    return "nwb", {"names": "label", "parts": parts}


def _starts(recording: Recording) -> list[list[float]]:
    """Per block, when each of its trials begins on the common clock."""
    now, found = 0.0, []
    for block in recording.blocks:
        lasts = float(block.onsets_s[-1] - block.onsets_s[0])
        found.append([now + trial * (lasts + GAP_S) for trial in range(block.trials)])
        now += block.trials * (lasts + GAP_S)
    return found


def _cells(pynwb: Any, recording: Recording) -> Any:
    table = pynwb.core.DynamicTable(name="cells", description="one row per cell")
    table.add_column("label", "the recording's own name of the cell")
    for cell in recording.cells:
        table.add_row(label=cell.name)
    return table


def _units(file: Any, recording: Recording, starts: list[list[float]]) -> None:
    file.add_unit_column("label", "the recording's own name of the cell")
    for number, cell in enumerate(recording.cells):
        times = [
            train + (begin - block.onsets_s[0])
            for block, begins in zip(recording.blocks, starts, strict=True)
            for begin, train in zip(begins, _of(block, number), strict=True)
        ]
        file.add_unit(spike_times=np.concatenate(times), label=cell.name)


def _of(block: Block, cell: int) -> list[np.ndarray]:
    assert block.spikes is not None
    return [trial[cell] for trial in block.spikes]
