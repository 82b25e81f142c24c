"""`retina new`: each template passes the contract of its kind as it is written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from retina.cli.new import TEMPLATES

CHECKOUT = Path(__file__).parent.parent.parent


SUITES = {
    "model": "test_models.py",
    "metric": "test_metrics.py",
    "reduction": "test_reductions.py",
    "dataset": "test_cards.py",
    "experiment": "test_experiments.py",
}


@pytest.mark.slow
def test_what_is_new_passes_the_contract_of_its_kind(retina, tmp_path):
    """Functions as another package would offer them, by entry points."""
    points = ""
    for kind in SUITES:
        done = retina("new", kind, f"lab_{kind}")
        assert done.status == 0, done.err
        if kind not in ("dataset", "experiment"):
            assert f"wrote lab_{kind}.py" in done.out
            assert "template" not in (tmp_path / f"lab_{kind}.py").read_text()
            points += f"[retina.{kind}s]\nlab_{kind} = lab_{kind}:lab_{kind}\n"
    info = tmp_path / "lab-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lab\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(points)
    suites = [f"tests/contract/{suite}" for suite in SUITES.values()]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rA", *suites, "-k", "lab_"],
        capture_output=True,
        text=True,
        cwd=CHECKOUT,
        env=os.environ
        | {
            "PYTHONPATH": os.pathsep.join([str(tmp_path), str(CHECKOUT)]),
            "RETINA_PATH": str(tmp_path),
        },
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for kind, suite in SUITES.items():
        passed = [
            line
            for line in done.stdout.splitlines()
            if line.startswith(f"PASSED tests/contract/{suite}")
            and f"lab_{kind}" in line
        ]
        assert passed, f"no test of {suite} bears the name of the {kind}"


def test_a_new_data_set_works_once_its_file_is_there(retina, tmp_path):
    retina("new", "dataset", "lab_made")
    missing = retina("check", "lab_made.toml")
    assert missing.status == 1 and "lab_made.npz" in missing.out
    rng = np.random.default_rng(0)
    stimulus = rng.normal(size=10000)
    counts = rng.poisson(0.3, (1, 10000, 1))
    np.savez("lab_made.npz", stimulus=stimulus, counts=counts, count_s=1 / 30)
    found = retina("check", "lab_made.toml").out
    assert 'sha256 = "' in found, "says what to write into the card"
    assert retina("fit", "lab_made.toml", "mean", "--out", "run").status == 0


@pytest.mark.slow
def test_a_new_experiment_can_be_rehearsed(retina):
    retina("new", "experiment", "lab_made")
    done = retina("sweep", "lab_made", "--dry-run")
    assert done.status == 0, done.err
    assert "ln" in done.out


@pytest.mark.parametrize("kind", sorted(TEMPLATES))
def test_in_a_checkout_it_goes_where_it_is_found(retina, tmp_path, kind):
    for folder in ("retina/models", "retina/metrics", "datasets", "experiments"):
        (tmp_path / folder).mkdir(parents=True)
    retina("new", kind, "lab_made")
    wanted = {
        "dataset": "datasets/lab_made.toml",
        "model": "retina/models/lab_made.py",
        "metric": "retina/metrics/lab_made.py",
        "reduction": "retina/reduction/lab_made.py",
        "experiment": "experiments/lab_made/experiment.toml",
    }
    assert (tmp_path / wanted[kind]).is_file()


@pytest.mark.parametrize("kind", sorted(TEMPLATES))
def test_nothing_is_overwritten(retina, tmp_path, kind):
    retina("new", kind, "lab_made")
    files = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    done = retina("new", kind, "lab_made")
    assert done.status == 1 and "exists" in done.err
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == files
