"""Large arrays of a file are mapped; packed ones are written plain, once."""

from __future__ import annotations

import hashlib
import logging
import re
import threading
from pathlib import Path
from types import SimpleNamespace

import h5py
import jax
import numpy as np
import pytest

import retina
from retina import movie as movie_pieces
from retina import resources
from retina.data import fixations, gaze, gratings, mapped, reclocked, written
from retina.data.hdf5 import array, opened
from retina.data.load import load
from retina.data.proposal.seen import look
from retina.data.quality import clock, shift
from retina.data.split import split
from retina.data.sta import sta
from retina.errors import BadCard, BadStimulus, UnreadableFile, UnwritableFolder
from retina.fitting.start import spike_triggered_average
from retina.movie import mapped as is_mapped
from retina.movie import pieces, release
from retina.types import Block, Cell, Clip, Recording, Spec

from . import layouts
from .conftest import SPLITS, arrays, card_text
from .drawn import drawn_recording

MOVIE = np.random.default_rng(0).integers(0, 256, (300, 3, 4)).astype(np.uint8)


def _from(monkeypatch, large: int) -> None:
    """Arrays of more bytes than that are mapped, and written where they must be."""
    for module in (mapped, written):
        monkeypatch.setattr(module, "LARGE", large)


@pytest.fixture(autouse=True)
def all_is_large(monkeypatch):
    _from(monkeypatch, 2000)  # bytes


def _derived() -> list[Path]:
    return sorted((resources.derived() / "movies").glob("*"))


def _same_splits(one, two) -> None:
    """All that is computed from the stimulus, to the last bit."""
    assert one.spec == two.spec and one.notes == two.notes
    for a, b in zip(
        (*one.train, *one.validation, *one.test),
        (*two.train, *two.validation, *two.test),
        strict=True,
    ):
        assert np.array_equal(a.stimulus, b.stimulus)
        assert np.array_equal(a.response, b.response)


def _npz(npz_card, folder: Path, kind: str) -> Path:
    table = {**arrays(), "stimulus": MOVIE}
    if kind == "stimulus_file":
        del table["stimulus"]
        np.save(folder / "movie.npy", MOVIE)
        table["stimulus_file"] = np.array("movie.npy")
    card = npz_card(table)
    if kind == "packed":
        path = next(folder.glob("*.npz"))
        np.savez_compressed(path, **table)
        text = card.read_text().partition("[[files]]")
        card.write_text(text[0] + f'[[files]]\npath = "{path.name}"\n')
    return card


@pytest.mark.parametrize("kind", ["plain", "stimulus_file", "packed"])
def test_npz(kind, npz_card, cache, monkeypatch, caplog):
    folder = cache / "small"
    folder.mkdir()
    card = _npz(npz_card, folder, kind)
    with caplog.at_level(logging.WARNING, "retina"):
        recording = load(card)
        again = load(card)
    packed = kind == "packed"
    assert len(_derived()) == packed == len(caplog.records)
    for one in (*recording.blocks, *again.blocks):
        assert is_mapped(one.stimulus)
    _from(monkeypatch, 2**20)
    plain = load(card)
    assert not any(is_mapped(block.stimulus) for block in plain.blocks)
    for bin_s in (None, 0.2, 0.05, 0.03):  # frames; means; two clocks; uneven bins
        _from(monkeypatch, 2000)
        lazily = split(recording, bin_s)
        assert is_mapped(lazily.train[0].stimulus)
        _from(monkeypatch, 2**20)
        _same_splits(lazily, split(plain, bin_s))


@pytest.mark.parametrize(
    "name", ["gollisch_matlab", "gratings", "gollisch_frames", "boards"]
)
def test_a_movie_that_is_put_together(name, cache, monkeypatch, caplog):
    """Written in pieces of a few frames and mapped, or held: the same bits."""
    more = {"boards": layouts.BOARDS, "gratings": layouts.GRATINGS}
    card = {**layouts.ALL, **more}[name].card(cache)
    _from(monkeypatch, 2**30)
    plain = load(card)
    assert not _derived() and not any(is_mapped(b.stimulus) for b in plain.blocks)
    _from(monkeypatch, 500)
    for module in (fixations, gaze, gratings, movie_pieces):
        monkeypatch.setattr(module, "PIECE", 5 * 6 * 8)
    keys = []
    once = written.once
    monkeypatch.setattr(
        written, "once", lambda key, *rest: keys.append(key) or once(key, *rest)
    )
    with caplog.at_level(logging.WARNING, "retina"):
        lazily, again = load(card), load(card)
    own = [key for key in keys if re.match(r"\('\w+', ", key)]  # others are packed
    assert own and all(re.match(r"\('\w+', \d+, ", key) for key in own)
    assert 0 < len(_derived()) == len(caplog.records)
    assert is_mapped(lazily.role("train")[0].stimulus)
    _same_splits(split(lazily), split(plain))
    _same_splits(split(again), split(plain))


