"""What `retina sweep` prints and keeps of mechanisms and their positive controls."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from retina import store

ASKED = """
question = "Does the stimulus matter to tiny cells?"
command = "retina sweep asked"
time = "10 s"
datasets = ["tiny"]
metrics = ["cc_norm", "bits_per_spike"]
x = "flops_per_spike"

[[families]]
model = "ln"
set = { lags = 6, basis = 4, rank = 1 }
fit = { max_steps = 20 }

[[families]]
model = "mean"
against = "ln lags=6 basis=4 rank=1"
mechanism = "removed"
control = true

[[families]]
model = "ln"
set = { lags = 6, basis = 4, rank = 1 }
fit = { max_steps = 20 }
seeds = 2
spikes_of = "ln lags=6 basis=4 rank=1"
"""


@pytest.mark.slow
def test_a_mechanism_and_its_control_are_printed_and_kept(retina, tmp_path):
    folder = tmp_path / "asked"
    folder.mkdir()
    (folder / "experiment.toml").write_text(ASKED)
    done = retina("sweep", folder, "--out", "runs")
    assert done.status == 0, done.err
    (line,) = (line for line in done.out.splitlines() if line.endswith(" buys"))
    assert line.startswith("ln lags=6 basis=4 rank=1") and " mean " in line
    kept = json.loads(Path("runs/result.json").read_text())
    assert len(kept["points"]) == 2 and len(kept["controls"]) == 3
    (row,) = kept["effects"]
    assert (row["dataset"], row["group"], row["verdict"]) == ("tiny", "frozen", "buys")
    # The cells are an ln themselves, so the control gains what the recording did.
    found, control = row["recording"], row["control"]
    assert control["ci95"][0] < found["median"] < control["ci95"][1]
    ends = (found["ci95"], control["ci95"])
    assert row["smallest"] == max((high - low) / 2 for low, high in ends)

    told = json.loads(retina("sweep", folder, "--out", "runs", "--json").out)
    assert told["skipped"] == 5 and told["effects"] == kept["effects"]
    spoken = next(row["run"] for row in kept["controls"] if row["model"] == "ln")
    folder = Path("runs/controls") / spoken
    scored = retina("score", folder)
    assert scored.status == 1 and "was fitted to spikes of ln-" in scored.err
    probed = json.loads(retina("probe", folder, "recovery", "--json").out)
    assert len(probed["starts"]) == 2 and probed["reached"]
    # What was sampled for the fit is what is sampled for the probe, bit for bit.
    record = store.read(folder)
    best = max(start["validation_bits"] for start in probed["starts"])
    assert best == pytest.approx(record["validation"]["median"], abs=1e-6)
    mean = next(row["run"] for row in kept["controls"] if row["model"] == "mean")
    refused = retina("probe", Path("runs/controls") / mean, "recovery")
    assert refused.status == 1 and "another model than ln-" in refused.err
    front = retina("frontier", "runs", "--x", "flops_per_spike", "--json")
    assert len(json.loads(front.out)["points"]) == 2
