"""Every benchmark runs at a tiny size without peers; nothing here is about time."""

from __future__ import annotations

import importlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import glm, inputs, reports, side_by_side, table, worker
from benchmarks.side_by_side import Contender

pytestmark = [pytest.mark.slow, pytest.mark.fast_code]

FOLDER = Path(side_by_side.__file__).parent
ALONE = {  # contenders that run without peers
    "checkpoints": 4,
    "circuit": 1,
    "cnn_step": 1,
    "converged": 1,
    "core_readout_step": 1,
    "dispatch": 4,
    "glm": 1,
    "imports": 3,
    "ln_cells": 2,
    "lnk_forward": 2,
    "lnk_gradient": 2,
    "streaming": 4,
    "sweep": 7,
    "whole_fit": 1,
}


WORKER = """
from benchmarks.worker import Work

def work(settings):
    def step():
        if settings["loss"] < 0:
            raise ValueError("a loss below zero")
        return {"loss": settings["loss"], "spent_s": settings.get("spent_s", 2.0)}

    return Work(step, {"nothing": "1"})
"""


def test_no_benchmark_is_left_out():
    runnable = {
        path.stem
        for path in FOLDER.glob("*.py")
        if "def main(arguments" in path.read_text(encoding="utf-8")
    }
    assert runnable - {"table"} == set(ALONE)  # which makes no measurement


@pytest.mark.parametrize("name", ALONE)
def test_it_runs_small(name: str, tmp_path: Path, capsys):
    main = importlib.import_module(f"benchmarks.{name}").main
    report = main(["--small", "--rounds", "1", "--results", str(tmp_path)])
    part = ".partial" if report.get("left_out") else ""  # the peers
    assert json.loads((tmp_path / f"{name}{part}.json").read_text()) == report
    assert len(report["contenders"]) == ALONE[name]
    for who in report["contenders"]:
        assert not who["failed"]
        assert who["versions"] and len(who["seconds"]) == 1
        assert who.get("equal_work", True)
        # What a sweep adds to a job has nothing beside it.
        if who["arrived"] and not who["name"].startswith("a job, "):
            assert who["ratios"] and who["ratio"] is not None
    assert report["machine"]["cores"] and report["command"].endswith(str(tmp_path))
    assert f"### {name}" in table.markdown(report)
    assert f"Load {report['load']['begin']:.1f} at the start" in table.markdown(report)


def test_steps_of_one_loss_are_recognised_as_equal_work(tmp_path: Path, monkeypatch):
    told = {
        who["name"]: who for who in raced(tmp_path, monkeypatch, [1.0, 1.0 + 1e-6, 1.1])
    }
    assert told["b"]["equal_work"] and not told["c"]["equal_work"]
    assert told["b"]["met"] is not None and told["a"]["met"] is None


def test_a_peer_that_fails_says_why_and_the_others_go_on(tmp_path: Path, monkeypatch):
    rows = raced(tmp_path, monkeypatch, [1.0, -1.0])
    assert rows[1]["failed"] == "ValueError: a loss below zero"
    assert rows[0]["ratio"] == 1.0
    assert "failed: ValueError" in table.cells({"contenders": rows})[1][2]


def test_what_never_arrives_is_marked(tmp_path: Path, monkeypatch):
    rows = raced(
        tmp_path, monkeypatch, [1.0, 1.0], judge=lambda told: {"a": 0.5, "b": None}
    )
    assert rows[1]["ratio"] == 4.0 and not rows[1]["arrived"]
    assert table.cells({"contenders": rows})[1][6] == "> 4.00"


def test_the_optimum_of_a_regression_is_one():
    drawn = inputs.regression({"bins": 3000, "features": 4, "cells": 2})
    best = glm.optimum(drawn["x"], drawn["y"])
    assert best["left"] < glm.GAP / 100
    # Rates fitted with a free bias have the mean of the counts, so any other constant
    # rate is worse; and so is no weight at all.
    mean = drawn["y"].mean(0, dtype=np.float64)
    assert np.all(np.array(best["losses"]) < mean - mean * np.log(mean))


def test_one_contender_beside_ours_is_no_whole_result(tmp_path: Path, monkeypatch):
    rows = raced(tmp_path, monkeypatch, [1.0, 1.0, 1.0], more=["--only", "C"])
    assert [row["name"] for row in rows] == ["a", "c"]
    assert not (tmp_path / "nothing.json").exists()
    told = table.markdown(json.loads((tmp_path / "nothing.partial.json").read_text()))
    assert "### nothing, in part" in told and "Left out of this run: b." in told
    with pytest.raises(SystemExit, match="--only d: in no name of these: a; b"):
        raced(tmp_path, monkeypatch, [1.0, 1.0], more=["--only", "d"])


def test_a_limit_may_follow_from_ours(tmp_path: Path, monkeypatch):
    rows = raced(
        tmp_path,
        monkeypatch,
        [1.0, 1.0],
        judge=lambda told: {"a": told["a"]["spent_s"], "b": None},
        allow=lambda ours: {"spent_s": 1.1 * 2 * ours["spent_s"]},
    )
    assert rows[0]["seconds"] == [2.0, 2.0]
    assert not rows[1]["arrived"] and rows[1]["met"]  # past twice ours, and not there


def test_a_busy_machine_is_told():
    report = {"name": "nothing", "contenders": [], "load": {"begin": 1.2, "end": 0.1}}
    assert "NOT A QUIET MACHINE" in table.remarks(report)[-1]
    report["load"]["begin"] = 0.9
    assert "QUIET" not in table.remarks(report)[-1]


def test_only_what_a_race_keeps_is_forgotten(tmp_path: Path, monkeypatch):
    """Not what whoever calls has JAX keep."""
    theirs, kept = tmp_path / "theirs", tmp_path / "kept"
    for folder in (theirs, kept):
        (folder / "kernels").mkdir(parents=True)  # as XLA does on a GPU
        (folder / "one-cache").touch()
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(theirs))
    worker.forget()
    for peer in (True, False):
        said = side_by_side.compiling(kept, Contender("c", "m:f", peer))
        assert said["JAX_COMPILATION_CACHE_DIR"] == ("" if peer else str(kept))
        with monkeypatch.context() as patch:
            for name, value in said.items():
                patch.setenv(name, value)
            worker.forget()
        assert len([*theirs.iterdir()]) == 2
        assert len([*kept.iterdir()]) == (2 if peer else 0)


def raced(
    folder: Path, monkeypatch, losses: list[float], judge=None, more=(), **race
) -> list[dict[str, Any]]:
    """A race of workers that do nothing but tell the loss they were given."""
    (folder / "told_loss.py").write_text(WORKER)
    paths = [str(folder), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    contenders = [
        Contender(name, "told_loss:work", settings={"loss": loss}, reach=reach)
        for name, loss, reach in zip("abc", losses, (None, 2.0, 2.0), strict=False)
    ]
    asked = ["--rounds", "2", "--results", str(folder), *more]
    chosen = reports.parsed(reports.options("Nothing."), asked)
    return side_by_side.race("nothing", contenders, {}, chosen, judge=judge, **race)[
        "contenders"
    ]
