"""What is exported loads again, and is the same."""

from __future__ import annotations

import dataclasses

import h5py
import numpy as np
import pytest

from retina.data import card as cards
from retina.data.check import check
from retina.data.export import export
from retina.data.load import load
from retina.errors import BadCard, BadSetting, ShapeMismatch, UnreadableFile
from retina.types import Recording

from .conftest import arrays

SPLITS = """
[[splits]]
role = "train"
part = "long"
frames = [10, 200]

[[splits]]
role = "validation"
part = "long"
frames = [200, 300]

[[splits]]
role = "test"
part = "frozen"
group = "frozen"
frames = [10, 60]
"""


def stretches(counted: bool) -> dict[str, np.ndarray]:
    """A long stretch of one trial, a frozen one of four, with jittered frames."""
    rng = np.random.default_rng(3)
    made: dict[str, np.ndarray] = {"cells": np.array(["on 1", "off/2"])}
    for name, frames, trials in (("long", 300, 1), ("frozen", 60, 4)):
        steps = np.full(frames, 0.1) + (0 if counted else 1) * rng.normal(
            0, 1e-4, frames
        )
        onsets = 3.7 + np.concatenate([[0], np.cumsum(steps)])
        made[f"{name}.stimulus"] = rng.integers(0, 255, (frames, 4, 5), np.uint8)
        made[f"{name}.onsets_s"] = onsets
        if counted:
            made[f"{name}.counts"] = rng.poisson(1.0, (trials, frames, 2))
            made[f"{name}.count_s"] = np.array(0.1)
            continue
        spikes = 400 * trials
        made[f"{name}.spike_s"] = rng.uniform(onsets[0], onsets[-1], spikes)
        made[f"{name}.spike_cell"] = rng.integers(0, 2, spikes)
        made[f"{name}.spike_trial"] = rng.integers(0, trials, spikes)
    return made


@pytest.fixture(params=["spikes", "counts"])
def card(request, npz_card):
    extra = 'doi = "10.1/x"\nnotes = ["one trap"]\ncell_types = { "on 1" = "ON" }\n'
    made = stretches(request.param == "counts")
    return npz_card(made, splits=SPLITS, extra=extra)


def same(one: Recording, other: Recording, seconds: float) -> None:
    """All but the name; times to so many seconds, from each block's beginning."""
    for field in dataclasses.fields(Recording):
        if field.name not in ("name", "blocks", "truth"):
            assert getattr(one, field.name) == getattr(other, field.name), field.name
    assert len(one.blocks) == len(other.blocks)
    for a, b in zip(one.blocks, other.blocks, strict=True):
        assert (a.role, a.group, a.lead) == (b.role, b.group, b.lead)
        assert a.stimulus.dtype == b.stimulus.dtype
        np.testing.assert_array_equal(a.stimulus, b.stimulus)
        starts = a.onsets_s[0], b.onsets_s[0]
        if not seconds:
            assert (a.name, starts[0]) == (b.name, starts[1])
        close = {"atol": seconds, "rtol": 0}
        np.testing.assert_allclose(
            a.onsets_s - starts[0], b.onsets_s - starts[1], **close
        )
        if a.counts is not None:
            np.testing.assert_array_equal(a.counts, b.counts)
            assert a.count_s == pytest.approx(b.count_s, rel=1e-12)
            continue
        for trial, again in zip(a.spikes or (), b.spikes or (), strict=True):
            for train, back in zip(trial, again, strict=True):
                np.testing.assert_allclose(train - starts[0], back - starts[1], **close)


def test_hdf5_is_the_same_to_the_last_bit(card, tmp_path):
    file, beside = export(card, tmp_path / "mine.h5", "hdf5")
    assert file.name == "mine.h5" and beside.name == "mine.toml"
    same(load(card), load(beside), 0.0)
    assert not [found for found in check(beside) if found.level == "wrong"]


def test_nwb_is_the_same_to_a_nanosecond(card, tmp_path):
    pytest.importorskip("pynwb")
    _, beside = export(card, tmp_path / "mine.nwb", "nwb")
    same(load(card), load(beside), 1e-9)
    assert not [found for found in check(beside) if found.level == "wrong"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("uzzell2004_macaque_fullfield", 1),
        ("shayp_salamander_fullfield", 9),
        ("schroeder2019_bipolar_glutamate", 9),
        ("gollisch_whitenoise_78rgc", 2),  # of 165 trials, all as long and as wide
    ],
)
def test_a_real_recording_through_nwb(real, tmp_path, monkeypatch, name, most):
    """So many blocks of each role, whole; those that are left out are like them."""
    pytest.importorskip("pynwb")
    real(name)
    whole = load(name)
    kept = [
        block
        for role in ("train", "validation", "test")
        for group in dict.fromkeys(block.group for block in whole.role(role))
        for block in [b for b in whole.role(role) if b.group == group][:most]
    ]
    some = dataclasses.replace(whole, blocks=tuple(kept))
    monkeypatch.setattr("retina.data.export.load", lambda name, cells: some)
    _, beside = export(name, tmp_path / "shared.nwb", "nwb")
    same(some, load(beside), 1e-9)


