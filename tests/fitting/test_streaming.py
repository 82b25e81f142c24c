"""Movies that stay on disk: the same fit, bit for bit, and no more memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from retina import build, movie
from retina.errors import BadSetting
from retina.fitting import clips, loss, walkers
from retina.fitting.clips import at_hand, cut, tabulate
from retina.fitting.fit import fit
from retina.fitting.loss import validator
from retina.fitting.predict import streamed
from retina.fitting.start import mean_counts
from retina.fitting.streaming import Feed, Movie
from retina.types import Clip, Spec, Split

KEY = jax.random.key(0)
SPEC = Spec((8, 8), 2, 0.02, 127.5, 74.0)
PART = 20_000  # bytes: a round of 40 steps takes several parts
RECIPE: dict[str, Any] = {
    "optimiser": "adam",
    "max_steps": 46,  # a round and a shorter one
    "clip_bins": 16,
    "batch": 3,
}
MODELS: dict[str, dict[str, Any]] = {
    "cnn": {"lags": 4, "basis": 2, "channels": 2, "sizes": (3, 3)},
    "ln": {"lags": 4, "window": 5},
    "glm": {"lags": 4, "window": 5, "history": 5, "history_basis": 3},
}


def _clip(frames: int, seed: int, folder: Path | None, trials: int = 1) -> Clip:
    """Bytes, mapped from a file where there is a folder to write it into."""
    draw = np.random.default_rng(seed)
    shown = draw.integers(0, 256, (frames, *SPEC.frame), np.uint8)
    counts = draw.poisson(0.4, (trials, frames, 2)).astype(np.float32)
    if folder is not None:
        path = folder / f"{seed}.npy"
        np.save(path, shown)
        shown = np.load(path, mmap_mode="r")
        assert movie.mapped(shown)
    return Clip(f"clip{seed}", shown, counts, skip=5)


def _split(folder: Path | None = None) -> Split:
    train = _clip(400, 0, folder, trials=2), _clip(150, 1, folder)
    return Split(SPEC, train, (_clip(200, 2, folder),), (_clip(200, 3, folder),))


def _bits(fitted) -> list[bytes]:
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(fitted.params)]


def _curve(fitted) -> list[tuple]:
    return [(e["step"], e["train_loss"], e["validation_bits"]) for e in fitted.curve]


def _same(one, two) -> None:
    assert _bits(one) == _bits(two)
    assert repr(_curve(one)) == repr(_curve(two))  # nan is nan
    assert one.validation == two.validation


@pytest.mark.parametrize("name", [pytest.param("cnn", marks=pytest.mark.slow), "glm"])
def test_a_streamed_fit_is_the_fit_in_memory_bit_for_bit(name, tmp_path, monkeypatch):
    """Arrays at hand against files that are mapped, a round in several parts."""
    model = build.model(name, SPEC, **MODELS[name])
    held = fit(model, _split(), key=KEY, **RECIPE)
    monkeypatch.setattr(walkers, "PART", PART)
    told = fit(model, _split(tmp_path), key=KEY, stream=True, **RECIPE)
    assert told.training["streamed"] and not held.training["streamed"]
    _same(held, told)


class Interrupted(Exception):
    pass


@pytest.mark.slow
def test_it_is_resumed_at_the_exact_clip_and_from_either_side(tmp_path, monkeypatch):
    """Cut off after a round, streamed; ended in memory, and streamed; two seeds."""
    monkeypatch.setattr(walkers, "PART", PART)
    model = build.model("ln", SPEC, **MODELS["ln"])
    given: dict[str, Any] = {**RECIPE, "key": KEY, "seeds": 2}
    whole = fit(model, _split(), **given)

    def cut_off(told) -> None:
        if told["step"] == 46:
            raise Interrupted

    for stream in (False, True):
        place = tmp_path / str(stream)
        place.mkdir()
        mapped = _split(place)
        given["checkpoint"] = place / "kept"
        with pytest.raises(Interrupted):
            fit(model, mapped, stream=True, progress=cut_off, **given)
        _same(whole, fit(model, mapped, stream=stream, **given))


def test_clips_of_a_movie_are_those_of_the_array(tmp_path):
    model = build.model("ln", SPEC, **MODELS["ln"])
    held = tabulate(model, _split().train, 16)
    table = tabulate(model, _split(tmp_path).train, 16, stream=True)
    assert isinstance(table.stimulus, Movie) and not isinstance(held.stimulus, Movie)
    assert table.stimulus.shape == held.stimulus.shape
    assert np.array_equal(table.first, held.first)
    order = table.first[::-1][:12].reshape(2, 3, 2, 2)
    shown, at = at_hand(table, order, rows=600)
    assert len(shown) == 600 and at.shape == order.shape
    for one, other in zip(at.reshape(-1, 2), order.reshape(-1, 2), strict=True):
        new = cut(model, shown, table.counts, one, table.lead, table.bins)
        old = cut(model, held.stimulus, held.counts, other, held.lead, held.bins)
        for a, b in zip(new, old, strict=True):
            assert np.array_equal(a, b)


def test_what_is_large_streams_by_itself(tmp_path, monkeypatch):
    model = build.model("ln", SPEC, **MODELS["ln"])
    train = _split(tmp_path).train
    size = sum(clip.stimulus.nbytes for clip in train)
    for most, streams in ((size, False), (size - 1, True)):
        monkeypatch.setattr(clips, "STREAMED", most)
        made = tabulate(model, train, 16, stream=None)
        assert isinstance(made.stimulus, Movie) == streams
    assert not isinstance(tabulate(model, train, 16, stream=False).stimulus, Movie)
    # A GPU of four times as many bytes holds it, one of fewer does not.
    for limit, streams in ((4 * size, False), (4 * size - 1, True)):
        monkeypatch.setattr(clips, "_device_bytes", lambda limit=limit: limit)
        made = tabulate(model, train, 16, stream=None)
        assert isinstance(made.stimulus, Movie) == streams


def test_a_movie_that_must_be_held_and_does_not_fit_says_what_to_do(monkeypatch):
    model = build.model("ln", SPEC, **MODELS["ln"])
    monkeypatch.setattr(os, "sysconf", {"SC_PHYS_PAGES": 2, "SC_PAGE_SIZE": 4096}.get)
    with pytest.raises(BadSetting, match="takes 3.52e-05 GB.*optimiser=adam"):
        fit(model, _split(), key=KEY)
    monkeypatch.setattr(clips, "_device_bytes", lambda: 2**14)
    with pytest.raises(BadSetting, match="more than the 1.64e-05 GB of memory here"):
        fit(model, _split(), key=KEY)


def test_lbfgs_does_not_stream():
    model = build.model("ln", SPEC, **MODELS["ln"])
    with pytest.raises(BadSetting, match="L-BFGS takes all data.*optimiser=adam"):
        fit(model, _split(), key=KEY, stream=True)


def test_a_feed_makes_what_is_next_ahead_and_what_was_not_expected_again():
    made = []

    def make(step: int, steps: int) -> tuple[int, int]:
        made.append(step)
        return step, steps

    feed = Feed(make)
    assert feed.take(0, 4, (4, 4)) == (0, 4)
    assert feed.take(4, 4, (8, 2)) == (4, 4)
    assert feed.take(100, 4, (104, 0)) == (100, 4)  # resumed elsewhere
    assert made == [0, 4, 8, 100]


def test_an_error_in_the_thread_reaches_the_fit():
    def make(step: int, steps: int) -> None:
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        Feed(make).take(0, 1, (1, 0))


def test_long_clips_are_judged_and_scored_in_stretches(tmp_path, monkeypatch):
    """The state is carried on, so a stretch gives what it gives within the whole.

    The scan of steps is the same program: equal bits. Validation runs the clip view,
    whose float32 sums are cut elsewhere: within 1e-5 of a bit per spike.
    """
    model = build.model("glm", SPEC, **MODELS["glm"])
    params = model.stage.init(jax.random.key(1))
    split = _split(tmp_path)
    clip = split.train[0]
    null = mean_counts(split.train)
    shown, counts = [clip.stimulus] * 2, clip.response
    whole = validator(model, (clip,), null)(params)
    rates = streamed(model, params, shown, counts)
    for module in (movie, loss):
        monkeypatch.setattr(module, "STRETCH", 150 * 64)
    parts = validator(model, (clip,), null)(params)
    np.testing.assert_allclose(parts, whole, atol=1e-5)
    assert np.array_equal(streamed(model, params, shown, counts), rates)


HUGE = """
import json, sys
import jax, numpy as np
import retina
from retina.types import Clip, Spec, Split

