"""A small recording and experiments on it."""

from __future__ import annotations

from pathlib import Path

import pytest

TINY = f"{Path(__file__).parent / 'tiny.py'}:tiny"

CARD = """
name = "small"
title = "A few seconds of the simulated retina"
species = "simulated"
citation = "none"
licence = "Apache-2.0"
source = "retina.data.simulate"
reader = "simulated"
coding = "contrast"
frame_s = 0.03333333333333333
cell_count = 12
lead = 30

[options]
train_blocks = 2
validation_blocks = 1
running_blocks = 1
block_s = 20
frozen_s = 4
repeats = 12
"""

HEAD = """
question = "Does it work?"
command = "retina sweep asked"
time = "seconds"
datasets = ["small"]
metrics = ["cc_norm", "bits_per_spike"]
"""


@pytest.fixture(scope="session")
def recordings(tmp_path_factory):
    """A folder with the card, and a cache that is shared by the tests."""
    place = tmp_path_factory.mktemp("recordings")
    (place / "datasets").mkdir()
    (place / "datasets" / "small.toml").write_text(CARD)
    return place


@pytest.fixture
def asked(tmp_path, monkeypatch, recordings):
    """Write the families of an experiment: asked(text) is its folder."""
    monkeypatch.setenv("RETINA_PATH", str(recordings))
    monkeypatch.setenv("RETINA_CACHE", str(recordings / "cache"))

    def write(families, head=HEAD):
        folder = tmp_path / "asked"
        folder.mkdir(exist_ok=True)
        text = head + families.replace("TINY", TINY)
        (folder / "experiment.toml").write_text(text)
        return folder

    return write
