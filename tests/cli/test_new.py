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


def _contract(suite: str, name: str, **environment: str) -> None:
    """Runs the tests of a contract suite that bear the name; there must be some."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", f"tests/contract/{suite}", "-k", name],
        capture_output=True,
        text=True,
        cwd=CHECKOUT,
        env=os.environ | environment,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


def _installed(folder: Path, kind: str, name: str) -> dict[str, str]:
    """The template as another package would offer it: by an entry point."""
    info = folder / "lab-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lab\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[retina.{kind}]\n{name} = {name}:{name}\n")
    return {"PYTHONPATH": os.pathsep.join([str(folder), str(CHECKOUT)])}


@pytest.mark.parametrize("kind", ["model", "metric", "reduction"])
def test_a_new_function_passes_its_contract(retina, tmp_path, kind):
    done = retina("new", kind, "lab_made")
    assert done.status == 0 and "wrote lab_made.py" in done.out
    assert "template" not in (tmp_path / "lab_made.py").read_text()
    _contract(
        f"test_{kind}s.py", "lab_made", **_installed(tmp_path, kind + "s", "lab_made")
    )


@pytest.mark.parametrize(
    ("kind", "suite"),
    [("dataset", "test_cards.py"), ("experiment", "test_experiments.py")],
)
def test_a_new_folder_or_card_passes_its_contract(retina, tmp_path, kind, suite):
    assert retina("new", kind, "lab_made").status == 0
    _contract(suite, "lab_made", RETINA_PATH=str(tmp_path))


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
