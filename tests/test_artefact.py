"""An exported step runs where this package is not."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import zipfile

import jax
import numpy as np
import pytest

import retina
from retina.artefact import export_step
from retina.errors import BadSetting, MissingExtra
from retina.types import Spec

ALONE = """
import json, sys, zipfile
sys.modules["retina"] = None  # importing it is an error from here on
import jax.export, numpy as np
files = zipfile.ZipFile("model.step")
start, step = (jax.export.deserialize(files.read(n)) for n in ("start", "step"))
about = json.loads(files.read("about.json"))
frames = np.load("frames.npy")
assert list(frames.shape[1:]) == about["frame"] and frames.dtype == about["dtype"]
state, rates = start.call(), []
for frame in frames:
    heard = [rates[-1]] if about["uses_response"] and rates else []
    if about["uses_response"] and not rates:
        heard = [np.zeros(about["cells"], np.float32)]
    state, rate = step.call(state, frame, *heard)
    rates.append(np.asarray(rate))
np.save("rates.npy", np.stack(rates))
"""


def test_without_flatbuffers_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    model = retina.model("mean", Spec((), 3, 0.02))
    params = model.stage.init(jax.random.key(0))
    with pytest.raises(MissingExtra, match="pip install flatbuffers"):
        export_step(model, params, tmp_path / "a.step")
    with pytest.raises(BadSetting, match=r"\.step"):
        export_step(model, params, tmp_path / "a.zip")


@pytest.mark.parametrize("name", ["glm"])
def test_a_step_runs_alone_and_gives_the_same_rates(name, tmp_path):
    pytest.importorskip("flatbuffers")
    spec = Spec((5, 4), 2, 0.02, stimulus_mean=3.0, stimulus_sd=2.0)
    model = retina.model(name, spec, lags=4, history=3, history_basis=2)
    params = model.stage.init(jax.random.key(0))
    export_step(model, params, tmp_path / "model.step", dtype=np.uint8)
    frames = np.random.default_rng(0).integers(0, 7, (6, 5, 4)).astype(np.uint8)
    np.save(tmp_path / "frames.npy", frames)
    done = subprocess.run(
        [sys.executable, "-c", ALONE], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    state, wanted = model.stage.start(params), []
    heard = np.zeros(2, np.float32)
    step = jax.jit(model.stage.step)
    for frame in frames:
        state, rate = step(params, state, (frame, heard))
        wanted.append(heard := np.asarray(rate))
    # The same program, compiled with and without parameters in it: float32 rounding.
    alone = np.load(tmp_path / "rates.npy")
    np.testing.assert_allclose(alone, np.stack(wanted), rtol=1e-5)


def test_the_same_step_gives_the_same_bytes_and_says_what_it_takes(tmp_path):
    pytest.importorskip("flatbuffers")
    model = retina.model("mean", Spec((), 3, 0.02))
    params = model.stage.init(jax.random.key(0))
    one, two = (export_step(model, params, tmp_path / n) for n in ("a.step", "b.step"))
    names = zipfile.ZipFile(one).namelist()
    assert names == ["start", "step", "about.json"]
    for name in names:
        assert zipfile.ZipFile(one).read(name) == zipfile.ZipFile(two).read(name)