def test_nwb_passes_the_inspector(card, tmp_path):
    pytest.importorskip("pynwb")
    inspector = pytest.importorskip("nwbinspector")
    file, _ = export(card, tmp_path / "mine.nwb", "nwb")
    worst = inspector.Importance.CRITICAL
    found = inspector.inspect_nwbfile(
        nwbfile_path=str(file), importance_threshold=worst
    )
    assert [str(one) for one in found] == []


def test_the_truth_of_a_simulation_is_kept(tmp_path):
    _, beside = export("simulated", tmp_path / "made.h5", "hdf5")
    before, after = load("simulated"), load(beside)
    assert before.truth and after.truth
    same(before, after, 0.0)
    for block, parts in before.truth.items():
        for name, values in parts.items():
            np.testing.assert_array_equal(after.truth[block][name], values)


def test_chosen_cells_alone_are_written(card, tmp_path):
    _, beside = export(card, tmp_path / "one.h5", "hdf5", cells="off/2")
    assert [cell.name for cell in load(beside).cells] == ["off/2"]


def test_nothing_is_replaced_and_nothing_left_half_written(card, tmp_path, monkeypatch):
    with pytest.raises(BadSetting, match=r"ends in \.nwb"):
        export(card, tmp_path / "mine.h5", "nwb")
    with pytest.raises(BadSetting, match="such as .*my_own.h5"):
        export(card, tmp_path / "my-own.h5", "hdf5")
    (tmp_path / "mine.toml").write_text("mine")
    with pytest.raises(BadSetting, match="exists"):
        export(card, tmp_path / "mine.h5", "hdf5")
    assert (tmp_path / "mine.toml").read_text() == "mine"
    (tmp_path / "mine.toml").unlink()

    def fails(*anything):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("retina.data.writers.hdf5._block", fails)
    with pytest.raises(Exception, match="cannot write"):
        export(card, tmp_path / "mine.h5", "hdf5")
    assert not list(tmp_path.glob("*mine*"))


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda s: s.attrs.update(version=9), UnreadableFile, "version 1"),
        (lambda s: s.__delitem__("blocks/frozen_10_60"), UnreadableFile, "no block"),
        (lambda s: _longer(s), ShapeMismatch, "spike_ends"),
    ],
)
def test_a_damaged_file_is_refused(npz_card, tmp_path, change, error, words):
    card = npz_card(stretches(False), splits=SPLITS)
    file, beside = export(card, tmp_path / "mine.h5", "hdf5")
    with h5py.File(file, "r+") as store:
        change(store)
    text = beside.read_text()
    kept = [x for x in text.splitlines() if not x.startswith(("sha256", "bytes"))]
    beside.write_text("\n".join(kept))
    with pytest.raises(error, match=words):
        load(beside)


def _longer(store: h5py.File) -> None:
    """The last train ends after the last spike."""
    ends = store["blocks/frozen_10_60/spike_ends"]
    assert isinstance(ends, h5py.Dataset)
    ends[-1, -1] += 1


def test_a_card_of_one_small_stretch(npz_card, tmp_path):
    card = npz_card(arrays())
    _, beside = export(card, tmp_path / "small.h5", "hdf5")
    same(load(card), load(beside), 0.0)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("frames = [10, 200]", "frames = [10, 150]"),
        ("frames = [10, 200]", "share = [0.0, 1.0]"),
        ("frames = [10, 200]", "frames = [10, 200]\ntrials = [0, 1]"),
        ('role = "validation"', 'role = "train"'),
        ('group = "frozen"', 'group = "running"'),
    ],
)
def test_an_edited_split_of_an_exported_card_is_refused(npz_card, tmp_path, old, new):
    card = npz_card(stretches(True), splits=SPLITS)
    _, beside = export(card, tmp_path / "mine.h5", "hdf5")
    text = beside.read_text()
    assert old in text
    beside.write_text(text.replace(old, new))
    with pytest.raises(BadCard, match="as in the file: to change it, edit") as caught:
        load(beside)
    assert "\n" not in str(caught.value)


def test_what_preparation_changed_is_not_said_of_the_exported_file(npz_card, tmp_path):
    steps = {
        "crop": ("{ crop = [0, 0, 2, 2] }", 50.0, "arbitrary"),
        "large": ("{ downsample = 2 }", 100.0, "arbitrary"),
        "contrast": ("{ contrast = true }", 50.0, "contrast about the mean light"),
    }
    for name, (step, pixel_um, unit) in steps.items():
        extra = f"pixel_um = 50.0\nprepare = [{step}]\n"
        card = npz_card(stretches(True), splits=SPLITS, extra=extra, name=f"x{name}")
        _, beside = export(card, tmp_path / f"{name}.h5", "hdf5")
        made = cards.read(beside)
        assert made.pixel_um == pixel_um and made.stimulus_unit.startswith(unit)
        same(load(card), load(beside), 0.0)
