"""A run comes back bit for bit, or with one clear line of what is wrong with it."""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import jax
import numpy as np
import pytest

from retina import atomic, build, registry, store
from retina.errors import BrokenRun, UnwritableFolder
from retina.types import Fit, Spec

MODEL = """
import jax, jax.numpy as jnp
from retina.parameter import Parameter
from retina.stage import Model, memoryless

def tiny(spec, *, gain=1.0, sizes=(2, 3)):
    def init(key):
        return {"scale": jax.random.normal(key, (spec.cells, *sizes)), "none": {}}
    stage = memoryless(
        lambda p, x: p["scale"].sum((1, 2)) * gain + 0 * x.sum(),
        init=init,
        parameters={"scale": Parameter(), "none": {}},
        about=("tiny", gain, sizes),
    )
    return Model("tiny", spec, stage)
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "lab" / "tiny.py"
    path.parent.mkdir()
    path.write_text(MODEL)
    return path


def make(file: Path, value: float | None = None, **settings) -> Fit:
    spec = Spec(frame=(4,), cells=3, bin_s=1 / 30, dataset="made up")
    model = build.model(str(file), spec, **settings)
    seeds = [model.stage.init(jax.random.key(seed)) for seed in range(3)]
    if value is not None:
        seeds = [jax.tree.map(lambda leaf: leaf * 0 + value, tree) for tree in seeds]
    return Fit(
        model=model,
        params=seeds[1],
        seeds=tuple(seeds),
        null_rate=np.array([0.1, 0.2, np.pi]),
        validation={"median": np.float64(0.1), "per_cell": np.array([0.1, np.nan])},
        curve=({"step": 10, "train_loss": math.inf, "seconds": 0.1},),
        training={"optimiser": "adam", "steps": 10},
        parent="runs/other",
    )


def same(one, other) -> None:
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


def test_a_run_comes_back_bit_for_bit(file, tmp_path):
    fit = make(file, gain=0.1 + 0.2, sizes=(4, 1))
    store.save(fit, tmp_path / "run", extra={"split": {"cells": None, "bin_s": 0.01}})
    back = store.load(tmp_path / "run")
    same(fit.params, back.params)
    assert len(back.seeds) == 3
    for seed, again in zip(fit.seeds, back.seeds, strict=True):
        same(seed, again)
    same(fit.null_rate, back.null_rate)
    assert isinstance(back.params["scale"], jax.Array)
    assert back.model.spec == fit.model.spec
    assert back.model.settings == fit.model.settings
    assert back.model.stage.about == fit.model.stage.about
    assert back.validation["median"] == 0.1
    assert math.isnan(back.validation["per_cell"][1])
    assert back.curve[0]["train_loss"] == math.inf
    assert back.parent == "runs/other"
    assert store.read(tmp_path / "run")["split"] == {"cells": None, "bin_s": 0.01}


def test_the_record_is_strict_json(file, tmp_path):
    store.save(make(file), tmp_path / "run")

    def refuse(word):
        raise AssertionError(f"{word} is not JSON")

    text = (tmp_path / "run" / "record.json").read_text()
    record = json.loads(text, parse_constant=refuse)
    assert record["versions"]["jax"] == jax.__version__
    assert sorted(os.listdir(tmp_path / "run")) == ["params.h5", "record.json"]


def test_extra_may_not_replace_what_the_run_says(file, tmp_path):
    with pytest.raises(ValueError, match="model"):
        store.save(make(file), tmp_path / "run", extra={"model": "another"})
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("swaps", [True, False])
def test_a_newer_run_replaces_an_older_and_keeps_other_files(
    file, tmp_path, swaps, monkeypatch
):
    if not swaps:  # what happens where the system cannot exchange two folders
        monkeypatch.setattr(atomic, "exchange", lambda one, other: False)
    run = tmp_path / "run"
    store.save(make(file, 1.0), run)
    (run / "notes.txt").write_text("mine")
    (run / "plots").mkdir()
    (run / "plots" / "a.svg").write_text("<svg/>")
    (tmp_path / "notes.txt").write_text("newer")
    store.save(make(file, 2.0), run)
    assert store.load(run).params["scale"].min() == 2.0
    assert (run / "notes.txt").read_text() == "mine"
    store.save(make(file, 2.0), run, files=[tmp_path / "notes.txt"])
    assert (run / "notes.txt").read_text() == "newer"
    (run / "notes.txt").write_text("mine")
    assert (run / "notes.txt").read_text() == "mine"
    assert (run / "plots" / "a.svg").is_file()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_who_reads_in_the_middle_of_a_replacement_costs_nobody_a_run(
    file, tmp_path, monkeypatch
):
    """As `retina status` on a server's folder, which knows no exchange in one step."""
    run, rename, read = tmp_path / "run", os.rename, []

    def interrupted(one, other):
        rename(one, other)
        if Path(one) == run and len(read) < 3:
            read.append(store.read(run)["model"])

    store.save(make(file, 1.0), run)
    monkeypatch.setattr(atomic, "exchange", lambda one, other: False)
    monkeypatch.setattr(os, "rename", interrupted)
    store.save(make(file, 2.0), run)
    assert len(read) == 3
    assert store.load(run).params["scale"].min() == 2.0
    assert sorted(os.listdir(tmp_path)) == ["lab", "run"]


