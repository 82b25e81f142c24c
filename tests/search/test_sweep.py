"""The sweep: what is finished stays, what failed is told, nothing runs twice."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from retina import build, store
from retina.costs.cost import cost
from retina.data import load as loading
from retina.data import split as splitting
from retina.errors import BadCard, BrokenRun, InUse, UnknownName, UnwritableFolder
from retina.search import experiment, grid, records, running, work
from retina.search.learning import learning
from retina.search.sweep import finished, sweep
from retina.types import Spec
from tests.search.conftest import HEAD, TINY

TWO = """
[[families]]
model = "TINY"
grid = { pixel = [8, 9] }
"""
WITH_A_FAILURE = """
[[families]]
model = "TINY"
grid = { breaks = ["value", ""] }
[[families]]
model = "mean"
"""


def written(points):
    """Points as text: an undefined figure (nan) then equals itself."""
    return sorted(store.dumps(dataclasses.asdict(point)) for point in points)


def states(told):
    return [(e["job"].label, e["state"]) for e in told if e["state"] != "fitting"]


def test_each_job_is_a_run_and_is_skipped_the_next_time(asked, tmp_path):
    folder, out, told = asked(TWO), tmp_path / "runs", []
    swept = sweep(folder, out, progress=told.append)
    assert swept.status == 0 and swept.skipped == 0
    assert [p.run for p in swept.points] == [e["job"].name for e in told[:1]] + [
        p.run for p in swept.points[1:]
    ]
    assert states(told) == [
        ("tiny pixel=8", "started"),
        ("tiny pixel=8", "done"),
        ("tiny pixel=9", "started"),
        ("tiny pixel=9", "done"),
    ]
    assert [(e["index"], e["jobs"]) for e in told if e["state"] == "done"] == [
        (0, 2),
        (1, 2),
    ]
    assert sorted(p.name for p in out.iterdir()) == sorted(p.run for p in swept.points)
    before = {p: p.stat().st_mtime_ns for p in out.rglob("*")}
    told.clear()
    again = sweep(folder, out, progress=told.append)
    assert again.skipped == 2 and {s for _, s in states(told)} == {"skipped"}
    assert written(again.points) == written(swept.points)
    assert before == {p: p.stat().st_mtime_ns for p in out.rglob("*")}


def test_points_come_back_from_disk_as_they_were(asked, tmp_path):
    out = tmp_path / "runs"
    swept = sweep(asked(TWO), out)
    read = records.points(out)
    assert written(read) == written(swept.points)
    one = swept.points[0]
    assert written(records.points(out / one.run)) == written([one])
    assert one.cost.counts["bin"].flops == one.cost.flops_per_bin > 0
    assert read[0].cost.counts["bin"].by_part
    fit = store.load(out / one.run)
    assert fit.validation["median"] == one.validation_bits
    assert np.all(np.asarray(fit.params["rate"]) > 0)
    with pytest.raises(BrokenRun, match="holds no run"):
        records.points(tmp_path / "asked")


def test_a_run_that_was_never_measured_is_measured_when_asked(asked, tmp_path):
    out = tmp_path / "runs"
    one = sweep(asked(TWO), out).points[0]
    store.save(store.load(out / one.run), tmp_path / "bare")
    assert records.points(tmp_path / "bare")[0].cost == one.cost


def test_a_failing_job_is_recorded_and_the_others_go_on(asked, tmp_path):
    folder, out, told = asked(WITH_A_FAILURE), tmp_path / "runs", []
    swept = sweep(folder, out, progress=told.append)
    assert swept.status == 1
    assert [p.model for p in swept.points] == [TINY, "mean"]
    (failure,) = swept.failures
    assert failure.error == "ValueError: as asked"
    assert ("tiny breaks=value", "failed") in states(told)
    record = json.loads((out / "failed" / f"{failure.job.name}.json").read_text())
    assert record["error"] == failure.error
    assert "in tiny" in record["traceback"] and record["job"]["settings"]
    # It is tried again the next time; the finished ones are not.
    again = sweep(folder, out)
    assert (again.skipped, len(again.failures)) == (2, 1)


def test_the_record_of_a_failure_goes_when_the_job_succeeds(asked, tmp_path):
    folder, out = asked(TWO), tmp_path / "runs"
    name = sweep(folder, out, dry_run=True).estimates[0].job.name
    (out / "failed").mkdir(parents=True)
    (out / "failed" / f"{name}.json").write_text("{}")
    assert sweep(folder, out).status == 0
    assert not list((out / "failed").iterdir())


def test_a_recording_that_cannot_be_loaded_fails_its_jobs_in_one_line(
    asked, tmp_path, recordings, monkeypatch
):
    folder = asked(TWO)
    card = (recordings / "datasets" / "small.toml").read_text()
    other = tmp_path / "other" / "datasets"
    other.mkdir(parents=True)
    (other / "small.toml").write_text(card.replace("cell_count = 12", "cell_count = 9"))
    monkeypatch.setenv("RETINA_PATH", str(other.parent))
    swept = sweep(folder, tmp_path / "runs")
    assert swept.status == 1 and not swept.points
    assert [f.error.count("9") for f in swept.failures] == [1, 1]


def test_a_run_of_a_card_by_its_path_is_known_from_elsewhere(
    asked, tmp_path, recordings, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    shutil.copy(recordings / "datasets" / "small.toml", "small.toml")
    family = '[[families]]\nmodel = "mean"\n'
    folder = asked(family, HEAD.replace("small", "small.toml"))
    (point,) = sweep(folder, tmp_path / "runs").points
    monkeypatch.chdir(tmp_path / "runs")
    assert records.card_of(store.read(point.run)).name == "small"


def test_interrupted_in_the_middle_loses_nothing_that_was_finished(asked, tmp_path):
    folder, out = asked(TWO), tmp_path / "runs"

    def impatient(event):
        if event["state"] == "fitting" and event["index"] == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep(folder, out, progress=impatient)
    estimates = sweep(folder, out, dry_run=True).estimates
    assert [e.finished for e in estimates] == [True, False]
    assert len(records.points(out)) == 1
    assert sweep(folder, out).skipped == 1


def stopped(folder, out):
    """A sweep that is stopped during its first fit, after a checkpoint."""

    def impatient(event):
        if event["state"] == "fitting":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep(folder, out, progress=impatient)


def test_what_was_begun_under_another_card_is_not_gone_on_with(
    asked, tmp_path, recordings, monkeypatch
):
    """What the earlier card trained on, the present one may test on."""
    folder, out = asked(TWO), tmp_path / "runs"
    text = (recordings / "datasets" / "small.toml").read_text()
    card = tmp_path / "own" / "small.toml"
    card.parent.mkdir()
    card.write_text(text)
    monkeypatch.setenv("RETINA_PATH", str(card.parent))
    stopped(folder, out)
    card.write_text(text.replace("train_blocks = 2", "train_blocks = 1"))
    resumed = sweep(folder, out)
    assert resumed.status == 0
    assert written(resumed.points) == written(sweep(folder, tmp_path / "new").points)
    left = sorted(path.name for path in out.iterdir())
    assert left == sorted(point.run for point in resumed.points)


def test_a_card_edited_while_a_fit_runs_is_not_the_card_of_that_fit(
    asked, tmp_path, recordings, monkeypatch
):
    folder, out = asked(TWO), tmp_path / "runs"
    text = (recordings / "datasets" / "small.toml").read_text()
    card = tmp_path / "own" / "small.toml"
    card.parent.mkdir()
    card.write_text(text)
    monkeypatch.setenv("RETINA_PATH", str(card.parent))

    def editing(event):
        if (event["state"], event["index"]) == ("fitting", 0):
            card.write_text(text.replace("train_blocks = 2", "train_blocks = 1"))

    sweep(folder, out, progress=editing)
    # The first job is to be done again; the second was fitted under the new card.
    again = sweep(folder, out)
    assert again.skipped == 1
    assert written(again.points) == written(sweep(folder, tmp_path / "new").points)


def test_a_job_that_another_sweep_is_storing_is_in_use(asked, tmp_path, monkeypatch):
    monkeypatch.setattr(running, "SILENT_S", 0.0)
    folder, out = asked(TWO), tmp_path / "runs"
    save, second = store.save, []

    def storing(*args, **more):
        if not second:
            second.append(True)
            with pytest.raises(InUse, match="at work in"):
                sweep(folder, out)
        save(*args, **more)

    monkeypatch.setattr(store, "save", storing)
    assert sweep(folder, out).status == 0 and second


def test_what_another_process_is_at_keeps_only_its_own_children_waiting(
    asked, tmp_path, monkeypatch
):
    folder = asked("""
