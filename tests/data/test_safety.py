"""No card, archive, link or pickle reaches outside the data set's folder, or runs."""

from __future__ import annotations

import os
import pickle
import stat
import zipfile

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from retina.cli.main import app
from retina.data.below import below
from retina.data.convert import convert
from retina.data.fetch import fetch
from retina.data.load import load
from retina.data.split import split
from retina.data.unpickled import called
from retina.data.unzip import member
from retina.errors import BadCard, BadSetting, MissingData, UnreadableFile

from . import layouts
from .conftest import arrays, unsummed

OUT = [
    "../out.npz",
    "/out.npz",
    "a/../../out.npz",
    "..\\out.npz",
    "C:out.npz",
    "",
    "a\0",
]


@pytest.mark.parametrize("name", OUT)
def test_no_name_leads_out_of_the_folder(tmp_path, name):
    with pytest.raises(BadCard, match="leaves the data set's folder|not the name"):
        below(tmp_path / "set", name)


@pytest.mark.parametrize("name", OUT[:5])
def test_no_option_leads_out_of_the_folder(npz_card, tmp_path, name):
    """The file is there, and is what the reader wants: it is not opened."""
    card = npz_card(arrays())
    (tmp_path / "out.npz").write_bytes((card.parent / "small/small.npz").read_bytes())
    (card.parent / "out.npz").write_bytes((tmp_path / "out.npz").read_bytes())
    text = card.read_text()
    old = 'file = "small.npz"'
    assert old in text
    card.write_text(text.replace(old, f"file = '{name}'"))
    with pytest.raises(BadCard, match="leaves the data set's folder"):
        load(card)


def test_no_link_leads_out_of_the_folder(npz_card, tmp_path):
    card = npz_card(arrays())
    file = card.parent / "small" / "small.npz"
    outside = tmp_path / "elsewhere.npz"
    file.rename(outside)
    file.symlink_to(outside)
    with pytest.raises(BadCard, match="is a link to .*elsewhere.npz, outside"):
        load(card)


def test_the_folder_itself_may_be_a_link(npz_card, tmp_path):
    card = npz_card(arrays())
    folder = card.parent / "small"
    folder.rename(tmp_path / "big_disk")
    folder.symlink_to(tmp_path / "big_disk")
    assert load(card).cells


def test_hdf5_links_stay_in_their_file(cache):
    """External links and external storage read any file of the disk."""
    card = layouts.HDF5.card(cache)
    secret = cache / "secret.h5"
    with h5py.File(secret, "w") as store:
        store["movie"] = layouts.movie().transpose(1, 2, 0)
    (cache / "secret.bin").write_bytes(layouts.movie().transpose(1, 2, 0).tobytes())
    own = cache / "small" / "own.h5"
    lines = card.read_text().splitlines()
    card.write_text(
        "\n".join(x for x in lines if not x.startswith(("sha256", "bytes")))
    )
    assert load(card)
    for linked in (True, False):
        with h5py.File(own, "r+") as store:
            del store["movie/long"]
            if linked:
                store["movie/long"] = h5py.ExternalLink(str(secret), "movie")
            else:
                outside = [(str(cache / "secret.bin"), 0, h5py.h5f.UNLIMITED)]
                store.create_dataset(
                    "movie/long", (5, 4, 60), np.uint8, external=outside
                )
        with pytest.raises(UnreadableFile, match="link to another file"):
            load(card)


# archives ----------------------------------------------------------------------------

ZIPPED = """
name = "small"
title = "a small recording"
species = "none"
citation = "none"
licence = "Apache-2.0"
source = "here"
reader = "npz"
frame_s = 0.1
lead = 10
cell_count = 2
stimulus_unit = "arbitrary"

[options]
file = "deep/small.npz"

[[splits]]
role = "train"
frames = [10, 200]

[[splits]]
role = "validation"
frames = [200, 250]

[[splits]]
role = "test"
group = "running"
frames = [250, 300]

[[files]]
path = "all.zip"

[[files]]
path = "deep/small.npz"
archive = "all.zip"
"""


@pytest.fixture
def zipped(cache, tmp_path):
    """zipped({name in the zip: bytes}) gives the card and the folder of the zip."""

    def write(entries):
        source = tmp_path / "source"
        source.mkdir()
        with zipfile.ZipFile(source / "all.zip", "w") as whole:
            for name, data in entries.items():
                whole.writestr(name, data)
        card = cache / "small.toml"
        card.write_text(ZIPPED)
        return card, source

    return write


def npz_bytes(tmp_path):
    np.savez(tmp_path / "x.npz", **arrays())  # type: ignore[arg-type]
    return (tmp_path / "x.npz").read_bytes()


