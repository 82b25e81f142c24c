"""The checkerboard of a seed: what the package makes, packed, cropped, in parallel."""

from __future__ import annotations

import dataclasses
import sys

import numpy as np
import pytest
import scipy.io

from retina.data import whitenoise
from retina.data.card import Card
from retina.data.load import load
from retina.data.whitenoise import Movie, make, running, stretches
from retina.errors import BadCard, BrokenRun, MissingExtra, UnreadableFile

from .conftest import card_text

SEED, SHAPE, FRAMES = -77, (12, 9), 40
BOARD = Movie(SEED, SHAPE, FRAMES, corner=(3, 1), size=(8, 4))


@pytest.fixture(scope="module")
def known():
    """Nine trials as the package gives them, (trial, frame, y, x) of the window."""
    package = pytest.importorskip("retinawhitenoise")
    shown = package.binarystimulus.recreate(SEED, SHAPE, FRAMES, 9)
    # The package fills one and the same array for every trial.
    return np.stack([trial[3:11, 1:5].transpose(2, 1, 0).copy() for trial in shown])


@pytest.fixture(scope="module")
def states():
    package = pytest.importorskip("retinawhitenoise")
    generator, found = package.Rng(SEED), {}
    for trial in range(9):
        seed = generator.seed
        words = [seed["idum"], seed["iy"], *seed["iv"]]
        if trial in (3, 5):
            found[str(trial)] = "".join(f"{word:08x}" for word in words)
        generator.ranb(int(np.prod(SHAPE)) * FRAMES)
    return found


def unpacked(rows):
    bits = np.unpackbits(rows, axis=1).reshape(FRAMES, 8, 4).transpose(0, 2, 1)
    return 2 * bits.astype(np.int8) - 1


def test_a_stretch_begins_at_a_state(known, states):
    board = dataclasses.replace(BOARD, states=states)
    for first, stop in ((0, 3), (3, 5), (5, 9)):
        made = [unpacked(rows) for rows in make(board, first, stop)]
        np.testing.assert_array_equal(made, known[first:stop])


def test_a_wrong_state_is_found(states):
    wrong = states | {"3": "0" * 8 + states["3"][8:]}
    with pytest.raises(BrokenRun, match="trials 0-2 do not end in the state"):
        list(make(dataclasses.replace(BOARD, states=wrong), 0, 3))


def test_without_the_package_one_is_told_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "retinawhitenoise", None)
    with pytest.raises(MissingExtra, match=r"pip install 'retina-frontier\[whitenoise"):
        list(make(BOARD, 0, 1))


def test_only_needed_stretches_are_made(states):
    board = dataclasses.replace(BOARD, states=states)
    assert stretches(board, range(0, 9)) == [range(0, 3), range(3, 5), range(5, 9)]
    assert stretches(board, range(4, 5)) == [range(3, 5)]
    assert stretches(BOARD, range(2, 4)) == [range(0, 4)]


def small_card():
    return Card.model_validate(
        {
            "name": "small",
            "title": "small",
            "species": "none",
            "citation": "none",
            "licence": "none",
            "source": "none",
            "reader": "checkerboard_counts",
            "frame_s": 0.1,
            "cell_count": 2,
        }
    )


def test_made_in_parallel_then_kept(cache, known, states, capfd):
    board = dataclasses.replace(BOARD, states=states)
    shown = running(cache / "small", small_card(), board, range(9))
    np.testing.assert_array_equal(shown, known)
    assert shown.dtype == np.int8
    assert "trials 0-8 from its seed: 3 of 3" in capfd.readouterr().err
    files = sorted((cache / "small").rglob("*.npy"))
    assert len(files) == 3
    # An interruption loses only what was not finished.
    files[1].unlink()
    before = [files[i].stat().st_mtime_ns for i in (0, 2)]
    again = running(cache / "small", small_card(), board, range(9))
    np.testing.assert_array_equal(again, known)
    assert [files[i].stat().st_mtime_ns for i in (0, 2)] == before
    assert "1 of 1" in capfd.readouterr().err
    # A half-written file of another size is not taken for a stimulus.
    files[2].write_bytes(files[2].read_bytes()[:200])
    with pytest.raises(UnreadableFile):
        running(cache / "small", small_card(), board, range(9))


