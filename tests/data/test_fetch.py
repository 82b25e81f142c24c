"""Downloads from a real server on this machine, copies, checksums, interruptions."""

from __future__ import annotations

import hashlib
import http.server
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest

from retina import resources
from retina.data.card import read
from retina.data.fetch import fetch
from retina.data.identity import digest
from retina.data.load import load
from retina.errors import BadSetting, ChecksumMismatch, MissingData, UnwritableFolder

from .conftest import arrays, card_text


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder; answers ranges where the server says so; notes every request.

    tags: says of which version a file is. deaf: does not look at If-Range.
    """

    def do_GET(self):
        ways = {"moved": self.moved, "stall": self.stall, "cut": self.cut}
        way, _, rest = self.path.lstrip("/").partition("/")
        if way in ways:
            self.server.asked.append((self.path, None))  # type: ignore[attr-defined]
            ways[way](rest)
            return
        path = Path(self.translate_path(self.path))
        wanted = self.headers.get("Range")
        self.server.asked.append((self.path, wanted))  # type: ignore[attr-defined]
        if not path.is_file():
            self.send_error(404)
            return
        data = path.read_bytes()
        start, end = 0, len(data)
        tag = f'"{hashlib.md5(data).hexdigest()}"' if self.server.tags else ""  # type: ignore[attr-defined]
        same = self.headers.get("If-Range", tag) == tag or self.server.deaf  # type: ignore[attr-defined]
        if wanted and same and self.server.ranges:  # type: ignore[attr-defined]
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            start, end = int(first), int(last or end - 1) + 1
            if start >= len(data):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(data)}")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(data)}")
        else:
            self.send_response(200)
        if tag:
            self.send_header("ETag", tag)
        self.send_header("Content-Length", str(end - start))
        self.end_headers()
        try:
            self.wfile.write(data[start:end])
        except ConnectionError:
            pass  # who only wanted to know the size

    def moved(self, rest):
        """To /rest; round in a circle where there is none."""
        self.send_response(302)
        self.send_header("Location", f"/{rest or 'moved/'}")
        self.end_headers()

    def stall(self, rest):
        """A beginning, then silence until the test is over."""
        self.send_response(200)
        self.send_header("Content-Length", "5000")
        self.end_headers()
        self.wfile.write(b"x" * 100)
        self.server.over.wait(30)  # type: ignore[attr-defined]

    def cut(self, rest):
        """Half of the file, and the connection is closed."""
        data = Path(self.translate_path("/" + rest)).read_bytes()
        self.send_response(200)
        self.send_header("ETag", f'"{hashlib.md5(data).hexdigest()}"')
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: len(data) // 2])

    def log_message(self, format, *args):
        pass


@pytest.fixture
def server(tmp_path):
    served = tmp_path / "served"
    served.mkdir()

    def handler(*args):
        return Handler(*args, directory=str(served))

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as made:
        made.asked, made.ranges = [], True  # type: ignore[attr-defined]
        made.tags, made.deaf = True, False  # type: ignore[attr-defined]
        made.folder = served  # type: ignore[attr-defined]
        made.over = threading.Event()  # type: ignore[attr-defined]
        thread = threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield made
        made.over.set()  # type: ignore[attr-defined]
        made.shutdown()
        thread.join()


@pytest.fixture
def card(server, cache, tmp_path) -> Path:
    np.savez(server.folder / "small.npz", **arrays())  # type: ignore[arg-type]
    path = tmp_path / "small.toml"
    url = f"http://127.0.0.1:{server.server_address[1]}/"
    files = {"small.npz": server.folder / "small.npz"}
    path.write_text(card_text(files, 'file = "small.npz"', url=url))
    return path


def quiet(line: str) -> None:
    """Takes the lines of a fetch that a test does not look at."""


def test_the_licence_and_the_size_come_before_the_first_byte(card, server, cache):
    lines = []

    def say(line):
        lines.append((line, len(server.asked)))

    steps = []
    folder = fetch(card, say=say, progress=lambda *step: steps.append(step))
    assert folder == cache / "small"
    early = " ".join(line for line, asked in lines if asked == 0)
    assert "Apache-2.0" in early and "MB" in early
    size = (server.folder / "small.npz").stat().st_size
    assert steps[-1] == ("small.npz", size, size)
    assert (folder / "small.npz").read_bytes() == (
        server.folder / "small.npz"
    ).read_bytes()
    assert len(load(card).cells) == 2


def test_what_is_there_is_not_downloaded_again(card, server):
    fetch(card, say=quiet)
    fetch(card, say=quiet)
    assert len(server.asked) == 1


def test_a_wrong_file_is_refused_and_the_good_one_stays(card, server, cache):
    fetch(card, say=quiet)
    good = (cache / "small" / "small.npz").read_bytes()
    text = card.read_text()
    other = hashlib.sha256(b"another version").hexdigest()
    own = hashlib.sha256(good).hexdigest()
    card.write_text(text.replace(own, other))
    with pytest.raises(ChecksumMismatch) as error:
        fetch(card, say=quiet)
    assert own in str(error.value) and other in str(error.value)
    assert f"retina fetch {card}" in str(error.value)
    assert (cache / "small" / "small.npz").read_bytes() == good
    assert not list((cache / "small").glob("*.part"))


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("start", [b"", b"not the beginning of the file"])
def test_a_broken_download_goes_on(card, server, cache, ranges, start):
    server.ranges = ranges
    whole = (server.folder / "small.npz").read_bytes()
    part = cache / "small" / "small.npz.part"
    part.parent.mkdir()
    part.write_bytes(start or whole[:1000])
    fetch(card, say=quiet)
    assert (cache / "small" / "small.npz").read_bytes() == whole
    assert server.asked[0][1] == f"bytes={len(start) or 1000}-"
    # One request, but where the sum tells that what lay there was of another file.
    assert len(server.asked) == (2 if ranges and start else 1)


def without_sum(card: Path, **change: str) -> None:
    """The card without its sha256, and with other lines changed."""
    lines = card.read_text().splitlines()
    kept = [line for line in lines if not line.startswith("sha256")]
    card.write_text("\n".join(change.get(line.split(" ")[0], line) for line in kept))


@pytest.mark.parametrize("change", [{}, {"bytes": "bytes = 0"}], ids=["size", "none"])
def test_nothing_is_called_verified_that_was_not(card, change):
    lines = []
    fetch(card, say=lines.append)
    assert "sha256 verified" in " ".join(lines)
    without_sum(card, **change)
    (card.parent / "cache" / "small" / "small.npz").unlink()
    lines.clear()
    fetch(card, say=lines.append)
    (line,) = (line for line in lines if line.startswith("small.npz: "))
    assert line.endswith("no sha256 in the card")


@pytest.mark.parametrize("ranges", [True, False])
def test_without_a_sha256_the_size_tells_a_truncated_file(card, server, cache, ranges):
    """Also one glued together, where a server that does not resume sends it all."""
    server.ranges = ranges
    without_sum(card)
    whole = (server.folder / "small.npz").read_bytes()
    part = cache / "small" / "small.npz.part"
    part.parent.mkdir()
    part.write_bytes(whole[:1000])
    fetch(card, say=quiet)
    assert (cache / "small" / "small.npz").read_bytes() == whole

    (cache / "small" / "small.npz").write_bytes(whole[:-100])
    wanted = f"{len(whole) - 100} bytes, the card says {len(whole)}"
    with pytest.raises(ChecksumMismatch, match=f"{wanted}.*retina fetch {card}"):
        load(card)
    fetch(card, say=quiet)
    assert len(load(card).cells) == 2
    (server.folder / "small.npz").write_bytes(whole[:-100])
    (cache / "small" / "small.npz").unlink()
    with pytest.raises(ChecksumMismatch, match=f"{wanted}.*nothing was replaced"):
        fetch(card, say=quiet)


def test_what_nothing_can_verify_is_not_resumed(card, server, cache):
    """Neither a sum nor a version would show that two halves do not fit."""
    without_sum(card, bytes="bytes = 0")
    part = cache / "small" / "small.npz.part"
    part.parent.mkdir()
    part.write_bytes(b"not the beginning of the file")
    fetch(card, say=quiet)
    assert server.asked[-1] == ("/small.npz", None)
    assert len(load(card).cells) == 2


@pytest.fixture
def broken(card, server, cache):
    """A beginning of a file whose card knows neither its sum nor its size."""
    np.savez(server.folder / "small.npz", **arrays(frames=30_000))  # type: ignore
    without_sum(card, bytes="bytes = 0")
    addresses(card, server, "cut/")
    with pytest.raises(MissingData, match="again to go on from here"):
        fetch(card, say=quiet)
    addresses(card, server, "")
    server.asked.clear()
    part = cache / "small" / "small.npz.part"
    whole = (server.folder / "small.npz").read_bytes()
    kept = part.read_bytes()
    assert len(whole) > 2 * len(kept) - 1 > 0 and whole.startswith(kept)
    return card


def test_half_of_an_unknown_file_goes_on(broken, server, cache):
    whole = (server.folder / "small.npz").read_bytes()
    kept = (cache / "small" / "small.npz.part").stat().st_size
    fetch(broken, say=quiet)
    assert (cache / "small" / "small.npz").read_bytes() == whole
    assert server.asked[-1] == ("/small.npz", f"bytes={kept}-")
    assert {path.name for path in (cache / "small").iterdir()} == {"small.npz", ".lock"}


def test_all_of_it_that_was_never_moved_is_not_asked_for_again(broken, server, cache):
    whole = (server.folder / "small.npz").read_bytes()
    (cache / "small" / "small.npz.part").write_bytes(whole)
    fetch(broken, say=quiet)
    assert (cache / "small" / "small.npz").read_bytes() == whole
    assert server.asked[-1] == ("/small.npz", f"bytes={len(whole)}-")


def test_half_of_another_version_does_not(broken, server, cache):
    """Of the same size, so that nothing but the version tells."""
    path = server.folder / "small.npz"
    path.write_bytes(path.read_bytes()[::-1])
    fetch(broken, say=quiet)
    assert (cache / "small" / "small.npz").read_bytes() == path.read_bytes()


def test_nor_where_the_server_does_not_look(broken, server, cache):
    server.deaf = True
    path = server.folder / "small.npz"
    path.write_bytes(path.read_bytes()[::-1])
    with pytest.raises(
        MissingData, match=r"another version.*`retina fetch \S+` again,"
    ):
        fetch(broken, say=quiet)
    fetch(broken, say=quiet)
    assert (cache / "small" / "small.npz").read_bytes() == path.read_bytes()


def test_nor_with_half_of_a_copy(broken, server, cache, tmp_path, monkeypatch):
    """A copy that breaks off leaves nothing that a download would take for its own."""

    def breaks(source, sink, chunk):
        sink.write(b"x" * 500)
        raise KeyboardInterrupt

    monkeypatch.setattr("shutil.copyfileobj", breaks)
    with pytest.raises(KeyboardInterrupt):
        fetch(broken, source=server.folder, say=quiet)
    assert (cache / "small" / "small.npz.part").stat().st_size == 500
    fetch(broken, say=quiet)
    assert server.asked[-1] == ("/small.npz", None)
    assert len(load(broken).cells) == 2


@pytest.mark.parametrize("way", ["", "moved/"])
@pytest.mark.parametrize("ranges", [True, False])
def test_a_size_that_the_card_lacks_is_asked_for(card, server, ranges, way):
    server.ranges = ranges
    without_sum(card, bytes="bytes = 0")
    addresses(card, server, way)
    lines, steps = [], []
    fetch(card, say=lines.append, progress=lambda *step: steps.append(step))
    size = (server.folder / "small.npz").stat().st_size
    assert any(line.startswith(f"size: {size / 1e6:.1f} MB from") for line in lines)
    assert steps[-1] == ("small.npz", size, size)


def test_without_an_address_it_says_where_to_look(card):
    lines = [x for x in card.read_text().splitlines() if not x.startswith("url")]
    text = "\n".join(lines).replace('source = "here"', 'source = "https://x.org/y"')
    card.write_text(text)
    with pytest.raises(MissingData, match=r"look at https://x\.org/y .*--from PATH"):
        fetch(card, say=quiet)
    card.write_text(text.replace("lead =", 'data_doi = "10.1/z"\nlead =', 1))
    with pytest.raises(MissingData, match=r"look at https://doi\.org/10\.1/z .*--from"):
        fetch(card, say=quiet)
    with pytest.raises(MissingData, match=r"PATH` with the files of https://doi"):
        load(card)


def test_a_file_that_is_not_there_says_what_to_type(card, server):
    (server.folder / "small.npz").unlink()
    with pytest.raises(MissingData, match=f"retina fetch {card}.*--from PATH"):
        fetch(card, say=quiet)


@pytest.mark.parametrize("below", ["", "small"])
def test_from_a_folder(card, server, cache, tmp_path, below):
    source = tmp_path / "disk" / below
    source.mkdir(parents=True)
    (server.folder / "small.npz").rename(source / "small.npz")
    fetch(card, source=tmp_path / "disk", say=quiet)
    assert not server.asked
    assert len(load(card).cells) == 2


def test_from_the_file_itself_whatever_its_name(card, server, tmp_path):
    """An npz is a zip, but none that holds the file."""
    with pytest.raises(MissingData, match="there is no .*lost.npz: give the folder"):
        fetch(card, source=tmp_path / "lost.npz", say=quiet)
    (server.folder / "small.npz").rename(tmp_path / "monday.npz")
    fetch(card, source=tmp_path / "monday.npz", say=quiet)
    assert len(load(card).cells) == 2


def test_from_a_folder_without_the_file(card, tmp_path):
    with pytest.raises(MissingData, match=r"holds no small\.npz.*--from PATH"):
        fetch(card, source=tmp_path, say=quiet)


def test_missing_files_say_what_to_type(card):
    with pytest.raises(MissingData, match=f"retina fetch {card}.*RETINA_CACHE"):
        load(card)


def test_a_truncated_file_is_found_at_loading(card, cache):
    fetch(card, say=quiet)
    load(card)
    path = cache / "small" / "small.npz"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ChecksumMismatch, match=f"truncated.*retina fetch {card}"):
        load(card)
    fetch(card, say=quiet)
    assert len(load(card).cells) == 2


def test_a_cache_that_cannot_be_written(card, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("RETINA_CACHE", str(tmp_path / "file" / "cache"))
    monkeypatch.setattr(resources, "derived", lambda: tmp_path)
    with pytest.raises(UnwritableFolder, match="file/cache"):
        fetch(card, say=quiet)


def test_two_at_once_both_end_well(card, server, cache):
    threads = [
        threading.Thread(target=fetch, args=(card,), kwargs={"say": quiet})
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(server.asked) == 1
    assert len(load(card).cells) == 2


def test_what_to_type_names_the_card_as_it_was_typed(npz_card, cache, monkeypatch):
    card = npz_card(arrays())
    (cache / "small" / "small.npz").unlink()
    monkeypatch.chdir(cache)
    with pytest.raises(MissingData, match="`retina fetch ./small.toml --from PATH`"):
        load("./small.toml")
    with pytest.raises(MissingData, match=f"`retina fetch {card} --from PATH`"):
        fetch(card, say=lambda line: None)
    (cache / "small" / "small.npz").write_bytes(b"cut")
    with pytest.raises(ChecksumMismatch, match="`retina fetch small.toml`"):
        load("small.toml")
    # A name with a space is one word of the shell.
    folder = cache / "my lab"
    folder.mkdir()
    card.rename(folder / "small.toml")
    with pytest.raises(ChecksumMismatch, match="`retina fetch 'my lab/small.toml'`"):
        load("my lab/small.toml")


def addresses(card: Path, server, *ways: str) -> None:
    """The card's file at /way/small.npz of the server: the first, then its mirrors."""
    base = f"http://127.0.0.1:{server.server_address[1]}"
    first, *others = [f"{base}/{way}small.npz" for way in ways]
    lines = [
        f'url = "{first}"\nmirrors = {others}' if line.startswith("url") else line
        for line in card.read_text().splitlines()
        if not line.startswith("mirrors")
    ]
    card.write_text("\n".join(lines))


