"""The page of `retina check --html`: whole, well formed, and of every cell."""

from __future__ import annotations

import base64
import dataclasses
import html.parser

import pytest

from retina.data.check import check
from retina.data.quality.fields import Field
from retina.errors import BadSetting
from retina.reports.check_page import check_page


class Page(html.parser.HTMLParser):
    """Tags that are open, words that are seen, and the sources of images."""

    EMPTY = ("meta", "br", "img")

    def __init__(self, text: str):
        super().__init__()
        self.open, self.words, self.images = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag == "img":
            self.images.append(dict(attrs))
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture(scope="module")
def card(tmp_path_factory):
    """The simulated retina, a few seconds of it."""
    path = tmp_path_factory.mktemp("page") / "tiny.toml"
    path.write_text(
        """
name = "tiny"
title = "a <small> recording"
species = "simulated"
citation = "none"
licence = "Apache-2.0"
source = "here"
reader = "simulated"
coding = "contrast"
frame_s = 0.03333333333333333
lead = 30
cell_count = 12
stimulus_unit = "contrast, -1 or 1"
pixel_um = 50
options = { train_blocks = 1, validation_blocks = 1, running_blocks = 1, block_s = 20, \
frozen_s = 4, repeats = 3 }
splits = [
    { role = "train", part = "training", frames = [30, 600] },
    { role = "validation", part = "validation", frames = [30, 600] },
    { role = "test", part = "frozen", frames = [30, 120], group = "frozen" },
]
""",
        encoding="utf-8",
    )
    return path


def test_every_finding_and_every_cell_is_on_the_page(card, tmp_path, monkeypatch):
    # A recording of seconds has no fields.
    place = Field(2, (3.0, 4.0), (2.0, 1.5), 0.0, 0.1, 0.9)
    monkeypatch.setattr(
        "retina.reports.check_page.field",
        lambda average, um: dataclasses.replace(place, pixel_um=um),
    )
    findings = check(card)
    drawn = []
    path = check_page(
        card, findings, tmp_path / "tiny.html", progress=lambda *at: drawn.append(at)
    )
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert page.open == []
    assert all(finding.text in page.words for finding in findings)
    assert drawn[-1] == (12, 12) and len(page.images) == 12
    # Lengths on the retina, because the card says how large a pixel is.
    assert any(
        "s.d. 2.0 and 1.5 pixels, 100 and 75 um" in words for words in page.words
    )
    for image in page.images:
        kind, data = image["src"].split(",", 1)
        assert kind == "data:image/png;base64"
        assert base64.b64decode(data).startswith(b"\x89PNG")
    # It is one file: nothing is loaded from elsewhere.
    assert "http" not in text and "<script" not in text


def test_without_its_files_the_page_says_what_to_type(npz_missing, tmp_path):
    path = check_page(npz_missing, check(npz_missing), tmp_path / "lost.html")
    page = Page(path.read_text(encoding="utf-8"))
    assert not page.images
    assert any("retina fetch" in words for words in page.words)


@pytest.fixture
def npz_missing(card, monkeypatch, tmp_path):
    monkeypatch.setenv("RETINA_CACHE", str(tmp_path))
    text = card.read_text(encoding="utf-8").replace('"tiny"', '"lost"')
    text = text.replace('reader = "simulated"', 'reader = "npz"')
    kept = [line for line in text.splitlines() if "options =" not in line]
    kept = [line for line in kept if not line.startswith("frozen_s")]
    kept += ['options = { file = "lost.npz" }', 'files = [{ path = "lost.npz" }]']
    path = tmp_path / "lost.toml"
    path.write_text("\n".join(kept), encoding="utf-8")
    return path


def test_another_ending_is_refused(tmp_path):
    with pytest.raises(BadSetting, match=r"page\.pdf: a page ends in \.html"):
        check_page("simulated", [], tmp_path / "page.pdf")