def test_an_error_in_a_process_is_told_as_it_is(cache, states):
    wrong = dataclasses.replace(BOARD, states=states | {"3": "1" * 272})
    with pytest.raises(BrokenRun, match="trials 3-4 do not end in the state"):
        running(cache / "small", small_card(), wrong, range(3, 9))


CARD = """
running_counts = ["counts.mat", "spk1"]
frozen_counts = ["counts.mat", "spk2"]
frozen_stimulus = ["frozen.h5", "stim"]

[options.movie]
seed = -77
shape = [12, 9]
frames = 40
corner = [3, 1]
size = [8, 4]
"""

SPLITS = """
[[splits]]
role = "train"
part = "running"
trials = [0, 5]
frames = [10, 40]

[[splits]]
role = "validation"
part = "running"
trials = [5, 7]
frames = [10, 40]

[[splits]]
role = "test"
group = "running"
part = "running"
trials = [7, 9]
frames = [10, 40]

[[splits]]
role = "test"
group = "frozen"
part = "frozen"
frames = [10, 20]
"""


@pytest.fixture
def checkerboard(cache):
    import h5py

    rng = np.random.default_rng(0)
    table = {
        "spk1": rng.poisson(1.0, (2, 40, 9)).astype(np.uint8),
        "spk2": rng.poisson(1.0, (2, 20, 6)).astype(np.uint8),
    }
    folder = cache / "small"
    folder.mkdir()
    scipy.io.savemat(folder / "counts.mat", table)
    table["stim"] = rng.choice(np.array([-1, 1], np.int8), (12, 9, 20))
    with h5py.File(folder / "frozen.h5", "w") as file:
        file["stim"] = table["stim"]

    def write(options):
        files = {name: folder / name for name in ("counts.mat", "frozen.h5")}
        path = cache / "small.toml"
        text = card_text(
            files,
            options,
            splits=SPLITS,
            reader="checkerboard_counts",
            coding="contrast",
        )
        path.write_text(text)
        return path

    return write, table


def test_the_reader_keeps_trials_apart(checkerboard, known):
    write, table = checkerboard
    made = load(write(CARD))
    assert made.frame == (4, 8)  # (y, x)
    running = [block for block in made.blocks if block.name.startswith("trial")]
    assert [len(made.role(r)) for r in ("train", "validation", "test")] == [5, 2, 3]
    for trial, block in enumerate(running):
        np.testing.assert_array_equal(block.stimulus, known[trial])
        assert block.counts is not None
        np.testing.assert_array_equal(block.counts[0], table["spk1"][:, :, trial].T)
        assert block.lead == 10 and block.trials == 1
    frozen = made.blocks[-1]
    assert frozen.trials == 6 and frozen.counts is not None
    np.testing.assert_array_equal(
        frozen.stimulus, table["stim"][3:11, 1:5].transpose(2, 1, 0)
    )
    np.testing.assert_array_equal(frozen.counts, table["spk2"].transpose(2, 1, 0))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("corner", "corners", "options.movie.corners.*'corner'"),
        ("seed = -77\n", "", "'options.movie.seed' is missing"),
    ],
)
def test_a_typo_in_the_movie(checkerboard, old, new, said):
    with pytest.raises(BadCard, match=said):
        load(checkerboard[0](CARD.replace(old, new)))


def test_packed_files_are_read_where_they_are(checkerboard, known, cache, monkeypatch):
    bits = (known > 0).transpose(0, 1, 3, 2).reshape(9 * FRAMES, -1)
    np.save(cache / "small" / "packed.npy", np.packbits(bits, axis=1))
    monkeypatch.setattr(whitenoise, "make", None)
    made = load(checkerboard[0](CARD + 'packed = [["packed.npy", 0, 9]]\n'))
    np.testing.assert_array_equal([b.stimulus for b in made.blocks[:9]], known)