@pytest.mark.parametrize("bad", ["nowhere/", "stall/", "cut/", "moved/nowhere/"])
def test_another_address_is_tried(card, server, bad):
    addresses(card, server, bad, "moved/")
    lines = []
    fetch(card, patience_s=0.3, say=lines.append)
    assert [path for path, _ in server.asked][-1] == "/small.npz"
    assert sum("trying the next address" in line for line in lines) == 1
    assert len(load(card).cells) == 2


def test_a_corrupt_copy_is_refused_and_the_next_address_tried(card, server):
    whole = (server.folder / "small.npz").read_bytes()
    (server.folder / "bad").mkdir()
    wrong = whole[:500] + bytes([whole[500] ^ 1]) + whole[501:]
    (server.folder / "bad" / "small.npz").write_bytes(wrong)
    addresses(card, server, "bad/", "")
    fetch(card, say=quiet)
    assert len(load(card).cells) == 2


@pytest.mark.parametrize(
    ("way", "why"),
    [("stall/", "timed out"), ("moved/moved/", "redirects"), ("nowhere/", "404")],
)
def test_a_server_that_never_answers_well_says_what_to_type(card, server, way, why):
    if way == "moved/moved/":  # round in a circle
        base = f"http://127.0.0.1:{server.server_address[1]}"
        lines = card.read_text().splitlines()
        lines = [f'url = "{base}/moved/"' if x.startswith("url") else x for x in lines]
        card.write_text("\n".join(lines))
    else:
        addresses(card, server, way)
    with pytest.raises(MissingData, match=f"{why}.*retina fetch {card}"):
        fetch(card, patience_s=0.3, say=quiet)