def test_a_disk_without_room_is_told_before_a_byte(cache, monkeypatch):
    _from(monkeypatch, 0)
    full = SimpleNamespace(free=10)
    monkeypatch.setattr(written.shutil, "disk_usage", lambda place: full)
    with pytest.raises(UnwritableFolder, match="takes 1.2e-08 GB and 1e-08 GB are"):
        written.composed("a", "it", np.dtype("i1"), (12,), [MOVIE])
    assert not _derived()


def test_numbers_of_another_kind_are_refused(cache):
    """Of float pieces a uint8 movie would keep zeros; held and written alike."""
    for shape in ((12,), (4000,)):
        with pytest.raises(BadStimulus, match="of uint8, but some.*float32"):
            pieces = [np.zeros(shape, np.float32)]
            written.composed("a", "it", np.dtype("u1"), shape, pieces)
    assert not _derived()


def test_a_movie_is_written_by_one_at_a_time(cache):
    """Who comes second waits, and takes what the first made; leftovers are swept."""
    begun, go, made, asked = threading.Event(), threading.Event(), [], []

    def rows(who):
        asked.append(who)
        begun.set()
        assert go.wait(10)
        yield MOVIE

    def write(who):
        one = written.composed("a", "it", MOVIE.dtype, MOVIE.shape, rows(who))
        made.append(one)

    folder = resources.derived() / "movies"
    folder.mkdir(parents=True)
    name = hashlib.sha256(b"'a'").hexdigest()[:16]
    (folder / f".{name}.npy.0123456789ab").write_bytes(b"of a killed process")
    threads = [threading.Thread(target=write, args=(n,)) for n in range(2)]
    threads[0].start()
    assert begun.wait(10)
    threads[1].start()
    threads[1].join(0.2)
    assert threads[1].is_alive() and asked == [0]
    go.set()
    for thread in threads:
        thread.join(10)
    assert asked == [0] and all(np.array_equal(one, MOVIE) for one in made)
    assert [path.name for path in _derived()] == [f"{name}.npy"]


def test_numbers_changed_in_memory_are_not_those_of_the_file(cache, tmp_path):
    np.save(tmp_path / "a.npy", MOVIE)
    shown = np.load(tmp_path / "a.npy", mmap_mode="c")
    shown[:4] = 7
    assert reclocked.taken(shown, np.arange(300))[0, 0, 0] == 7
    assert reclocked.averaged(shown, 2)[0, 0, 0] == 7 and not _derived()