[[families]]
model = "mean"
[[families]]
model = "TINY"
[[families]]
model = "TINY"
set = { pixel = 1 }
start = "tiny"
[[families]]
model = "TINY"
set = { pixel = 2 }
start = "mean"
""")
    monkeypatch.setattr(running, "SILENT_S", 0.0)
    do = work.work

    def busy(job, *args):
        if job.label == "mean":
            raise InUse("another process is at it")
        return do(job, *args)

    monkeypatch.setattr(work, "work", busy)
    with pytest.raises(InUse, match="is at it"):
        sweep(folder, tmp_path / "runs")
    done = {json.loads(f.read_text())["label"] for f in tmp_path.rglob("record.json")}
    assert done == {"tiny", "tiny pixel=1 from tiny"}
    assert list((tmp_path / "runs").glob(".sweep-*.json"))  # it has yet to end


def test_a_job_that_another_sweep_has_done_meanwhile_is_not_done_again(asked, tmp_path):
    folder, out, other = asked(TWO), tmp_path / "runs", []

    def slow(event):
        if (event["state"], event["index"]) == ("started", 0):
            other.append(sweep(folder, out))
        assert event["state"] != "fitting"

    swept = sweep(folder, out, progress=slow)
    assert written(swept.points) == written(other[0].points)


def test_a_file_in_the_place_of_a_checkpoint_is_removed(asked, tmp_path):
    folder, out = asked(TWO), tmp_path / "runs"
    stopped(folder, out)
    (checkpoint,) = out.glob(".*checkpoint")
    shutil.rmtree(checkpoint)
    checkpoint.write_bytes(b"of an earlier version")
    swept = sweep(folder, out)
    assert swept.status == 0
    left = sorted(path.name for path in out.iterdir())
    assert left == sorted(point.run for point in swept.points)


def test_killed_while_it_works_leaves_whole_runs_only(asked, tmp_path):
    folder = asked("""
