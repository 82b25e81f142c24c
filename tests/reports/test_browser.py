"""Pages and figures in a real browser, where Chromium is installed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from retina.reports.check_page import check_page

from .test_check_page import card  # noqa: F401

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]
FIGURES = sorted((Path(__file__).parents[2] / "experiments").glob("*/*.svg"))
MEASURE = """<script>addEventListener("load", () => {
  const images = [...document.images].map(i => [i.naturalWidth, i.naturalHeight]);
  const wide = document.documentElement.scrollWidth > innerWidth;
  const told = document.createElement("pre");
  told.id = "told";
  told.textContent = JSON.stringify({images, wide, words: document.body.innerText});
  document.body.append(told);
})</script>"""


def rendered(page: Path, folder: Path) -> dict:
    """What a browser makes of a page: its images' sizes, its words, whether it fits."""
    copy = page.with_name("measured.html")
    copy.write_text(page.read_text(encoding="utf-8") + MEASURE, encoding="utf-8")
    assert CHROMIUM is not None
    options = "--headless --no-sandbox --disable-gpu --window-size=1000,800 --dump-dom"
    done = subprocess.run(
        [
            *(CHROMIUM, *options.split()),
            f"--user-data-dir={folder / 'profile'}",
            copy.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    found = re.search(r'<pre id="told">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found, done.stderr
    return json.loads(found[1].replace("&lt;", "<").replace("&amp;", "&"))


def test_the_page_of_a_check_shows_every_cell(card, tmp_path):  # noqa: F811
    seen = rendered(check_page(card, [], tmp_path / "tiny.html"), tmp_path)
    assert len(seen["images"]) == 12
    assert all(wide > 300 and high > 100 for wide, high in seen["images"])
    assert not seen["wide"], "nobody has to scroll sideways"
    for word in ("tiny", "Findings", "cell 12"):
        assert word in seen["words"]


def test_every_figure_of_an_experiment_is_drawn(tmp_path):
    page = tmp_path / "figures.html"
    images = "".join(f'<img src="{figure.as_uri()}">' for figure in FIGURES)
    page.write_text(f"<!doctype html><body>{images}", encoding="utf-8")
    seen = rendered(page, tmp_path)
    assert len(seen["images"]) == len(FIGURES) > 0
    assert all(wide > 300 and high > 200 for wide, high in seen["images"])
