"""Cards and small recordings, written to disk as a person would have them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

HEAD = """
name = "{name}"
title = "a small recording"
species = "none"
citation = "none"
licence = "Apache-2.0"
source = "here"
reader = "{reader}"
coding = "{coding}"
frame_s = {frame_s}
lead = {lead}
cell_count = {cells}
stimulus_unit = "arbitrary"
"""

SPLITS = """
[[splits]]
role = "train"
frames = [10, 200]

[[splits]]
role = "validation"
frames = [200, 250]

[[splits]]
role = "test"
group = "running"
frames = [250, 300]
"""


def card_text(
    files: dict[str, Path],
    options: str,
    *,
    name: str = "small",
    reader: str = "npz",
    coding: str = "light",
    frame_s: float = 0.1,
    lead: int = 10,
    cells: int = 2,
    splits: str = SPLITS,
    extra: str = "",
    url: str = "",
) -> str:
    text = HEAD.format(
        name=name,
        reader=reader,
        coding=coding,
        frame_s=frame_s,
        lead=lead,
        cells=cells,
    )
    text += f"{extra}\n[options]\n{options}\n{splits}\n"
    for path, file in files.items():
        data = file.read_bytes()
        text += (
            f'[[files]]\npath = "{path}"\nbytes = {len(data)}\n'
            f'sha256 = "{hashlib.sha256(data).hexdigest()}"\n'
        )
        text += f'url = "{url}{path}"\n' if url else ""
    return text


def unsummed(text: str) -> str:
    """A card without sums, whose files may change under it."""
    lines = text.splitlines()
    return "\n".join(x for x in lines if not x.startswith(("sha256", "bytes")))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty writable cache of the test's own."""
    folder = tmp_path / "cache"
    folder.mkdir()
    monkeypatch.setenv("RETINA_CACHE", str(folder))
    return folder


def arrays(seed: int = 0, frames: int = 300) -> dict[str, np.ndarray]:
    """Two cells that fire when the light of two frames before was high, or low."""
    rng = np.random.default_rng(seed)
    stimulus = rng.standard_normal(frames)
    drive = np.roll(stimulus, 2)[None] * np.array([[1.0], [-1.0]])
    cell, frame = np.nonzero(drive > 0.5)
    return {
        "stimulus": stimulus,
        "spike_s": (frame + 0.5) * 0.1,
        "spike_cell": cell,
    }


@pytest.fixture
def npz_card(cache: Path) -> Callable[..., Path]:
    """npz_card(arrays, **card) writes both and returns the card's path."""

    def write(table: dict[str, np.ndarray], **words) -> Path:
        folder = cache / words.get("name", "small")
        folder.mkdir(exist_ok=True)
        file = folder / "small.npz"
        np.savez(file, **table)  # type: ignore[arg-type]
        card = cache / f"{words.get('name', 'small')}.toml"
        card.write_text(card_text({"small.npz": file}, 'file = "small.npz"', **words))
        return card

    return write