@pytest.mark.parametrize("name", ["deep/small.npz", "small.npz", "top/deep/small.npz"])
def test_a_file_comes_out_of_its_zip(zipped, tmp_path, cache, name):
    card, source = zipped({name: npz_bytes(tmp_path), "other.txt": b"no"})
    with pytest.raises(MissingData, match="deep/small.npz not in"):
        load(card)
    fetch(card, source=source, say=lambda line: None)
    assert load(card).cells
    # The zip itself may go: what it held is there.
    (cache / "small" / "all.zip").unlink()
    assert load(card).cells
    assert not (cache / "small" / "other.txt").exists()


def test_names_in_a_zip_write_nowhere(zipped, tmp_path, cache):
    """Zip slip: the only entry that could be meant has a name that climbs out."""
    card, source = zipped({"../../../small.npz": npz_bytes(tmp_path)})
    before = {path for path in tmp_path.rglob("*") if "cache" not in path.parts}
    fetch(card, source=source, say=lambda line: None)
    assert (cache / "small" / "deep" / "small.npz").is_file()
    after = {path for path in tmp_path.rglob("*") if "cache" not in path.parts}
    assert after == before


def test_a_zip_without_the_file(zipped, tmp_path):
    card, source = zipped({"deep/smal.npz": npz_bytes(tmp_path)})
    with pytest.raises(MissingData, match="0 files that could be.*'deep/smal.npz'"):
        fetch(card, source=source, say=lambda line: None)


def test_a_zip_with_two_such_files(zipped, tmp_path):
    data = npz_bytes(tmp_path)
    card, source = zipped({"a/small.npz": data, "b/small.npz": data})
    with pytest.raises(MissingData, match="2 files that could be"):
        fetch(card, source=source, say=lambda line: None)


def test_a_broken_zip(zipped, tmp_path):
    card, source = zipped({"small.npz": npz_bytes(tmp_path)})
    whole = (source / "all.zip").read_bytes()
    (source / "all.zip").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UnreadableFile, match="not a readable zip"):
        fetch(card, source=source, say=lambda line: None)


def test_a_link_in_a_zip_is_refused(tmp_path):
    link = zipfile.ZipInfo("small.npz")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as whole:
        whole.writestr(link, "/etc/passwd")
    with pytest.raises(UnreadableFile, match="is a link, not a file"):
        member(tmp_path / "all.zip", "small.npz")


# pickles -----------------------------------------------------------------------------

HELD = {
    "train_responses": np.arange(24, dtype=np.int16).reshape(2, 3, 4),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "big_endian": np.arange(4, dtype=">f4"),
    "words": np.array(["ab", "c"]),
    "seeds": [2022, 2023],
    "trial_separation": {2022: [0, 1], 2023: (2, 3)},
    "nested": {"empty": np.zeros((0, 3)), "none": None, "flag": True},
    "scalar": np.float32(3),
}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_come_out_of_a_pickle(tmp_path, protocol):
    file = tmp_path / "a.pkl"
    file.write_bytes(pickle.dumps(HELD, protocol))
    convert(file, tmp_path / "a.npz", trust=True)
    with np.load(tmp_path / "a.npz") as held:
        for key in ("train_responses", "fortran", "big_endian", "words"):
            np.testing.assert_array_equal(held[key], HELD[key])
        assert held["trial_separation.2023"].tolist() == [2, 3]
        assert held["seeds"].tolist() == [2022, 2023]
        assert held["nested.empty"].shape == (0, 3) and held["scalar"] == 3
        assert "nested.none" not in held