[[families]]
model = "TINY"
grid = { pixel = [1, 2, 3, 4, 5, 6] }
""")
    out = tmp_path / "runs"
    # A process that kills itself, as kill -9 would, once three jobs are done: at the
    # moment the fourth has been fitted and is about to be stored.
    script = f"""
import os, signal
from retina import store
from retina.search.sweep import sweep
save, saved = store.save, []
def deadly(*args, **more):
    if len(saved) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    save(*args, **more)
    saved.append(1)
store.save = deadly
sweep({str(folder)!r}, {str(out)!r})
"""
    root = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": str(root)}
    ended = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, cwd=root
    )
    assert ended.returncode == -9, ended.stderr.decode()[-500:]
    assert len(records.points(out)) == 3
    swept = sweep(folder, out)
    assert (swept.skipped, len(swept.points), swept.status) == (3, 6, 0)


def test_a_damaged_run_is_made_again(asked, tmp_path):
    folder, out = asked(TWO), tmp_path / "runs"
    first = sweep(folder, out)
    job = sweep(folder, out, dry_run=True).estimates[0].job
    record = out / job.name / "record.json"
    table = json.loads(record.read_text())
    record.write_text(json.dumps(table | {"score": {"odd": 1}}))
    assert finished(job, out) is None
    again = sweep(folder, out)
    assert again.skipped == 1 and written(again.points) == written(first.points)


def test_a_dry_run_says_what_there_is_to_do_and_writes_nothing(asked, tmp_path):
    folder, out = asked(WITH_A_FAILURE), tmp_path / "runs"
    estimates = sweep(folder, out, dry_run=True).estimates
    assert not out.exists()
    # exp, one product with the weight, and one product per cell.
    assert [e.flops_per_bin for e in estimates] == [None, 10 + 1 + 12, 0]
    assert estimates[0].error == "ValueError: as asked"
    swept = sweep(folder, out)
    assert swept.points[0].cost.flops_per_bin == 23
    assert [e.finished for e in sweep(folder, out, dry_run=True).estimates] == [
        False,
        True,
        True,
    ]


def test_a_dry_run_charges_every_sampled_run(asked, tmp_path):
    """As the point will: else a job would look dearer once it is finished."""
    family = '[[families]]\nmodel = "glm"\nset = { lags = 4, window = 3, history = 4 }'
    (estimate,) = sweep(asked(family), tmp_path / "runs", dry_run=True).estimates
    model = build.model("glm", Spec((20, 20), 12, 1 / 30), **estimate.job.settings)
    params = jax.eval_shape(model.stage.init, jax.random.key(0))
    assert estimate.flops_per_bin == cost(model, params).flops_per_bin > 0


def test_a_dry_run_counts_the_steps_that_a_fit_may_take(asked, tmp_path):
    family = """