path, frames = sys.argv[1], int(sys.argv[2])
spec = Spec((200, 250), 2, 0.02, 0.5, 0.3)
draw = np.random.default_rng(0)

def clip(name, stimulus):
    counts = draw.poisson(0.2, (1, len(stimulus), 2)).astype(np.float32)
    return Clip(name, stimulus, counts, skip=5)

shown = np.load(path, mmap_mode="r")[:frames]
small = draw.integers(0, 2, (200, *spec.frame), np.uint8)
split = Split(spec, (clip("train", shown),), (clip("validation", small),), ())
model = retina.model("ln", spec, lags=3, window=7)
fit = retina.fit(model, split, key=jax.random.key(0), optimiser="adam", max_steps=30,
                 clip_bins=32, batch=2)
peak = next(l for l in open("/proc/self/status") if l.startswith("VmHWM"))
print(json.dumps([int(peak.split()[1]) * 1024, fit.training["streamed"]]))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
def test_a_movie_of_50_gb_adds_less_than_1_gib(tmp_path):
    """A file with holes, of 10^6 frames, against its first 500 (25 MB), held.

    Peak resident memory, in which pages of a mapped file count.
    """
    path = tmp_path / "movie.npy"
    shape = (1_000_000, 200, 250)
    shown = np.lib.format.open_memmap(path, "w+", np.uint8, shape)
    shown[:300] = np.random.default_rng(0).integers(0, 2, (300, 200, 250), np.uint8)
    del shown
    about = path.stat()
    if about.st_blocks * 512 > about.st_size // 10:
        pytest.skip("this file system has no files with holes")
    peaks = {}
    for frames, streams in ((500, False), (shape[0], True)):
        told = subprocess.run(
            [sys.executable, "-c", HUGE, str(path), str(frames)],
            env=os.environ | {"RETINA_CACHE": str(tmp_path)},
            capture_output=True,
            text=True,
        )
        assert told.returncode == 0, told.stderr
        peak, streamed_ = json.loads(told.stdout.splitlines()[-1])
        assert streamed_ == streams
        peaks[frames] = peak
    # Neither was the file filled, nor another written.
    assert path.stat().st_blocks * 512 < 2**30
    written = [f for f in tmp_path.rglob("*") if f.is_file() and f != path]
    assert sum(f.stat().st_size for f in written) < 2**30
    assert peaks[shape[0]] - peaks[500] < 2**30, peaks
