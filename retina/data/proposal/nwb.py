"""A card for an NWB file: what it holds is looked at in a process apart."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from retina.apart import apart
from retina.data.extras import needed
from retina.data.proposal.guess import guess_of
from retina.data.proposal.screen import screen
from retina.data.proposal.seen import look
from retina.data.proposal.text import LOOK, card_text, quoted
from retina.data.proposal.trials import starts
from retina.errors import MissingData, UnreadableFile

# What was recorded, not shown.
_RECORDED = (
    *("ElectricalSeries", "SpikeEventSeries", "FilteredEphys", "LFP"),
    *("OnePhotonSeries", "TwoPhotonSeries", "RoiResponseSeries", "SpatialSeries"),
)


def nwb_text(name: str, path: Path, others: Sequence[Path]) -> str:
    """TOML of a card for an NWB file, and where it has no stimulus, for one beside it.

    others: the other files that were named.
    raises: MissingData without units or without a stimulus; UnreadableFile;
            MissingExtra.
    """
    needed("pynwb", "nwb", "an NWB file")  # told here, whatever is so elsewhere
    shown, rate, tables, cells, species = apart(_held, path)
    if not cells:
        raise MissingData(
            f"{path.name} holds no units: a card needs some, with spike times"
        )
    options = ["[options]", f"file = {quoted(path.name)}"]
    if not shown:
        seen = [one for p in others for one in look(p)]
        begin = starts(seen)
        seen = [one for one in seen if one is not begin]
        movie = guess_of(seen)
        if movie is None:
            raise MissingData(
                f"{path.name} holds {cells} units but no stimulus: name a file with "
                f"its frames too (retina new dataset {name} --from {path.name} --from "
                "movie.npy)"
            )
        lines, parts = screen(dataclasses.replace(movie, cells=cells), seen, begin)
        options += lines
        if movie.onsets is None:
            options += [
                f"onsets = []{LOOK}: [FILE, ARRAY] of seconds on the clock of units"
            ]
        given = [path, *others]
        idle = [one.name for one in others if quoted(one.name) not in str(lines)]
        options += [f"# Not used: {', '.join(idle)}{LOOK}"] if idle else []
        return card_text(name, "nwb", given, options, parts, species=species)
    for key, (shape, kind) in shown.items():
        options += ["", f"[options.parts.{quoted(key)}]", f"stimulus = {quoted(key)}"]
        # Many a file has its images the other way round.
        if kind not in ("TimeSeries", "IndexSeries"):
            axes = "frame, x, y" + (", channel" if len(shape) == 4 else "")
            options.append(f"stimulus_axes = {quoted(axes)}{LOOK}: or y before x")
        if tables:
            options.append(
                f"# repeats = {quoted(tables[0])}{LOOK}: the intervals of its showings"
            )
            options.append(
                f"# trial_frames = 0{LOOK}: of one long movie, how many frames are the "
                'same after each start; then give part "trials" a split as test'
            )
    lengths = {key: _Length(shape[0], cells) for key, (shape, _) in shown.items()}
    frame_s = 1 / float(rate) if rate else None
    told = {"species": species, "frame_s": frame_s}
    return card_text(name, "nwb", [path], options, lengths, **told)


def _held(
    path: Path,
) -> tuple[dict[str, tuple[tuple[int, ...], str]], float | None, list[str], int, str]:
    """Shape and type of each stimulus and a rate, tables of intervals, cells, species.

    In a process apart, as in the reader.
    """
    library = needed("pynwb", "nwb", "an NWB file")
    try:
        with library.NWBHDF5IO(str(path), "r", load_namespaces=True) as io:
            held = io.read()
            places = {**held.acquisition, **held.stimulus_template, **held.stimulus}
            kinds = {key: one.neurodata_type for key, one in places.items()}
            numbered = [
                getattr(one, "indexed_timeseries", None) for one in places.values()
            ]
            shown = {
                key: (tuple(one.data.shape), kinds[key])
                for key, one in places.items()
                if kinds[key] not in _RECORDED
                and not any(one is other for other in numbered)
                and getattr(one, "external_file", None) is None
                and getattr(getattr(one, "data", None), "shape", (0,))[0] > 1
            }
            species = str(getattr(held.subject, "species", None) or "not stated")
            cells = 0 if held.units is None else len(held.units.id)
            tables = [*held.intervals, *(["trials"] if held.trials is not None else [])]
            rate = next((places[key].rate for key in shown), None)
            if shown and not rate:
                clock = places[next(iter(shown))].timestamps
                if clock is not None and len(clock) > 1:
                    rate = 1 / np.median(np.diff(clock[:]))
            return shown, rate and float(rate), tables, cells, species
    except Exception as error:  # hdmf raises many kinds on files that are not NWB
        said = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise UnreadableFile(f"{path} is not a readable NWB file ({said})") from None


class _Length:
    """What a card's splits need to know of a stretch."""

    def __init__(self, frames: int, cells: int):
        self.frames, self.cells, self.trials, self.frame_s = frames, cells, 1, None