[[families]]
model = "ln"
set = { lags = 4, rank = 1, window = 3 }
fit = { optimiser = "adam", learning_rate = [0.1, 0.01], max_steps = 9 }
seeds = 3
"""
    folder = asked(family + WITH_A_FAILURE, HEAD + "max_steps = 5\n")
    estimates = sweep(folder, tmp_path / "runs", dry_run=True).estimates
    split = splitting.split(loading.load("small"))
    ln = build.model("ln", split.spec, lags=4, rank=1, window=3)
    step = learning(ln, split, optimiser="adam").step
    # Two recipes side by side, three seeds of each; the others have no step.
    assert [one.flops for one in estimates] == [2 * 3 * 5 * step, None, 0, 0]


def test_what_was_expected_and_what_came(asked, tmp_path):
    expected = "\n".join(
        f'[[expected]]\nrun = "{run}"\nwhat = "{what}"\nlow = {low}\nhigh = {high}'
        for run, what, low, high in [
            ("mean", "cc_norm", 0, 0),
            ("mean", "cc_norm", 0.5, 0.6),
            ("mean", "flops_per_bin", 0, 0),
            ("maen", "cc_norm", 0, 0),
        ]
    )
    folder = asked('[[families]]\nmodel = "mean"\n' + expected)
    assert sweep(folder, tmp_path / "runs").surprises == (
        "mean: cc_norm is 0, expected 0.5 to 0.6",
        "maen: no such run: did you mean 'mean'?",
    )


def test_a_run_without_a_metric_of_the_job_is_not_finished(asked, tmp_path):
    folder, out = asked(TWO), tmp_path / "runs"
    first = sweep(folder, out)
    job = sweep(folder, out, dry_run=True).estimates[0].job
    record = out / job.name / "record.json"
    table = json.loads(record.read_text())
    del table["score"]["metrics"]["cc_norm"]
    record.write_text(json.dumps(table))
    assert finished(job, out) is None
    again = sweep(folder, out)
    assert again.skipped == 1 and written(again.points) == written(first.points)


def test_frontiers_one_per_recording(asked, tmp_path):
    swept = sweep(asked(TWO), tmp_path / "runs")
    fronts = swept.frontiers()
    assert list(fronts) == ["small"]
    assert (fronts["small"].x, fronts["small"].y) == (
        "flops_per_synaptic_event",
        "cc_norm",
    )


def closed(*_, **__):
    """In place of `load`."""
    raise AssertionError("a recording is opened")


def test_a_recording_that_a_model_refuses_is_told_and_is_no_failure(
    asked, tmp_path, monkeypatch
):
    asks = '[[families]]\nmodel = "photoreceptor_cnn"\n'
    told = []
    out = tmp_path / "runs"
    folder = asked(asks + "where_possible = true")
    swept = sweep(folder, out, progress=told.append)
    assert (swept.status, swept.failures) == (0, ())
    assert "R*" in swept.refused[0].error
    assert states(told)[-1] == ("photoreceptor_cnn", "refused")
    with monkeypatch.context() as patch:
        patch.setattr(loading, "load", closed)
        again = sweep(folder, out, progress=told.append)
    assert again.refused == swept.refused and again.failures == ()
    assert states(told)[-1] == ("photoreceptor_cnn", "refused")
    with monkeypatch.context() as patch:  # another version may take it
        patch.setattr(store, "versions", lambda: {"retina-frontier": "later"})
        patch.setattr(loading, "load", closed)
        assert "is opened" in sweep(folder, out).failures[0].error
    assert sweep(asked(asks), out).status == 1


def test_a_folder_that_cannot_be_written_and_an_executor_that_does_not_exist(
    asked, tmp_path
):
    folder = asked(TWO)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UnwritableFolder):
        sweep(folder, tmp_path / "file" / "runs")
    with pytest.raises(UnknownName, match="did you mean 'local'"):
        sweep(folder, tmp_path / "runs", executor="lokal")


def test_what_lies_in_the_place_of_a_run_is_told_before_it_is_fitted(asked, tmp_path):
    folder, out = asked(TWO), tmp_path / "runs"
    name = grid.jobs(experiment.read(folder))[0].name
    (out / name).mkdir(parents=True)
    (out / name / "chapter.tex").touch()
    told = []
    with pytest.raises(UnwritableFolder, match="something that is not a run"):
        sweep(folder, out, progress=told.append)
    assert "fitting" not in {event["state"] for event in told}


def test_a_sweep_that_asks_how_far_down_keeps_draws_and_answers(asked, tmp_path):
    head = HEAD + "within = 0.05\nx = 'flops_per_s_per_cell'\nmax_steps = 3\n"
    families = '[[families]]\nmodel = "TINY"\ngrid = { weight = [-0.3, 0.3] }\n'
    out = tmp_path / "runs"
    swept = sweep(asked(families, head), out)
    found = swept.headlines["small"]
    assert {one.group for one in found.near} == {"frozen", "running"}
    assert [one.share for one in found.reaching] == [0.5, 0.7, 0.8, 0.9]
    assert len(list(out.glob("*/draws.npz"))) == 2
    before = {p: p.stat().st_mtime_ns for p in out.rglob("*.npz")}
    (out / swept.points[0].run / "draws.npz").unlink()
    again = sweep(asked(families, head), out)
    # What was lost is made again, from the fit, and the answer is the same.
    assert repr(again.headlines) == repr(swept.headlines)  # nan is nan
    assert set(before) == set(out.rglob("*.npz"))


def test_no_fit_takes_more_steps_than_the_budget_of_its_recording(
    asked, tmp_path, monkeypatch
):
    text = """
