"""A file that a tutorial of pynwb has one write, and what is missing in it."""

from __future__ import annotations

import datetime
import importlib
from pathlib import Path

import numpy as np
import pytest

from retina.data.load import load
from retina.data.proposal.draft import draft
from retina.errors import BadCard, MissingData

from .layouts import movie


def extracellular(path: Path) -> list[np.ndarray]:
    """The file of pynwb's tutorial "Extracellular Electrophysiology Data", by its own
    calls, of which every array is shorter; gives the spike times of all units.
    """
    pynwb = importlib.import_module("pynwb")
    ecephys = importlib.import_module("pynwb.ecephys")
    rng = np.random.default_rng(0)
    file = pynwb.NWBFile(
        session_description="my first synthetic recording",
        identifier="a",
        session_start_time=datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC),
        lab="Bag End Laboratory",
    )
    device = file.create_device(name="array", description="an array")
    file.add_electrode_column(name="label", description="label of electrode")
    for shank in range(2):
        group = file.create_electrode_group(
            name=f"shank{shank}", description="one", device=device, location="brain"
        )
        for number in range(3):
            label = f"shank{shank}elec{number}"
            file.add_electrode(group=group, label=label, location="brain area")
    region = file.create_electrode_table_region(list(range(6)), "all electrodes")
    raw = ecephys.ElectricalSeries(
        name="ElectricalSeries",
        data=rng.standard_normal((50, 6)),
        electrodes=region,
        starting_time=0.0,
        rate=20000.0,
    )
    file.add_acquisition(raw)
    lfp = ecephys.ElectricalSeries(
        name="ElectricalSeries",
        data=rng.standard_normal((50, 6)),
        electrodes=region,
        starting_time=0.0,
        rate=200.0,
    )
    module = file.create_processing_module(name="ecephys", description="processed")
    module.add(ecephys.LFP(electrical_series=lfp))
    file.add_unit_column(name="quality", description="sorting quality")
    every = []
    for _ in range(10):
        every.append(np.flatnonzero(rng.random(20000) < 20 / 1000) / 1000)
        file.add_unit(spike_times=every[-1], quality="good")
    with pynwb.NWBHDF5IO(str(path), "w") as io:
        io.write(file)
    return every


def test_the_file_of_a_tutorial_of_pynwb(cache):
    """It has sorted units and no stimulus: the frames lie in a file beside it."""
    pytest.importorskip("pynwb")
    folder = cache / "small"
    folder.mkdir()
    times = extracellular(folder / "own.nwb")
    with pytest.raises(MissingData, match="10 units but no stimulus.*--from movie.npy"):
        draft("small", [folder / "own.nwb"])
    np.save(folder / "movie.npy", movie(180))
    card = cache / "small.toml"
    text = draft("small", [folder / "own.nwb", folder / "movie.npy"])
    text = text.replace("frame_s = 0.0", "frame_s = 0.1")
    card.write_text(text)
    recording = load(card)
    assert [cell.name for cell in recording.cells] == [str(n) for n in range(10)]
    assert recording.frame_s == 0.1
    assert {block.role for block in recording.blocks} == {"train", "validation", "test"}
    for block in recording.blocks:
        start, end = block.onsets_s[[0, -1]]
        assert block.spikes is not None and len(block.spikes) == 1
        for train, unit in zip(block.spikes[0], times, strict=True):
            inside = unit[(unit >= start) & (unit < end)]
            np.testing.assert_array_equal(train, inside)
    text = text.replace('stimulus = ["movie.npy"]', "stimulus = []")
    card.write_text(text)
    with pytest.raises(BadCard, match="has no stimulus, stimulus = ..movie.npy"):
        load(card)