def test_other_addresses_are_no_other_recording(card, server):
    before = digest(read(card))
    addresses(card, server, "", "moved/")
    assert read(card).files[0].mirrors
    assert digest(read(card)) == before


@pytest.mark.parametrize("inside", ["", "small/", "deposit-1.0/data/"])
def test_from_a_zip_file(card, server, tmp_path, inside):
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.write(server.folder / "small.npz", f"{inside}small.npz")
        archive.writestr("../outside.txt", "never unpacked")
    fetch(card, source=tmp_path / "all.zip", say=quiet)
    assert not server.asked
    assert len(load(card).cells) == 2
    assert not list(tmp_path.rglob("outside.txt"))


def test_from_a_zip_file_without_the_file_or_with_a_wrong_one(card, tmp_path):
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("other.npz", "x")
    with pytest.raises(MissingData, match=r"all\.zip holds no small\.npz"):
        fetch(card, source=tmp_path / "all.zip", say=quiet)
    with zipfile.ZipFile(tmp_path / "all.zip", "a") as archive:
        archive.writestr("small.npz", "x")
    with pytest.raises(ChecksumMismatch, match="nothing was replaced"):
        fetch(card, source=tmp_path / "all.zip", say=quiet)


def test_offline_only_looks(card, server, cache):
    with pytest.raises(MissingData, match=rf"small\.npz not whole.*fetch {card}"):
        fetch(card, offline=True, say=quiet)
    assert not server.asked and not (cache / "small").exists()
    fetch(card, say=quiet)
    assert fetch(card, offline=True, say=quiet) == cache / "small"
    assert len(server.asked) == 1
    with pytest.raises(BadSetting, match="leave `--from` out"):
        fetch(card, offline=True, source=cache, say=quiet)