class Touch:
    """Unpickled, it makes a file."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


EVIL = [
    lambda path: {"a": np.ones(3), "b": Touch(path)},
    lambda path: [Touch(path)],
    lambda path: np.array([Touch(path), 1], object),
    lambda path: {Touch(path).path: print},
    lambda path: np.ones(3).astype([("a", "f4")]),
    lambda path: np.datetime64("2020-01-01"),
    lambda path: np.ma.masked_array([1, 2], [True, False]),
    lambda path: slice(0, 3),
]


@pytest.mark.parametrize("make", EVIL)
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_nothing_in_a_pickle_is_run(tmp_path, make, protocol):
    made = tmp_path / "made"
    file = tmp_path / "a.pkl"
    file.write_bytes(pickle.dumps(make(made), protocol))
    called(file)
    with pytest.raises(UnreadableFile, match="the pickle") as error:
        convert(file, tmp_path / "a.npz", trust=True)
    assert "\n" not in str(error.value)
    assert not made.exists() and not (tmp_path / "a.npz").exists()


def test_what_a_pickle_would_call_is_listed(tmp_path):
    file = tmp_path / "a.pkl"
    for protocol in (0, 2, 4, 5):
        file.write_bytes(pickle.dumps({"x": Touch(tmp_path / "made")}, protocol))
        assert called(file) in (["posix.mkdir"], ["nt.mkdir"])


def test_the_command_says_what_it_would_do_and_does_it_when_trusted(tmp_path):
    file, out = tmp_path / "a.pkl", tmp_path / "a.npz"
    file.write_bytes(pickle.dumps(HELD))
    words = ["convert", str(file), "--out", str(out)]
    said = CliRunner().invoke(app, words)
    assert said.exit_code == 1 and not out.exists()
    assert "numpy.dtype" in said.output and "Nothing was run" in said.output
    done = CliRunner().invoke(app, [*words, "--trust"])
    assert done.exit_code == 0 and "train_responses: int16 (2, 3, 4)" in done.output
    with pytest.raises(BadSetting, match="ends in .npz"):
        convert(file, tmp_path / "a.h5", trust=True)


def test_a_pickle_is_refused_wherever_a_card_names_one(cache):
    """By its name, and by its first bytes where the name hides it."""
    card = layouts.WATCHED.card(cache)
    folder = cache / "small"
    with np.load(folder / "responses.npz") as held:
        data = pickle.dumps(dict(held))
    for name in ("responses.pkl", "responses.npy"):
        (folder / name).write_bytes(data)
        text = card.read_text().replace('"responses.npz"\nfix', f'"{name}"\nfix')
        other = cache / "other.toml"
        other.write_text(text.replace('name = "small"', 'name = "other"'))
        (cache / "other").unlink(missing_ok=True)
        (cache / "other").symlink_to(folder)
        with pytest.raises(UnreadableFile, match="retina convert .* --trust"):
            load(other)


def test_converted_counts_are_read(cache):
    """The way of the message: convert, name the npz, load."""
    card = layouts.WATCHED.card(cache)
    folder = cache / "small"
    before = split(load(card)).train[0].response
    with np.load(folder / "responses.npz") as held:
        (folder / "responses.pkl").write_bytes(pickle.dumps(dict(held)))
    (folder / "responses.npz").unlink()
    text = unsummed(card.read_text())
    card.write_text(text.replace('path = "responses.npz"', 'path = "responses.pkl"'))
    with pytest.raises(MissingData, match="retina convert PICKLE --out responses.npz"):
        load(card)
    convert(folder / "responses.pkl", folder / "responses.npz", trust=True)
    np.testing.assert_array_equal(split(load(card)).train[0].response, before)


def test_neo_does_not_unpickle(cache, tmp_path):
    pytest.importorskip("neo")
    card = layouts.NEO.card(cache)
    folder = cache / "small"
    made = tmp_path / "made"
    (folder / "own.data").write_bytes(pickle.dumps(Touch(made), 0))
    text = card.read_text().replace('io = "NeoMatlabIO"', 'io = "PickleIO"')
    card.write_text(text.replace('file = "own.mat"', 'file = "own.data"'))
    with pytest.raises(UnreadableFile, match="PickleIO may run code"):
        load(card)
    assert not made.exists()


@pytest.mark.parametrize("name", ["file", "allow_pickle", "a\0b", "\ud800", "x/y"])
def test_a_converted_array_may_have_any_name(tmp_path, name):
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({name: np.arange(3.0)}))
    convert(tmp_path / "a.pkl", tmp_path / "a.npz", trust=True)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as held:
        (found,) = held.files
        np.testing.assert_array_equal(held[found], np.arange(3.0))


@pytest.mark.parametrize(
    "held",
    [
        {"a/b": np.arange(3), "a_b": np.arange(4)},
        {"a": {"b": np.arange(3)}, "a.b": np.arange(4)},
        {1: np.arange(3), "1": np.arange(4)},
    ],
)
def test_no_converted_array_is_lost_to_another_of_its_name(tmp_path, held):
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(held))
    with pytest.raises(UnreadableFile, match="two arrays would be named"):
        convert(tmp_path / "a.pkl", tmp_path / "a.npz", trust=True)
    assert not list(tmp_path.glob("*npz*"))


@pytest.mark.parametrize("leaf", [np.arange(2), []])
def test_a_few_bytes_do_not_unfold_to_millions(tmp_path, leaf):
    for _ in range(15):
        leaf = [leaf] * 6
    data = pickle.dumps(leaf)
    assert len(data) < 1000
    (tmp_path / "a.pkl").write_bytes(data)
    with pytest.raises(UnreadableFile, match="more than 10000 things"):
        convert(tmp_path / "a.pkl", tmp_path / "a.npz", trust=True)


def test_a_pickle_changes_nothing_of_the_program(tmp_path):
    """BUILD sets attributes: here the name of what makes scalars."""
    for module, name in (("numpy", "scalar"), ("_codecs", "encode")):
        for state in (b"}X\x01\x00\x00\x00xK\x01s", b"N}X\x01\x00\x00\x00xK\x01s\x86"):
            data = f"c{module}\n{name}\n".encode() + state + b"b."
            (tmp_path / "a.pkl").write_bytes(b"\x80\x04" + data)
            with pytest.raises(UnreadableFile, match="sets the state of a function"):
                convert(tmp_path / "a.pkl", tmp_path / "a.npz", trust=True)
