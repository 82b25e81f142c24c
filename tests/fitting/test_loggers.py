"""Where the curve is told: lines that a resumed fit replaces, and other people's tools.

The tools are tested where they are installed; without one, `--log` says what to type.
"""

from __future__ import annotations

import importlib
import json
import os
import struct
import sys
from pathlib import Path

import pytest

from retina import registry
from retina.errors import BadSetting, MissingExtra, UnwritableFolder
from retina.fitting.loggers.jsonl import jsonl

ABOUT = {"model": "ln", "settings": {"lags": 6}, "fit": {}}
EXTRAS = {"tensorboard": "tensorboardX", "wandb": "wandb", "mlflow": "mlflow"}


def _row(step: int, validation=(0.25, 0.5)) -> dict:
    return {
        "step": step,
        "seconds": 1.5 * step,
        "train_loss": float("nan") if step == 0 else 1 + 1 / step,
        "validation": list(validation),
        "rate": None,
        "steps_per_s": 40.0 if step else None,
    }


def _lines(folder: Path) -> list[dict]:
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_a_line_holds_what_was_told_and_null_for_what_is_no_number(tmp_path):
    with jsonl(tmp_path, ABOUT) as log:
        log(_row(0, validation=(float("-inf"), 0.5)))
        log(_row(40))
    first, second = _lines(tmp_path)
    assert first["train_loss"] is None and first["validation"] == [None, 0.5]
    assert second == _row(40)


def test_a_fit_that_goes_on_replaces_what_came_after_its_checkpoint(tmp_path):
    """Also a line that a kill cut in two."""
    with jsonl(tmp_path, ABOUT) as log:
        for step in (0, 40, 80):
            log(_row(step, validation=(0.0, 0.0)))
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 120, "seco')
    with jsonl(tmp_path, ABOUT) as log:
        pass
    assert (tmp_path / "metrics.jsonl").read_text().endswith("seco")
    with jsonl(tmp_path, ABOUT) as log:
        log(_row(80))
        log(_row(120))
    assert [line["step"] for line in _lines(tmp_path)] == [0, 40, 80, 120]
    assert _lines(tmp_path)[2:] == [_row(80), _row(120)]


def test_of_fits_in_a_row_those_that_were_over_keep_their_lines(tmp_path):
    with jsonl(tmp_path, ABOUT) as log:
        for part, step in ((0, 0), (0, 80), (1, 0), (1, 40)):
            log(_row(step) | {"part": part})
    with jsonl(tmp_path, ABOUT) as log:
        log(_row(40) | {"part": 1})
    found = [(line["part"], line["step"]) for line in _lines(tmp_path)]
    assert found == [(0, 0), (0, 80), (1, 0), (1, 40)]


def test_a_folder_that_is_gone_is_one_line(tmp_path):
    with pytest.raises(UnwritableFolder), jsonl(tmp_path / "absent", ABOUT) as log:
        log(_row(0))


@pytest.mark.parametrize("name", EXTRAS)
def test_a_tool_that_is_not_installed_says_what_to_type(name, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, EXTRAS[name], None)
    with pytest.raises(MissingExtra, match=f"retina-frontier.{name}") as told:
        registry.find("loggers", name)(tmp_path, ABOUT)
    assert "\n" not in str(told.value)
    assert os.listdir(tmp_path) == []


def _told_twice(name: str, folder: Path) -> None:
    """A fit that is interrupted after step 80 and goes on from there."""
    for steps in ((0, 40, 80), (80, 120)):
        with registry.find("loggers", name)(folder, ABOUT) as log:
            for step in steps:
                log(_row(step))


def test_tensorboard_reads_what_was_told(tmp_path):
    pytest.importorskip("tensorboardX")
    proto = importlib.import_module("tensorboardX.proto.event_pb2")

    _told_twice("tensorboard", tmp_path)
    told, restarts = [], []
    for file in sorted((tmp_path / "tensorboard").iterdir()):
        data = file.read_bytes()
        while data:  # TFRecord: length, its checksum, the event, its checksum
            (length,) = struct.unpack("<Q", data[:8])
            event = proto.Event.FromString(data[12 : 12 + length])
            data = data[16 + length :]
            if event.HasField("session_log"):
                restarts.append(event.step)
            for one in event.summary.value:
                told.append((one.tag, event.step, one.simple_value))
    assert [step for tag, step, _ in told if tag == "seconds"] == [0, 40, 80, 80, 120]
    assert restarts == [80], "the reader drops what came from there on before"
    assert ("validation/seed1", 120, 0.5) in told
    assert not [tag for tag, _, _ in told if tag == "rate"], "there was none"


def test_wandb_keeps_one_run_offline(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    folder = tmp_path / "run.partial"
    folder.mkdir()
    _told_twice("wandb", folder)
    identity = (folder / "wandb_run.txt").read_text()
    runs = list((tmp_path / "wandb").glob("offline-run-*"))
    assert len(runs) == 2 and all(identity in run.name for run in runs)
    assert all(list(run.glob("*.wandb")) for run in runs)


def test_a_store_that_refuses_is_one_line(tmp_path):
    client = pytest.importorskip("mlflow")
    client.set_tracking_uri("nowhere://at-all")
    logger = registry.find("loggers", "mlflow")(tmp_path, ABOUT)
    with pytest.raises(BadSetting, match="--log mlflow: .*nowhere") as told, logger:
        pass
    assert "\n" not in str(told.value)


def test_mlflow_keeps_one_run_in_a_folder(tmp_path, monkeypatch):
    client = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    client.set_tracking_uri((tmp_path / "store").as_uri())
    folder = tmp_path / "run.partial"
    folder.mkdir()
    _told_twice("mlflow", folder)
    kept = client.get_run((folder / "mlflow_run.txt").read_text())
    assert kept.info.run_name == "run"
    assert kept.data.params == {"model": "ln", "settings.lags": "6"}
    assert kept.data.metrics["validation/seed1"] == 0.5
    history = client.MlflowClient().get_metric_history(kept.info.run_id, "seconds")
    assert sorted({point.step for point in history}) == [0, 40, 80, 120]