@pytest.mark.slow
def test_a_fit_on_two_clocks_is_the_same_from_disk(npz_card, cache, monkeypatch):
    """glm: the filter once per frame, the history twice; streamed and held."""
    card = npz_card({**arrays(), "stimulus": MOVIE})
    ends = []
    for large in (2000, 2**30):
        _from(monkeypatch, large)
        made = split(load(card), 0.05)
        assert is_mapped(made.train[0].stimulus) == (large == 2000)
        model = retina.model("glm", made.spec, lags=3, history=2, history_basis=2)
        wanted = {"max_steps": 3, "optimiser": "adam", "stream": large == 2000}
        fit = retina.fit(model, made, key=jax.random.key(0), **wanted)
        ends.append(jax.tree.leaves(fit.params))
    for one, other in zip(*ends, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_damaged_header_is_told_in_a_line(tmp_path):
    """Brackets that do not close: numpy lets its tokenizer's own error through."""
    path = tmp_path / "a.npy"
    np.save(path, MOVIE)
    data = path.read_bytes()
    path.write_bytes(data.replace(b"(300, 3, 4)", b"(300( 3, 4 ", 1))
    with pytest.raises(UnreadableFile, match="not a readable npy file") as caught:
        mapped.npy(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("chunks", [None, (7, 3, 4)], ids=["plain", "chunked"])
def test_hdf5(chunks, cache, tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as store:
        made = store.create_dataset(
            "movie", data=MOVIE, chunks=chunks, compression=chunks and "gzip"
        )
        assert made.chunks == chunks
    with opened(tmp_path, "a.h5") as store:
        found = array(store, "movie")
    assert is_mapped(found) and np.array_equal(found, MOVIE)
    assert len(_derived()) == bool(chunks)


def test_a_copy_that_is_cut_off_leaves_nothing(cache, tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, stimulus=MOVIE)

    def cut_off(file, dtype, shape):
        yield MOVIE[:10]
        raise EOFError("cut off")

    with np.load(path) as store:
        monkeypatch.setattr(mapped, "_read", cut_off)
        with pytest.raises(EOFError):
            mapped.of_npz(path, store, "stimulus")
    assert not _derived()


@pytest.mark.parametrize("name", ["../movie.npy", "/etc/movie.npy"])
def test_a_movie_elsewhere_is_refused(name, npz_card):
    table = {**arrays(), "stimulus_file": np.array(name)}
    del table["stimulus"]
    with pytest.raises(BadCard, match="leaves the data set's folder"):
        load(npz_card(table))


def test_a_movie_that_is_no_npy_file(tmp_path):
    (tmp_path / "a.npy").write_bytes(b"nothing of the kind" * 200)
    with pytest.raises(UnreadableFile, match="not a readable npy file"):
        mapped.npy(tmp_path / "a.npy")


def test_nan_in_a_mapped_movie_is_found(tmp_path):
    shown = MOVIE.astype(np.float16)
    shown[123, 1, 1] = np.nan
    np.save(tmp_path / "a.npy", shown)
    counts = np.zeros((1, 300, 1), np.float32)
    with pytest.raises(BadStimulus, match="1 of 300.*frame 123"):
        Clip("a", mapped.npy(tmp_path / "a.npy"), counts)


def test_release_keeps_what_was_written(tmp_path):
    """Pages of a private mapping are its only place."""
    np.save(tmp_path / "a.npy", MOVIE)
    for mode in ("r", "r+", "c"):
        shown = np.load(tmp_path / "a.npy", mmap_mode=mode)
        if mode != "r":
            shown[5] = 7
        before = np.array(shown)
        release(shown)
        assert np.array_equal(shown, before)
        assert np.array_equal(np.concatenate([*pieces(shown, 50)]), before)


def test_in_pieces_the_averages_are_the_same(monkeypatch):
    """Sums of float32 products, cut elsewhere: equal within their rounding."""
    draw = np.random.default_rng(1)
    counts = draw.poisson(0.5, (1, 300, 2)).astype(np.float32)
    clip = Clip("a", MOVIE, counts, skip=10)
    spec = Spec((3, 4), 2, 0.1, 127.0, 74.0)

    def averages():
        return sta([clip], range(-3, 6)), spike_triggered_average((clip,), 6, spec)

    whole = averages()
    monkeypatch.setattr("retina.data.sta.PIECE", 12 * 40)
    monkeypatch.setattr("retina.movie.STRETCH", 12 * 40)
    for one, two in zip(averages(), whole, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-4 * np.abs(two).max())


def test_in_pieces_the_checks_are_the_same(monkeypatch):
    """A frame held over the edge of a piece; a correlation within rounding."""
    shown = np.arange(200, dtype=np.float32)
    shown[40] = shown[39]
    times = np.arange(201) * 0.1
    block = Block("a", "train", shown, times, ((np.array([0.3]),),))
    held = Recording("x", "none", (Cell("0"),), (block,), 0.1)
    made = split(drawn_recording())
    average = shift.averages(made).past[..., None]  # one pixel

    def found():
        said = [one.text for one in clock.clock(held)]
        three = made.test[0], average, made, np.ones(3, bool)
        return said, shift._correlations(*three, most=7)

    said, whole = found()
    assert any("frame 40 " in text for text in said)
    monkeypatch.setattr(clock, "PIECE", 40)
    monkeypatch.setattr(shift, "pieces", lambda stimulus: pieces(stimulus, 70))
    again, parts = found()
    assert again == said
    np.testing.assert_allclose(parts, whole, atol=1e-6)


def test_npz_by_names_of_ones_own(cache):
    """What the table calls a stimulus is mapped, whatever its name."""
    folder = cache / "small"
    folder.mkdir()
    held = arrays()
    held |= {"film": MOVIE, "t": held.pop("spike_s"), "unit": held.pop("spike_cell")}
    del held["stimulus"]
    np.savez(folder / "small.npz", **held)  # type: ignore[arg-type]
    options = """
    file = "small.npz"
    [options.parts.a]
    stimulus = "film"
    spike_s = "t"
    spike_cell = "unit"
    """
    splits = SPLITS.replace("frames", 'part = "a"\nframes')
    card = cache / "small.toml"
    card.write_text(
        card_text({"small.npz": folder / "small.npz"}, options, splits=splits)
    )
    block = load(card).blocks[0]
    assert block.spikes is not None
    assert is_mapped(block.stimulus) and not is_mapped(block.spikes[0][0])
    np.testing.assert_array_equal(block.stimulus, MOVIE[: len(block.stimulus)])


@pytest.mark.parametrize("kind", ["npz", "npy"])
def test_a_proposal_reads_no_movie(tmp_path, kind):
    if kind == "npz":
        np.savez(tmp_path / "a.npz", film=MOVIE)
    else:
        np.save(tmp_path / "a.npy", MOVIE)
    (seen,) = look(tmp_path / f"a.{kind}")
    assert (seen.shape, seen.kind) == (MOVIE.shape, "u")
    # Its numbers are not there yet: read afterwards, they are those of the new file.
    other = 255 - MOVIE
    if kind == "npz":
        np.savez(tmp_path / "a.npz", film=other)
    else:
        with open(tmp_path / "a.npy", "r+b") as file:
            np.save(file, other)
    np.testing.assert_array_equal(seen.read(), other)
