"""The card of an exported recording: what every other command takes it by."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from retina.data import verify
from retina.data.card import Card
from retina.types import Recording

UNITS = {  # of what a step of preparation makes
    "contrast": "contrast about the mean light of the training frames",
    "rstar": "R*/photoreceptor/s",
}


def card_beside(
    recording: Recording, known: Card, file: Path, reader: str, options: Mapping
) -> str:
    """TOML of a card that finds the blocks of a file again, by their names.

    known:   the card that the recording was loaded by: terms and sources are its own.
    options: of the reader, beside `file`; tables of tables are written out.
    """
    units = [UNITS[name] for step in known.prepare for name in step if name in UNITS]
    fields: dict[str, Any] = {
        "name": file.stem,
        "title": known.title,
        "species": recording.species,
        "citation": known.citation,
        "licence": known.licence,
        "publish": recording.publish,
        "verified": known.verified,
        "source": f"{known.source} (exported from {recording.name})",
        "reader": reader,
        "coding": recording.coding,
        "event": recording.event,
        "frame_s": recording.frame_s,
        "stimulus_unit": units[-1] if units else known.stimulus_unit,
        "cell_count": len(recording.cells),
        "lead": min(block.lead for block in recording.blocks),
        "notes": list(recording.notes),
    }
    for name, value in (
        ("native_bin_s", recording.native_bin_s),
        ("mean_rstar_per_s", recording.mean_rstar_per_s),
        ("mean_rstar_source", known.mean_rstar_source or None),
        ("doi", known.doi or None),
        ("data_doi", known.data_doi or None),
        ("pixel_um", recording.pixel_um),
    ):
        if value is not None:
            fields[name] = value
    lines = [f"{name} = {_toml(value)}" for name, value in fields.items()]
    types = {cell.name: cell.type for cell in recording.cells if cell.type}
    if types:
        lines += ["", "[cell_types]"]
        lines += [f"{_toml(name)} = {_toml(type_)}" for name, type_ in types.items()]
    tables = {name: v for name, v in options.items() if isinstance(v, Mapping)}
    plain = {name: v for name, v in options.items() if name not in tables}
    lines += ["", "[options]", f"file = {_toml(file.name)}"]
    lines += [f"{name} = {_toml(value)}" for name, value in plain.items()]
    for name, table in tables.items():
        for key, inner in table.items():
            lines += ["", f"[options.{name}.{_toml(key)}]"]
            lines += [f"{word} = {_toml(value)}" for word, value in inner.items()]
    for block in recording.blocks:
        lines += ["", "[[splits]]", f"role = {_toml(block.role)}"]
        lines += [f"part = {_toml(block.name)}"]
        lines += [f"frames = [{block.lead}, {len(block.stimulus)}]"]
        if block.role == "test":
            lines += [f"group = {_toml(block.group or 'running')}"]
    size = file.stat().st_size
    lines += ["", "[[files]]", f"path = {_toml(file.name)}", f"bytes = {size}"]
    lines += [f'sha256 = "{verify.sha256(file)}"']
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    """JSON of words, numbers and lists of them is TOML as well."""
    return json.dumps(value, ensure_ascii=True)
