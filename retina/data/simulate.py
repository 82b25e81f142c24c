"""The embedded recording `simulated`: a known retina, so that every truth is known.

What is shown is a binary checkerboard, 20 x 20 pixels at 30 Hz (or a full field, or
either in steps: `retina.data.simulated_stimulus`), and what answers is the circuit of
`retina.data.simulated_circuit`, stepped at 240 Hz:

    light            L = 1 + 0.9 s                           s = +1 or -1 per pixel
    photoreceptor    y, z = cascades of L;  r = 2 y / (1 + z) - 1       per pixel
    horizontal       tau dh/dt = S r - h                     S: wide, 0.8 of the centre
    bipolar          tau db/dt = sign (C r - h) - b;  tau_m dm/dt = b - m
                     v = b - highpass m                      mV from rest
    vesicles         p = expit((v - half) / slope)
                     dn/dt = (1 - n) / refill - release p n  pool, full at 1
    ganglion         tau dg/dt = W (release p n) - g
    hazard           peak log(1 + exp(gain (g - threshold)))            Hz

and at 960 Hz the spikes of `retina.data.simulated_spikes`: probability 1 - exp(-hazard
w dt) per step, where w is 0 for 2.1 ms after a spike and recovers with 4 ms. Rectified,
depleting subunits shared between cells make it a recording that one linear filter and a
nonlinearity cannot explain. Sources and values stand with the constants.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from retina import atomic
from retina.data import simulated_circuit as circuit
from retina.data import simulated_spikes as spiking
from retina.data.simulated_stimulus import Levels, checked_levels, drawn, noise, stepped
from retina.errors import BadSetting, UnwritableFolder, nearest
from retina.types import Block, Cell, Recording

VERSION = 1  # of the simulation: a change of any constant raises it
LEAD = 30  # frames
# Options that came later: a plan that leaves them alone is kept under its earlier name.
LATER = ("full_field", "levels", "level_s")
LEAST = {"seed": 0, "block_s": 2.0, "frozen_s": 2.0, "level_s": 0.0}  # of others: 1


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is shown. Blocks are `block_s` long and never repeat; `frozen` does.

    full_field: one value for the whole frame, drawn evenly between -1 and 1, in place
                of a checkerboard.
    levels:     pairs of contrast and mean light (1 and 1: the plain noise), each held
                for level_s seconds, in turn; () for none.

    >>> Plan().train_blocks * Plan().block_s / 60
    18.0
    """

    seed: int = 0
    train_blocks: int = 18
    validation_blocks: int = 3
    running_blocks: int = 2
    block_s: float = 60.0
    frozen_s: float = 20.0
    repeats: int = 40
    full_field: bool = False
    levels: Levels = ()
    level_s: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.full_field, bool):
            raise BadSetting(
                f"simulated: full_field is {self.full_field!r}; give true or false"
            )
        for field in dataclasses.fields(self):
            if field.name in ("full_field", "levels"):
                continue
            value = getattr(self, field.name)
            low = LEAST.get(field.name, 1)
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise BadSetting(f"simulated: {field.name} is {value!r}, not a number")
            if field.type == "int" and value != int(value):
                raise BadSetting(f"simulated: {field.name} is {value!r}, not whole")
            if not value >= low:
                raise BadSetting(
                    f"simulated: {field.name} is {value!r}; it must be {low} or more"
                )
        levels = checked_levels(self.levels, self.level_s)
        object.__setattr__(self, "levels", levels)


def simulated(options: dict[str, Any], folder: Path) -> Recording:
    """The simulated recording, made at first use and kept as one file.

    options: fields of `Plan`; {} gives 18 minutes of training noise (18 blocks), 3 of
             validation, 2 of single-trial test noise (group "running") and a 20-s test
             block shown 40 times (group "frozen").
    folder:  where the file lies or is to be put; made if need be. Where it cannot be
             written the recording is made again each time, and says so in its notes.
    returns: Recording of 12 cells (ON and OFF, transient and sustained); `truth` gives
             for every block, each (frame, cell) float32 and per frame: "expected", the
             exact mean spike count given the stimulus, over all spike histories; and
             "hazard", the count that there would be without refractoriness.
    raises:  BadSetting for an option that does not exist or a value it cannot take.

    >>> import tempfile
    >>> plan = {"train_blocks": 1, "validation_blocks": 1, "block_s": 3, "frozen_s": 2}
    >>> recording = simulated(plan, Path(tempfile.mkdtemp()))
    >>> len(recording.cells), recording.truth["frozen"]["expected"].shape
    (12, (60, 12))
    """
    known = [field.name for field in dataclasses.fields(Plan)]
    for key in options:
        if key not in known:
            raise BadSetting(f"simulated has no option {key!r}: {nearest(key, known)}")
    plan = Plan(**options)
    told = dataclasses.asdict(plan)
    plain = dataclasses.asdict(Plan())
    told = {k: v for k, v in told.items() if k not in LATER or v != plain[k]}
    words = json.dumps({"version": VERSION, **told}, sort_keys=True)
    file = Path(folder) / f"simulated-{hashlib.sha256(words.encode()).hexdigest()[:16]}"
    file = file.with_suffix(".npz")
    arrays, notes = _read(file), ()
    if arrays is None:
        arrays = _make(plan)
        whole = io.BytesIO()
        np.savez(whole, **arrays)  # type: ignore[arg-type]
        try:
            atomic.write_file(file, whole.getvalue())
        except UnwritableFolder as error:
            notes = (f"made anew each time: {error}",)
    return _recording(plan, arrays, notes)


