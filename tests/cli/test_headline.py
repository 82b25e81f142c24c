"""What `retina sweep` says of how far down, on two recordings of one data set."""

from __future__ import annotations

import json
from pathlib import Path

ASKED = """
question = "How far down?"
command = "retina sweep asked"
time = "10 s"
datasets = ["tiny", "tiny:1"]
metrics = ["cc_norm", "feve", "bits_per_spike"]
x = "flops_per_spike"
within = 0.05

[budgets."tiny:1"]
without = { lookup_table = "one cell is too few" }

[profiles.short]
time = "1 s"
datasets = ["tiny:1"]

[[families]]
model = "mean"

[[families]]
model = "lookup_table"
set = { lags = 6 }
"""


def test_the_answer_is_printed_and_kept_with_tables_and_one_page(retina, tmp_path):
    folder = tmp_path / "asked"
    folder.mkdir()
    (folder / "experiment.toml").write_text(ASKED)
    done = retina("sweep", folder, "--out", "runs")
    assert done.status == 0, done.err
    said = [line for line in done.out.splitlines() if line.startswith("tiny, frozen: ")]
    assert "none is cheaper than lookup_table lags=6 itself" in said[0]
    assert [line.split(" of the ex")[0][-4:] for line in said[2:]] == [
        "50 %",
        "70 %",
        "80 %",
        "90 %",
    ]
    kept = json.loads(Path("runs/result.json").read_text())
    rows = [row for row in kept["headlines"] if row["recording"] == "tiny"]
    assert rows[0]["cheapest_label"] == "lookup_table lags=6"
    assert [row["recording"] for row in kept["points"]] == ["tiny"] * 2 + ["tiny:1"]
    table = Path("runs/table.md").read_text()
    assert table.count("**`lookup_table lags=6`**") == 1
    assert "- tiny:1: `lookup_table lags=6`: one cell is too few" in table
    assert Path("runs/figure.svg").read_text().count("What accuracy costs") == 2
    short = json.loads(
        retina("sweep", folder, "--profile", "short", "--dry-run", "--json").out
    )
    assert [(row["job"], row["dataset"]) for row in short] == [("mean", "tiny:1")]
    wrong = retina("sweep", folder, "--profile", "shirt")
    assert wrong.status == 1 and "did you mean 'short'" in wrong.err
