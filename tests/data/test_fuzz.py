"""Damaged files, cards and pickles: a RetinaError of one line, or the right shapes.

A few cases of each by default, a hundred and more with ``pytest -m slow``.
"""

from __future__ import annotations

import os
import pickle
import tomllib
from pathlib import Path

import numpy as np
import pytest

from retina import resources
from retina.data import card as cards
from retina.data.convert import convert
from retina.data.load import load
from retina.data.unpickled import called
from retina.errors import RetinaError

from . import layouts, layouts_verified
from .conftest import arrays, card_text, unsummed

hypothesis = pytest.importorskip("hypothesis")
st = pytest.importorskip("hypothesis.strategies")

LAYOUTS = layouts.ALL | layouts_verified.ALL
QUIET = [
    hypothesis.HealthCheck.function_scoped_fixture,
    hypothesis.HealthCheck.too_slow,
]


def cases(few: int, many: int):
    """Both decorations of a test: a few cases by default, many of them slow."""
    return pytest.mark.parametrize(
        "number", [few, pytest.param(many, marks=pytest.mark.slow)]
    )


def run(number, strategy, check):
    """Checks so many cases, the same ones every time."""

    @hypothesis.settings(
        max_examples=number,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=QUIET,
    )
    @hypothesis.given(strategy)
    def each(case):
        check(case)

    each()


@st.composite
def damage(draw, size: int = 1 << 30):
    """What is done to the bytes of a file: cut off, bits flipped, or overwritten."""
    kind = draw(st.sampled_from(["cut", "flip", "flip", "zero", "junk"]))
    places = draw(st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=8))
    bit, byte = draw(st.integers(0, 7)), draw(st.integers(0, 255))
    return kind, places, bit, byte


def damaged(data: bytes, how) -> bytes:
    kind, places, bit, byte = how
    if not data:
        return data
    at = [int(place * len(data)) for place in places]
    if kind == "cut":
        return data[: at[0]]
    made = bytearray(data)
    for place in at:
        if kind == "flip":
            made[place] ^= 1 << bit
        else:
            made[place : place + 16] = bytes([0 if kind == "zero" else byte]) * min(
                16, len(data) - place
            )
    return bytes(made)


def shapes(recording) -> list[tuple]:
    """Of each block: what it is, its frames, trials and cells."""
    assert len(recording.cells) == recording.blocks[0].cells
    return [
        (block.role, block.group, block.lead)
        + (block.stimulus.shape, block.trials, block.cells)
        for block in recording.blocks
    ]


def right(recording, written) -> None:
    """What came out is of the shapes that went in, or it is said why not."""
    for block in recording.blocks:
        assert np.isfinite(block.stimulus.astype(float)).all()
    if any("stayed on" in note or "anew" in note for note in recording.notes):
        return  # by times that were damaged, a frame lasts for several
    assert shapes(recording) == written


def told(error: RetinaError) -> None:
    assert str(error) and "\n" not in str(error)