def _blocks(plan: Plan) -> list[tuple[str, str, str]]:
    """Name, role and group of each running block, in the order they are made."""
    named = (
        ("train", "train", "", plan.train_blocks),
        ("validation", "validation", "", plan.validation_blocks),
        ("running", "test", "running", plan.running_blocks),
    )
    return [
        (f"{word}-{i + 1:02d}", role, group)
        for word, role, group, many in named
        for i in range(many)
    ]


def _make(plan: Plan) -> dict[str, np.ndarray]:
    """Show everything to the circuit; all arrays, as they are kept on disk."""
    layout, pixels, chance = (
        np.random.default_rng(s) for s in np.random.SeedSequence(plan.seed).spawn(3)
    )
    wiring = circuit.wire(layout)
    arrays: dict[str, np.ndarray] = {}
    shown = (
        ("running", len(_blocks(plan)), plan.block_s, 1),
        ("frozen", 1, plan.frozen_s, plan.repeats),
    )
    for part, blocks, seconds, trials in shown:
        shape = (blocks, round(seconds / circuit.FRAME_S), *_frame(plan))
        packed = drawn(shape, pixels)
        stimulus = stepped(noise(packed, shape), plan.levels, plan.level_s)
        hazard = circuit.hazards(stimulus, wiring)
        counts, when = spiking.sample(hazard, trials, chance)
        per_frame = hazard.reshape(*shape[:2], circuit.SUBSTEPS, -1).mean(2)
        arrays |= {
            f"{part}_shape": np.array(shape),
            f"{part}_bits": packed,
            f"{part}_counts": counts.astype(np.int32),
            f"{part}_steps": when.astype(np.int32),
            f"{part}_hazard": (per_frame * circuit.FRAME_S).astype("f4"),
            f"{part}_expected": spiking.expected(hazard).astype("f4"),
        }
    return arrays


def _frame(plan: Plan) -> tuple[int, ...]:
    return () if plan.full_field else (circuit.SIDE, circuit.SIDE)


def _read(file: Path) -> dict[str, np.ndarray] | None:
    """The arrays of a file; None where there is none, or a damaged one."""
    try:
        with open(file, "rb") as stream, np.load(stream, allow_pickle=False) as kept:
            return {name: kept[name] for name in kept.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        return None


def _recording(
    plan: Plan, arrays: dict[str, np.ndarray], notes: tuple[str, ...]
) -> Recording:
    blocks, truth = [], {}
    running = _blocks(plan)
    for part, names in (
        ("running", running),
        ("frozen", [("frozen", "test", "frozen")]),
    ):
        shape = tuple(int(n) for n in arrays[f"{part}_shape"])
        seen = noise(arrays[f"{part}_bits"], shape)
        stimulus = stepped(seen, plan.levels, plan.level_s)
        counts = arrays[f"{part}_counts"]
        seconds = (arrays[f"{part}_steps"] + 0.5) * spiking.CLOCK_S
        trains = iter(np.split(seconds, np.cumsum(counts.ravel())[:-1]))
        for i, (name, role, group) in enumerate(names):
            spikes = tuple(
                tuple(next(trains) for _ in range(counts.shape[2]))
                for _ in range(counts.shape[1])
            )
            blocks.append(
                Block(
                    name=name,
                    role=role,
                    stimulus=stimulus[i],
                    onsets_s=np.arange(shape[1] + 1) * circuit.FRAME_S,
                    spikes=spikes,
                    lead=LEAD,
                    group=group,
                )
            )
            truth[name] = {
                "hazard": arrays[f"{part}_hazard"][i],
                "expected": arrays[f"{part}_expected"][i],
            }
    kinds = [kind.name for kind in circuit.TYPES for _ in circuit.PLACES]
    return Recording(
        name="simulated",
        species="simulated",
        cells=tuple(Cell(f"{i + 1}", kind) for i, kind in enumerate(kinds)),
        blocks=tuple(blocks),
        frame_s=circuit.FRAME_S,
        coding="contrast",
        event="spike",
        notes=notes,
        truth=truth,
    )
