"""HDF5 of the Euler lab: calcium of one field of cells, to clips of a natural movie.

Layout: open-retina (hoefling_2024). The movie is shown as 5 test clips, 54 others, the
5 again, 54 others, and the 5 once more; each clip lasts 150 frames at 30 Hz, and a
trigger marks its beginning. The order of the others is one of 20.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import h5py
import numpy as np

from retina.data.card import Card
from retina.data.hdf5 import array, group, opened
from retina.data.parts import Part, as_stimulus, recording
from retina.data.shown import of_pickle
from retina.errors import BadCard, ShapeMismatch, UnreadableFile, nearest
from retina.types import Cell, Recording

_TRACES = ("natural_inferred_spikes", "natural_spikes")


def euler_hdf5(folder: Path, card: Card) -> Recording:
    """One imaged field: graded responses, a number per frame, not counts.

    folder: with the card's files.
    card:   options ``stimulus``, an npz of train (channel, frame, y, x), test (the
            same) and random_sequences (clip, order), made of the published pickle by
            ``retina convert``; ``responses``, the HDF5 file; ``field``, the name of one
            of its groups. It holds, with (cell, sample) each,

            natural_inferred_spikes, or natural_spikes
            natural_traces_times   seconds, or natural_traces_t0 and _dt
            natural_trigger_times  seconds, one per clip
            scan_sequence_idx, eye, roi_ids (cell,), group_assignment (cell,)
            chirp_qi, d_qi (cell,), group_confidences (cell, group)

            ``clip``: frames of a clip (150); ``tested``: clips of the test (5).
            ``eye``: "left" or "right", where the file is wrong (""). A cell stays whose
            chirp_qi or d_qi, and largest confidence, are at least the options of these
            names (0.0: every cell).
    returns: parts "movie" (two stretches that share no history) and "test" (3 trials);
             frames are (y, x, channel), mirrored for a left eye; a response is the
             trace at each frame's onset, in s.d. of the cell's own movie.
    raises:  UnreadableFile; ShapeMismatch; BadCard; MissingData before `convert`.
    """
    options = card.needs(
        *("stimulus", "responses", "field"),
        **{"clip": 150, "tested": 5, "eye": ""},
        **{"chirp_qi": 0.0, "d_qi": 0.0, "confidence": 0.0},
    )
    if card.event != "graded":
        raise BadCard(f'{card.name}: calcium is no count: write event = "graded"')
    if options["clip"] < 1 or options["tested"] < 1:
        raise BadCard(f"{card.name}: clip and tested must be 1 or more")
    train, test, orders = (
        _movie(folder, card, name) for name in ("train", "test", "random_sequences")
    )
    with opened(folder, options["responses"]) as store:
        field = _field(store, options["field"])
        said = _responses(store, field, card, options["clip"])
        order = int(_one(store, field, "scan_sequence_idx"))
        left = (options["eye"] or _eye(field)) == "left"
        kept, cells = _cells(store, field, card, options, len(said))
    parts = _parts(card, options, train, test, _order(orders, order, card), said[kept])
    if left:
        parts = {
            name: dataclasses.replace(part, stimulus=part.stimulus[:, :, ::-1])
            for name, part in parts.items()
        }
    return recording(card, parts, cells)


def _movie(folder: Path, card: Card, name: str) -> np.ndarray:
    npz = card.options["stimulus"]
    found = of_pickle(folder, card, npz, name)
    if name == "random_sequences":
        return found
    if found.ndim != 4:
        raise ShapeMismatch(
            f"{npz}: {name} has shape {found.shape}, not (channel, frame, y, x)"
        )
    return as_stimulus(found, npz).transpose(1, 2, 3, 0)


def _order(orders: np.ndarray, which: int, card: Card) -> np.ndarray:
    clips = orders.shape[0] if orders.ndim == 2 else 0
    if not clips or not 0 <= which < orders.shape[1]:
        raise ShapeMismatch(
            f"{card.name}: random_sequences {orders.shape} have no order {which}"
        )
    order = orders[:, which].astype(np.int64)
    if sorted(order.tolist()) != list(range(clips)):
        raise ShapeMismatch(f"{card.name}: order {which} does not show each clip once")
    return order


def _parts(
    card: Card,
    options: dict,
    train: np.ndarray,
    test: np.ndarray,
    order: np.ndarray,
    said: np.ndarray,
) -> dict[str, Part]:
    clip, tested, clips = (
        options["clip"],
        options["tested"] * options["clip"],
        len(order),
    )
    whole = clips * clip
    if len(train) != whole or len(test) != tested or clips % 2:
        raise ShapeMismatch(
            f"{card.name}: the movie has {len(train)} frames and {len(test)} of test, "
            f"not {clips} and {options['tested']} clips of {clip}"
        )
    if said.shape[1] != whole + 3 * tested:
        raise ShapeMismatch(
            f"{card.name}: {said.shape[1]} frames were recorded, {whole + 3 * tested} "
            "shown: are there as many triggers as clips?"
        )
    half = whole // 2
    starts = (0, tested + half, 2 * (tested + half))
    repeats = np.stack([said[:, s : s + tested].T for s in starts])
    running = np.concatenate(
        [said[:, s + tested : s + tested + half].T for s in starts[:2]]
    )
    # By the movie alone: the test has no say in the scale of what is fitted.
    scale = running.std(0)
    scale = np.where(scale > 0, scale, 1.0).astype(np.float32)
    movie = train.reshape(clips, clip, *train.shape[1:])[order]
    return {
        "movie": dataclasses.replace(
            _part(card, movie.reshape(train.shape), running[None] / scale),
            begin=(0, half),
        ),
        "test": _part(card, test, repeats / scale),
    }


def _part(card: Card, stimulus: np.ndarray, said: np.ndarray) -> Part:
    onsets = np.arange(len(stimulus) + 1) * card.frame_s
    return Part(stimulus, onsets, counts=said, count_s=card.frame_s)


def _field(store: h5py.File, name: str) -> h5py.Group:
    field = group(store, name) if isinstance(name, str) and name else None
    if field is None:
        raise UnreadableFile(
            f"{store.filename} has no field {name!r}: {nearest(str(name), store)}"
        )
    return field


def _responses(
    store: h5py.File, field: h5py.Group, card: Card, clip: int
) -> np.ndarray:
    """(cell, frame) the traces at the onset of each frame, float32."""
    name = next((one for one in _TRACES if one in field), _TRACES[0])
    traces = array(store, f"{field.name}/{name}", "cell, sample")
    triggers = array(store, f"{field.name}/natural_trigger_times").ravel()
    if "natural_traces_times" in field:
        times = array(store, f"{field.name}/natural_traces_times", "cell, sample")
    else:
        start = array(store, f"{field.name}/natural_traces_t0").reshape(-1, 1)
        step = array(store, f"{field.name}/natural_traces_dt").reshape(-1, 1)
        times = start + step * np.arange(traces.shape[1])
        times = np.broadcast_to(times, traces.shape)
    if times.shape != traces.shape:
        raise ShapeMismatch(
            f"{store.filename}, {field.name}: traces {traces.shape} and their times "
            f"{times.shape} must be of one shape"
        )
    if not all(np.isfinite(each).all() for each in (traces, times, triggers)):
        raise UnreadableFile(
            f"{store.filename}, {field.name}: traces or times hold NaN"
        )
    at = (triggers[:, None] + np.arange(clip) * card.frame_s).ravel()
    starts, ends = times[:, 0].max(initial=-np.inf), times[:, -1].min(initial=np.inf)
    outside = int(np.sum((at < starts) | (at > ends)))
    if outside:
        raise ShapeMismatch(
            f"{store.filename}, {field.name}: {outside} of {len(at)} frames are shown "
            f"outside of the traces ({starts:g} to {ends:g} s): name a field that was "
            "recorded to the end"
        )
    return np.stack(
        [
            np.interp(at, t, y).astype(np.float32)
            for t, y in zip(times, traces, strict=True)
        ]
    )


def _one(store: h5py.File, field: h5py.Group, name: str) -> float:
    if name in field.attrs:
        return float(np.asarray(field.attrs[name]).ravel()[0])
    found = array(store, f"{field.name}/{name}").ravel()
    if len(found) != 1:
        raise ShapeMismatch(
            f"{store.filename}, {field.name}: {name} are {len(found)} numbers, not one"
        )
    return float(found[0])


def _eye(field: h5py.Group) -> str:
    found = field.attrs["eye"] if "eye" in field.attrs else None
    if found is None and isinstance(field.get("eye"), h5py.Dataset):
        found = np.asarray(field["eye"]).ravel()[0]
    word = found.decode() if isinstance(found, bytes) else str(found)
    if word not in ("left", "right"):
        raise UnreadableFile(
            f"{field.file.filename}, {field.name}: eye is {word!r}: write it as the "
            "option `eye`"
        )
    return word


def _cells(
    store: h5py.File, field: h5py.Group, card: Card, options: dict, number: int
) -> tuple[np.ndarray, list[Cell]]:
    """Indices of the cells that are good enough, and what they are."""

    def of(name: str) -> np.ndarray:
        found = array(store, f"{field.name}/{name}")
        if not found.ndim or len(found) != number:
            raise ShapeMismatch(
                f"{store.filename}, {field.name}: {name} {found.shape} is not of "
                f"{number} cells"
            )
        return found.reshape(number, -1).max(1)

    good = np.ones(number, bool)
    if options["chirp_qi"] or options["d_qi"]:
        chirp = of("chirp_qi") >= options["chirp_qi"]
        good = chirp | (of("d_qi") >= options["d_qi"])
    if options["confidence"]:
        good &= of("group_confidences") >= options["confidence"]
    kept = np.flatnonzero(good)
    if not len(kept):
        raise BadCard(f"{card.name}: no cell of {field.name} is good enough")
    rois, groups = of("roi_ids")[kept], of("group_assignment")[kept]
    names = [str(int(one)) for one in rois]
    if len(set(names)) < len(names):
        names = [str(i) for i in kept]
    types = [card.cell_types.get(str(int(one)), f"group {int(one)}") for one in groups]
    return kept, [Cell(n, t) for n, t in zip(names, types, strict=True)]