def test_who_comes_too_late_to_put_an_old_run_back_is_not_told(tmp_path, monkeypatch):
    (tmp_path / ".run.old").mkdir()

    def ended(one, other):
        raise OSError(errno.ENOTEMPTY, "Directory not empty")

    monkeypatch.setattr(os, "rename", ended)
    atomic.recover(tmp_path / "run")


@pytest.mark.parametrize(("code", "kept"), [(errno.EINVAL, True), (errno.EIO, False)])
def test_a_system_that_flushes_no_folders_keeps_runs(
    file, tmp_path, monkeypatch, code, kept
):
    flush = os.fsync

    def files_alone(handle):
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(code, os.strerror(code))
        flush(handle)

    monkeypatch.setattr(os, "fsync", files_alone)
    with contextlib.nullcontext() if kept else pytest.raises(UnwritableFolder):
        store.save(make(file), tmp_path / "run")
    assert (tmp_path / "run").is_dir() == kept


@pytest.mark.skipif(sys.platform != "linux", reason="renameat2 is Linux's")
def test_linux_exchanges_two_folders(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    assert atomic.exchange(tmp_path / "a", tmp_path / "b")
    assert os.listdir(tmp_path / "a") == ["b"]
    assert not atomic.exchange(tmp_path / "a", tmp_path / "absent")


def test_a_folder_that_is_not_a_run_is_left_alone(file, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("...")
    with pytest.raises(UnwritableFolder, match="not a run: name another --out"):
        store.save(make(file), tmp_path / "thesis")
    assert os.listdir(tmp_path / "thesis") == ["chapter1.tex"]
    (tmp_path / "plain").touch()
    with pytest.raises(UnwritableFolder, match="is a file"):
        store.save(make(file), tmp_path / "plain")


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (lambda run: (run / "params.h5").unlink(), "no params.h5: fit it again"),
        (lambda run: (run / "record.json").unlink(), "record.json is missing"),
        (lambda run: (run / "record.json").write_text("{"), "missing or damaged"),
        (lambda run: (run / "record.json").write_text("{}"), "lacks"),
        (lambda run: (run / "record.json").write_text("7"), "missing or damaged"),
        (lambda run: os.truncate(run / "params.h5", 1000), "sha256"),
    ],
)
def test_a_broken_run_says_so(file, tmp_path, harm, says):
    run = tmp_path / "run"
    store.save(make(file), run)
    harm(run)
    with pytest.raises(BrokenRun, match=says):
        store.load(run)


def test_no_run_says_what_to_type(tmp_path):
    with pytest.raises(BrokenRun, match="retina fit"):
        store.load(tmp_path / "absent")


def test_a_run_of_a_newer_format_asks_for_an_upgrade(file, tmp_path):
    store.save(make(file), tmp_path / "run")
    record = tmp_path / "run" / "record.json"
    newer = json.loads(record.read_text()) | {"format": store.FORMAT + 1}
    record.write_text(json.dumps(newer))
    with pytest.raises(BrokenRun, match="upgrade"):
        store.load(tmp_path / "run")


