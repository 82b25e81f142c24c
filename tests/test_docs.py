"""The tutorial, followed to the letter: every block, in its order."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from retina.cli.main import app
from retina.data.load import load
from retina.search import experiment as experiments
from retina.search import grid

DOCS = Path(__file__).parents[1] / "docs"
TUTORIAL, SWEEPS = DOCS / "your_own_recording.md", DOCS / "sweeps.md"


def blocks(file: Path = TUTORIAL) -> list[tuple[str, str]]:
    text = file.read_text(encoding="utf-8")
    return re.findall(r"```(\w+)\n(.*?)```", text, flags=re.DOTALL)


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fill_in(card: Path, lines: str) -> None:
    """Each line in the place of the one that begins alike; a new one at the top."""
    own = card.read_text(encoding="utf-8").splitlines()
    for line in filter(None, lines.splitlines()):
        key = line.split(" = ")[0]
        at = [i for i, other in enumerate(own) if other.startswith(f"{key} = ")]
        if at:
            own[at[0]] = line
        else:
            own.insert(own.index('reader = "hdf5"'), line)
    card.write_text("\n".join(own) + "\n", encoding="utf-8")


def test_the_tutorial_runs_as_it_stands(folder):
    said = {}
    for kind, text in blocks():
        if kind == "python":
            exec(compile(text, str(TUTORIAL), "exec"), {})
        elif kind == "toml":
            fill_in(folder / "monday.toml", text)
        else:
            assert kind == "sh"
            for line in text.strip().splitlines():
                word, *arguments = shlex.split(line)
                assert word == "retina"
                done = CliRunner().invoke(app, arguments)
                assert done.exit_code == 0, f"{line}\n{done.output}\n{done.exception}"
                said.setdefault(arguments[0], done.output)
    # The six that the tutorial fills in; it has nothing else to look at but what is so.
    assert "6 blanks to fill in" in said["new"]
    assert "wrong" not in said["check"] and "CC_max" in said["check"]
    assert "cc_norm" in said["score"] and "FLOP" in said["cost"]
    assert (folder / "monday.html").is_file() and (folder / "shared.toml").is_file()
    made = load(folder / "tuesday.toml")
    (test,) = made.role("test")
    assert (test.trials, len(test.stimulus), len(made.cells)) == (12, 300, 2)
    assert made.frame_s == pytest.approx(1 / 30, rel=0.01)


def test_the_file_for_slurm_asks_for_one_gpu_and_one_job_at_a_time():
    pytest.importorskip("dask_jobqueue")
    ((_, text),) = [block for block in blocks(SWEEPS) if block[0] == "python"]
    made: dict[str, Any] = {"__name__": "not main"}
    assert '"port": 8786' in text
    text = text.replace('"port": 8786', '"port": 0, "host": "127.0.0.1"')
    exec(compile(text, str(SWEEPS), "exec"), made)
    with made["cluster"] as cluster:
        script = cluster.job_script().splitlines()
    for line in ("-p gpu", "--cpus-per-task=4", "-t 12:00:00", "--gres=gpu:1"):
        assert f"#SBATCH {line}" in script
    (command,) = [line for line in script if "dask_worker" in line]
    assert " --nthreads 1 " in command and command.endswith("--resources GPU=1")


def test_the_spaces_of_the_docs_are_jobs(tmp_path):
    head = """
question = "Which?"
command = "none"
time = "none"
"""
    found = []
    for kind, text in blocks(SWEEPS):
        if kind == "toml":
            if "datasets" not in text:
                text = 'datasets = ["simulated"]\n' + text
            if "families" not in text:
                text += '[[families]]\nmodel = "ln"\nspace = { rank = [1, 2] }\n'
            (tmp_path / "experiment.toml").write_text(head + text, encoding="utf-8")
            experiment = experiments.read(tmp_path)
            known = {job.label for job in grid.jobs(experiment)}
            found.append((experiment.search.method, known))
    (_, whole), (_, reduced), (_, started), (halving, _), (_, budgeted) = found
    assert len(whole) == 7 * 3 * 2
    assert "quantise kind=int4 of channels keep=0.5 of cnn channels=16" in reduced
    assert "circuit contrast_gain=true from circuit" in started
    assert halving == "halving"
    assert len(budgeted) == 2