@cases(5, 115)
@pytest.mark.parametrize("name", LAYOUTS)
def test_a_damaged_file(cache, name, number):
    layout = LAYOUTS[name]
    card = layout.card(cache)
    whole = load(card)
    frame, written = whole.frame, shapes(whole)
    text = unsummed(card.read_text())
    card.write_text(text.replace("lead =", f"frame = {list(frame)}\nlead =", 1))
    folder = cache / "small"
    files = {p: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
    damaging = [p for p in files if p.name != "movie.npy"] or list(files)

    def check(case):
        which, how = case
        path = damaging[which % len(damaging)]
        path.write_bytes(damaged(files[path], how))
        try:
            right(load(card), written)
        except RetinaError as error:
            told(error)
        finally:
            path.write_bytes(files[path])

    run(number, st.tuples(st.integers(0, 99), damage()), check)


class Canary:
    """Unpickled, it makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@cases(8, 100)
def test_a_damaged_pickle(tmp_path, number):
    """Whatever the bytes have become, what the pickle wants to call is not called."""
    made = tmp_path / "made"
    held = [
        pickle.dumps(value, protocol)
        for protocol in (0, 2, 5)
        for value in (
            {"a": np.arange(6.0).reshape(2, 3), "b": [1, 2], "c": {"d": np.float32(1)}},
            {"a": np.arange(3), "x": Canary(made)},
        )
    ]
    file, out = tmp_path / "a.pkl", tmp_path / "a.npz"

    def check(case):
        which, how = case
        file.write_bytes(damaged(held[which % len(held)], how))
        for attempt in (called, lambda path: convert(path, out, trust=True)):
            try:
                attempt(file)
            except RetinaError as error:
                told(error)
        assert not made.exists()

    run(number, st.tuples(st.integers(0, 99), damage()), check)


VALUES = st.one_of(
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=20),
    st.booleans(),
    st.lists(st.one_of(st.integers(-3, 400), st.text(max_size=5)), max_size=4),
    st.sampled_from(["light", "npz", "../x", "train", "small.npz", "", "a" * 300]),
)


def toml(value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, str):
        plain = value.encode("unicode_escape").decode().replace('"', "'")
        return '"' + plain.replace("\\x", "\\u00") + '"'
    return repr(value)


@st.composite
def rewritten(draw, text: str):
    """A card with some of its lines left out, doubled, cut, or of another value."""
    lines = text.splitlines()
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(lines) - 1))
        kind = draw(st.sampled_from(["value", "value", "drop", "twice", "cut", "key"]))
        line = lines[at]
        if kind == "value" and "=" in line:
            lines[at] = f"{line.partition('=')[0]}= {toml(draw(VALUES))}"
        elif kind == "drop":
            lines[at] = ""
        elif kind == "twice":
            lines.insert(at, line)
        elif kind == "cut":
            lines[at] = line[: draw(st.integers(0, len(line)))]
        elif kind == "key":
            lines[at] = f"{draw(st.sampled_from('abc'))}{line}"
    return "\n".join(lines)


@cases(25, 300)
def test_a_card_that_was_rewritten_at_random(cache, number):
    folder = cache / "small"
    folder.mkdir()
    table = arrays()
    shown = table["stimulus"][:, None, None] * np.ones((1, 4, 4))
    np.savez(folder / "small.npz", **table | {"stimulus": shown})  # type: ignore
    splits = """
    [[splits]]
    role = "train"
    share = [0.0, 0.7]
    [[splits]]
    role = "validation"
    share = [0.7, 0.8]
    [[splits]]
    role = "test"
    group = "running"
    share = [0.8, 1.0]
    [[files]]
    path = "small.npz"
    [[prepare]]
    at_least = { rate_hz = 0.1 }
    [[prepare]]
    crop = [0, 0, 3, 3]
    [[prepare]]
    downsample = 2
    [[prepare]]
    unique = 0.9
    """
    text = card_text({}, 'file = "small.npz"', splits=splits)
    card = cache / "small.toml"
    card.write_text(text)
    assert load(card).frame == (1, 1)

    def check(case):
        card.write_text(case, encoding="utf-8")
        try:
            assert load(card).cells
        except RetinaError as error:
            told(error)

    run(number, rewritten(text), check)


@cases(6, 30)
@pytest.mark.parametrize("name", ["maheswaranathan2023", "hoefling2024"])
def test_a_shipped_card_that_was_rewritten_at_random(tmp_path, name, number):
    text = resources.path("datasets", name).read_text(encoding="utf-8")
    path = tmp_path / f"{name}.toml"

    def check(case):
        path.write_text(case, encoding="utf-8")
        try:
            assert cards.read(path).name == name
        except RetinaError as error:
            told(error)

    run(number, rewritten(text), check)


@cases(5, 100)
def test_text_that_is_no_card(tmp_path, number):
    path = tmp_path / "x.toml"

    def check(case):
        path.write_text(case, encoding="utf-8")
        try:
            cards.read(path)
        except RetinaError as error:
            assert str(error)
        else:
            assert tomllib.loads(case)["name"] == "x"

    hard = ["[" * 3000, "a = " + "[" * 3000, "a = 1" + "0" * 5000, "a.b" + ".b" * 2000]
    run(number, st.one_of(st.text(), st.sampled_from(hard)), check)