def test_a_model_that_has_changed_since_is_not_loaded(file, tmp_path):
    store.save(make(file), tmp_path / "run")
    record = tmp_path / "run" / "record.json"
    other = json.loads(record.read_text())
    other["about"] = ["tiny", 9.0, [2, 3]]
    record.write_text(json.dumps(other))
    with pytest.raises(BrokenRun, match="another version of model"):
        store.load(tmp_path / "run")


def test_a_model_within_a_model_that_has_changed_since_is_known_by_its_file(file):
    made = make(file).model
    told = (("of", str(file)), ("settings", made.settings))
    found = build.source(made._replace(name="merged", settings=told))
    assert found and found == registry.source("models", str(file))


def test_a_run_of_settings_that_are_no_more_says_what_to_do(file, tmp_path):
    """Repaired by hand it opens: its numbers are what they were."""
    store.save(make(file), tmp_path / "run")
    path = tmp_path / "run" / "record.json"
    text = path.read_text()
    path.write_text(json.dumps(json.loads(text) | {"settings": {"loud": 1.0}}))
    says = "does not take any more .*no keyword 'loud'.*fit it again, or write what was"
    with pytest.raises(BrokenRun, match=says):
        store.load(tmp_path / "run")
    path.write_text(text)
    same(store.load(tmp_path / "run").params, make(file).params)


def test_runs_lists_whole_runs_only(file, tmp_path):
    for name in ("b", "a", ".a.x.partial"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "record.json").touch()
    (tmp_path / ".c.old").mkdir()  # cut off between the two renames of a replacement
    (tmp_path / ".c.old" / "record.json").touch()
    (tmp_path / "empty").mkdir()
    assert [run.name for run in store.runs(tmp_path)] == ["a", "b", "c"]
    assert store.runs(tmp_path / "a") == [tmp_path / "a"]


def test_a_leaf_that_is_no_array_is_refused():
    from retina.trees import to_bytes

    with pytest.raises(TypeError, match="'f' is a function"):
        to_bytes({"f": test_no_run_says_what_to_type})
    with pytest.raises(TypeError, match="words without"):
        to_bytes({"a/b": np.zeros(1)})


def test_a_folder_that_cannot_be_made_gives_one_line(file, tmp_path):
    (tmp_path / "taken").touch()
    with pytest.raises(UnwritableFolder, match="name another folder"):
        store.save(make(file), tmp_path / "taken" / "run")
    with pytest.raises(UnwritableFolder, match="name another folder"):
        atomic.check_writable(tmp_path / "taken" / "run")


def _python(script: str, *arguments: object) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.getcwd()},
    )


@pytest.mark.skipif(os.name != "posix", reason="resource limits are posix")
def test_a_full_disk_leaves_the_older_run(file, tmp_path):
    """The kernel refuses the bytes past a limit, as it does on a full disk."""
    run = tmp_path / "run"
    store.save(make(file, 1.0), run)
    done = _python(
        """
        import resource, sys
        from retina import errors, store
        fit = store.load(sys.argv[1])
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
        try:
            store.save(fit, sys.argv[1])
        except errors.UnwritableFolder as error:
            print(error)
        """,
        run,
    )
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    assert "too large; free some space" in line
    assert store.load(run).params["scale"].max() == 1.0
    assert sorted(os.listdir(tmp_path)) == ["lab", "run"]


@pytest.mark.skipif(
    os.name != "posix" or os.geteuid() != 0, reason="only root can become another user"
)
def test_another_users_folder_gives_one_line(file, tmp_path):
    store.save(make(file), tmp_path / "run")
    done = _python(
        """
        import os, sys
        from retina import errors, store
        fit = store.load(sys.argv[1])
        os.setuid(65534)
        try:
            store.save(fit, sys.argv[1])
        except errors.UnwritableFolder as error:
            print(error)
        """,
        tmp_path / "run",
    )
    assert "permission denied; name another folder" in done.stdout, done.stderr
