"""A tiny recording on $RETINA_PATH, and the command line as a person uses it."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

CHECKOUT = Path(__file__).parent.parent.parent
FRAMES = 4000
QUICK = "lags=6", "basis=4", "rank=1"

CARD = """
name = "tiny"
title = "Two made-up cells that follow a full-field flicker"
species = "simulated"
citation = "made by the tests"
licence = "Apache-2.0"
source = "tests/cli/conftest.py"
reader = "npz"
frame_s = 0.02
stimulus_unit = "contrast"
lead = 10
cell_count = 2

[options]
file = "tiny.npz"

[[splits]]
role = "train"
frames = [10, 3000]

[[splits]]
role = "validation"
frames = [3010, 3400]

[[splits]]
role = "test"
group = "frozen"
part = "frozen"
frames = [10, 400]

[[files]]
path = "tiny.npz"
bytes = BYTES
sha256 = "SUM"
"""

EXPERIMENT = """
question = "Does the stimulus matter to tiny cells?"
command = "retina sweep asks"
time = "10 s"
datasets = ["tiny"]
metrics = ["cc_norm", "bits_per_spike"]
x = "flops_per_spike"

[[families]]
model = "mean"

[[families]]
model = "ln"
set = { lags = 6, basis = 4, rank = 1 }
fit = { max_steps = 20 }
"""


class Done(NamedTuple):
    status: int
    out: str
    err: str


class Desk(NamedTuple):
    """A working folder with its environment."""

    folder: Path
    environment: dict[str, str]

    def start(self, *words: object, first: str = "") -> subprocess.Popen:
        command = f"{first}\nfrom retina.cli.main import run; run()"
        return subprocess.Popen(
            [sys.executable, "-c", command, *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            env=self.environment,
        )

    def retina(self, *words: object) -> Done:
        """The command in a process of its own."""
        process = self.start(*words)
        out, err = process.communicate(timeout=300)
        assert "Traceback" not in err, err
        return Done(process.returncode, out, err)


def _write(folder: Path) -> None:
    import hashlib

    rng = np.random.default_rng(0)
    kernel = np.array([0.0, 1.0, 0.6, -0.5, -0.2])

    def part(frames: int, trials: int):
        stimulus = rng.normal(size=frames).astype(np.float32)
        drive = np.convolve(stimulus, kernel)[:frames]
        rate = 0.4 * np.logaddexp(0, np.stack([drive, -drive], axis=1) * 1.5)
        return stimulus, rng.poisson(rate, (trials, frames, 2)).astype(np.uint8)

    stimulus, counts = part(FRAMES, 1)
    frozen, repeats = part(400, 12)
    (folder / "tiny").mkdir(parents=True)
    file = folder / "tiny" / "tiny.npz"
    arrays = {
        "stimulus": stimulus,
        "counts": counts,
        "count_s": 0.02,
        "frozen.stimulus": frozen,
        "frozen.counts": repeats,
        "frozen.count_s": 0.02,
    }
    np.savez(file, **arrays)
    data = file.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    card = CARD.replace("BYTES", str(len(data))).replace("SUM", digest)
    (folder / "tiny.toml").write_text(card)
    (folder / "asks").mkdir()
    (folder / "asks" / "experiment.toml").write_text(EXPERIMENT)
    (folder / "asks" / "README.md").write_text("Does it? `retina sweep asks`\n")


@pytest.fixture(scope="session")
def lab(tmp_path_factory) -> Path:
    """A folder that is both $RETINA_PATH and $RETINA_CACHE."""
    folder = tmp_path_factory.mktemp("lab")
    _write(folder)
    return folder


@pytest.fixture
def desk(lab: Path, tmp_path: Path) -> Desk:
    return Desk(
        tmp_path,
        os.environ
        | {
            "PYTHONPATH": str(CHECKOUT),
            "RETINA_PATH": str(lab),
            "RETINA_CACHE": str(lab),
            "JAX_PLATFORMS": "cpu",
        },
    )


@functools.cache
def _parsers(app):
    from typer.main import get_command

    return get_command(app)


def _command(lab: Path, place: Path, monkeypatch) -> Callable[..., Done]:
    from typer import testing

    from retina.cli.main import app

    # Typer makes its parsers anew in each call, which takes longer than the command.
    monkeypatch.setattr(testing, "_get_command", _parsers)
    monkeypatch.setenv("RETINA_PATH", str(lab))
    monkeypatch.setenv("RETINA_CACHE", str(lab))
    monkeypatch.chdir(place)

    def run(*words: object) -> Done:
        result = testing.CliRunner().invoke(app, [str(word) for word in words])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Done(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture
def retina(lab: Path, tmp_path: Path, monkeypatch) -> Callable[..., Done]:
    """The command in this process: quick, as everything is imported once."""
    return _command(lab, tmp_path, monkeypatch)


@pytest.fixture(scope="session")
def _fitted(lab: Path, tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("fitted")
    sets = [word for one in QUICK for word in ("--set", one)]
    with pytest.MonkeyPatch.context() as patched:
        done = _command(lab, place, patched)("fit", "tiny", "ln", *sets, "--out", "run")
    assert done.status == 0, done.err
    return place / "run"


@pytest.fixture
def run_of_ln(_fitted: Path, tmp_path: Path) -> None:
    """A folder `run`, of `retina fit tiny ln` with QUICK, which is made once."""
    shutil.copytree(_fitted, tmp_path / "run")