[budgets."small:1,2"]
seeds = 2
max_steps = 2
without = { mean = "it would take an hour" }
[profiles.full]
time = "long"
max_steps = 5
budgets = {}
[[families]]
model = "TINY"
fit = { optimiser = "adam", clip_bins = 16, max_steps = 9 }
[[families]]
model = "mean"
"""
    head = HEAD.replace('["small"]', '["small", "small:1,2"]') + "max_steps = 4\n"
    folder = asked(text, head)
    jobs = grid.jobs(experiment.read(folder))
    assert [(j.label, j.recording, j.seeds, j.max_steps) for j in jobs] == [
        ("tiny", "small", 1, 4),
        ("mean", "small", 1, 4),
        ("tiny", "small:1,2", 2, 2),
    ]
    full = grid.jobs(experiment.read(folder, "full"))
    assert {(j.seeds, j.max_steps) for j in full} == {(1, 5)} and len(full) == 4
    with pytest.raises(UnknownName, match="did you mean 'full'"):
        experiment.read(folder, "ful")
    swept, runs = sweep(folder, tmp_path / "runs"), tmp_path / "runs"
    assert swept.failures == ()
    steps = [store.load(runs / p.run).training["steps"] for p in swept.points]
    assert steps == [4, 0, 2]  # the mean's recipe asks for none
    (left,) = swept.untried
    assert [left[key] for key in ("model", "recording", "why")] == [
        *("mean", "small:1,2", "it would take an hour")
    ]
    # Its price is that of a fit: the same model of the same two cells.
    split = splitting.split(loading.load("small", cells="1,2"))
    mean = build.model("mean", split.spec)
    fitted = {"rate": jax.numpy.full(2, 0.1)}
    assert left["cost"] == cost(mean, fitted, split) and left["cost"].params == 2
    # It is kept: a finished sweep opens no recording to answer once more.
    with monkeypatch.context() as patch:
        patch.setattr(loading, "load", closed)
        again = sweep(folder, runs)
        assert again.untried == swept.untried and again.skipped == 3
        (file,) = runs.glob("priced/mean-*.json")
        file.write_text(file.read_text().replace('"card": "', '"card": "0'))
        assert "no price: AssertionError" in sweep(folder, runs).untried[0]["why"]
    with pytest.raises(BadCard, match="no recording 'smal'"):
        experiment.read(asked("[budgets.smal]\nseeds = 2\n" + TWO))
