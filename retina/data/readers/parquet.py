"""A table of spikes as Parquet; the stimulus lies in a file of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from retina.data.below import below
from retina.data.card import Card
from retina.data.extras import needed
from retina.data.table import Columns, spike_table
from retina.errors import BadResponse, MissingData, UnreadableFile, nearest
from retina.types import Recording


def parquet(folder: Path, card: Card) -> Recording:
    """Spike times from a Parquet file; options as of the reader `csv`.

    folder: with the card's files.
    card:   options ``spikes``, ``cell``, ``time_s``, ``trial``, ``trial_count``,
            ``stimulus``, ``stimulus_axes``, ``onsets``, ``cells``, ``trials``,
            ``trial_frames``.
    returns: as of the reader `csv`.
    raises:  MissingExtra without pyarrow (extra ``parquet``); UnreadableFile;
             BadResponse; ShapeMismatch; MissingData; BadCard.
    """
    return spike_table(folder, card, columns_of)


def columns_of(folder: Path, name: object, columns: Columns) -> dict[str, np.ndarray]:
    """Columns of a file, by what they are: cell (text), time_s and trial (numbers)."""
    pq = needed("pyarrow.parquet", "parquet", "a Parquet file")
    path = below(folder, name)
    if not path.is_file():
        raise MissingData(f"there is no {path}: name the file in the card as it lies")
    try:
        with pq.ParquetFile(path) as file:
            known = file.schema_arrow.names
            table = None
            if not set(columns.values()) - set(known):
                table = file.read(columns=list(dict.fromkeys(columns.values())))
                # Damage that the format's own sums do not see.
                table.validate(full=True)
    except Exception as error:  # arrow raises many kinds on damaged files
        said = " ".join(str(error).split())[:200]
        raise UnreadableFile(
            f"{path} is not a readable Parquet file ({said}): fetch it again"
        ) from None
    if table is None:
        lacking = next(c for c in columns.values() if c not in known)
        raise UnreadableFile(
            f"{path} has no column {lacking!r}: {nearest(lacking, known)}"
        )
    made = {}
    for key, column in columns.items():
        values = table.column(column)
        if values.null_count:
            raise BadResponse(
                f"{path}: {values.null_count} rows of {column!r} are empty: cut them"
            )
        made[key] = np.asarray(values.to_numpy())
    return made
