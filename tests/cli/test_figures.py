"""`score`, `cost`, `frontier`, `sweep`, `simulate`: figures whose keys stay."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import retina as retina_api
from retina import store
from retina.costs.cost import RUNS, as_json
from retina.fitting.loss import validator
from retina.fitting.predict import streamed
from retina.search import records
from tests.test_artefact import ALONE

QUICK = ("--set", "lags=6", "--set", "basis=4", "--set", "rank=1")
COST = {
    "flops_per_bin",
    "flops_per_s",
    "flops_per_s_per_cell",
    "flops_per_s_alone",
    "flops_per_s_marginal",
    "flops_per_spike",
    "flops_per_bit",
    "flops_per_synaptic_event",
    "flops_per_s_per_synapse",
    "total_ops_per_bin",
    "params",
    "param_bytes",
    "state_bytes",
    "bytes_per_bin",
    "fan_in",
    "depth",
    "transcendentals_per_bin",
    "by_kind",
    "flops_per_bin_with",
    "arithmetic_intensity",
    "parallel_width",
    "connections",
    "fan_ins",
    "fan_outs",
}


def test_a_score_does_not_go_over_a_run_that_has_taken_its_place(retina, monkeypatch):
    """As a sweep's, that has fitted it anew while it was scored."""
    assert retina("fit", "tiny", "mean", "--out", "run").status == 0
    read, seen = store.read, []

    def replaced(run):
        seen.append(run)
        return read(run) | ({"params_sha256": "another"} if len(seen) > 2 else {})

    monkeypatch.setattr(store, "read", replaced)
    before = Path("run/record.json").read_bytes()
    done = retina("score", "run")
    assert done.status == 0 and "not kept in the run: another fit" in done.err
    assert Path("run/record.json").read_bytes() == before


def test_score(retina, run_of_ln):
    done = retina("score", "run", "--json")
    assert done.status == 0, done.err
    told = json.loads(done.out)
    assert {"dataset", "model", "bins", "cells", "metrics"} <= set(told)
    assert (told["dataset"], told["model"]) == ("tiny", "ln")
    assert (told["bins"], told["cells"]) == (390, 2)
    assert {"cc_norm", "bits_per_spike"} <= set(told["metrics"])
    metric = told["metrics"]["cc_norm"]
    assert set(metric) == {"median", "ci95", "per_cell"}
    assert metric["median"] == pytest.approx(np.median(metric["per_cell"]))
    assert metric["ci95"][0] < metric["median"] < metric["ci95"][1]
    # The cells are rectified linear filters: an LN model is the right one.
    assert metric["median"] > 0.9
    (ceiling,) = told["cc_max"].values()
    assert len(ceiling) == 2 and all(0.5 < one <= 1 for one in ceiling)
    shown = retina("score", "run").out
    assert "cc_norm" in shown and "CC_max of 'frozen'" in shown
    only = json.loads(retina("score", "run", "--metrics", "pearson", "--json").out)
    assert set(only["metrics"]) == {"pearson"}
    kept = store.read("run")["score"]
    price = store.read("run")["cost"]["flops_per_bit"]
    assert price > 0
    told = json.loads(retina("cost", "run", "--json").out)
    assert told["flops_per_bit"] == pytest.approx(price)
    assert "FLOPs per bit told of what was recorded" in retina("cost", "run").out
    wide = json.loads(retina("score", "run", "--bin-s", "0.1", "--json").out)
    assert wide["bin_s"] == pytest.approx(0.1) and wide["bins"] == 390 // 5
    assert store.read("run")["score"] == kept  # on the run's own bins
    odd = retina("score", "run", "--bin-s", "0.07")
    assert odd.status == 1 and "no multiple of the run's own 0.02 s" in odd.err


def test_score_of_the_population(retina, run_of_ln):
    done = retina("score", "run", "--metrics", "pearson", "--population")
    assert done.status == 0, done.err
    assert "frozen: 2 predictions have an effective rank of" in done.out
    wide = retina("score", "run", "--population", "--bin-s", "0.1", "--json")
    (told,) = json.loads(wide.out)["population"]
    assert told["bin_s"] == pytest.approx(0.1)
    # Both cells filter one stimulus, the one rectified where the other is not.
    assert told["cells_needed"] == 2 and 1 < told["effective_rank"] <= 2
    assert told["pairs"] == 1
    # Poisson counts, recorded and simulated: nothing is shared.
    for side in ("noise_recorded", "noise_simulated"):
        assert abs(told[side]) < 4 * told["noise_chance"]


def test_score_is_kept_in_the_run_and_changes_nothing_else(retina):
    retina("fit", "tiny", "mean", "--out", "run")
    before = store.read("run")
    params = Path("run/params.h5").read_bytes()
    told = json.loads(retina("score", "run", "--json").out)
    after = store.read("run")
    # Compared as text: a nan in the curve does not equal itself.
    assert store.dumps({name: after[name] for name in before}) == store.dumps(before)
    assert Path("run/params.h5").read_bytes() == params
    kept = after["score"]["metrics"]["bits_per_spike"]["median"]
    assert kept == told["metrics"]["bits_per_spike"]["median"]


def test_cost_of_a_run_of_a_model_on_a_recording_and_of_a_frame(retina, run_of_ln):
    run = json.loads(retina("cost", "run", "--json").out)
    named = json.loads(retina("cost", "ln", "--dataset", "tiny", *QUICK, "--json").out)
    frame = ("--frame", 1, "--cells", 2, "--bin-s", 0.02)
    bare = json.loads(retina("cost", "ln", *frame, *QUICK, "--json").out)
    assert COST <= set(run)
    assert run == named
    assert run["flops_per_s"] == pytest.approx(run["flops_per_bin"] / 0.02)
    assert run["flops_per_spike"] > 0
    # Without a recording nothing is known per spike; tiny is standardised at the door.
    assert bare["flops_per_spike"] is None
    assert bare["params"] == run["params"]
    assert bare["flops_per_bin"] == run["flops_per_bin"] - 2
    table = retina("cost", "run").out
    assert "FLOPs per bin" in table and f"{run['flops_per_bin']:,}" in table
    for words in ("transcendental as 20", "by kind", "fan-out", "arithmetic intensity"):
        assert words in table
    told = json.loads(retina("cost", "run", "--executors", "--json").out)["executors"]
    assert told["dense"] == run["flops_per_bin"] and told["bins"] == 390
    assert retina("cost", "ln", *frame, *QUICK, "--executors").status == 2
    more = ("--learning", "--latency", "--energy")
    told = json.loads(retina("cost", "run", *more, "--json").out)
    assert told["learning"]["optimiser"] == "lbfgs"
    learned = told["learning"]
    assert learned["total"] == learned["steps"] * learned["step"] > learned["steps"]
    assert learned["totals_of_as_many_steps"]["lbfgs"] == learned["total"]
    assert told["latency"]["real_time_factor"] > 0
    assert told["energy"]["45 nm, float32, DRAM"]["mark"] == "recalled"
    assert "real time factor" in retina("cost", "run", "--latency").out
    assert "read: Horowitz 2014" in retina("cost", "run", "--energy").out
    assert "wrote cost.svg" in retina("cost", "run", "--out", "cost.svg").err
    assert Path("cost.svg").read_text().count("<!-- temporal -->") == 1


@pytest.mark.slow
def test_a_step_exported_by_the_command_runs_without_the_package(retina):
    pytest.importorskip("flatbuffers")
    retina("fit", "tiny", "ln", *QUICK, "--set", "max_steps=5", "--out", "run")
    done = retina("cost", "run", "--export", "model.step")
    assert done.status == 0 and "wrote model.step" in done.err
    frames = np.random.default_rng(0).normal(size=9).astype(np.float32)
    np.save("frames.npy", frames)
    alone = subprocess.run(
        [sys.executable, "-c", ALONE], capture_output=True, text=True
    )
    assert alone.returncode == 0, alone.stderr
    fitted = store.load("run")
    wanted = streamed(fitted.model, fitted.params, frames[None])[0]
    assert wanted.std() > 0
    # One program with parameters as numbers in it, and one without: float32 rounding.
    np.testing.assert_allclose(np.load("rates.npy"), wanted, rtol=1e-5)


def test_a_cost_carried_to_a_brain_says_what_it_is(retina):
    given = ("ln", "--frame", "4x4", "--cells", 2, "--bin-s", 0.02)
    told = json.loads(retina("scale", *given, "--to", "brain", "--json").out)
    assert told["whole"]["low"] < told["whole"]["high"]
    done = retina("scale", *given, "--to", "brain")
    assert done.out.count("THIS IS AN EXTRAPOLATION") == 2
    assert "Moravec" in done.out and "recalled" in done.out
    wrong = retina("scale", *given, "--to", "human")
    assert wrong.status == 1 and "human-retina" in wrong.err


@pytest.mark.parametrize("function", ["", ":mine"])
def test_a_function_of_a_file_in_a_folder_is_a_model(retina, function):
    retina("new", "model", "mine", "--folder", "lab")
    model = f"lab/mine.py{function}"
    frame = ("--frame", "4x4", "--cells", 2, "--bin-s", 0.03)
    done = retina("cost", model, *frame, "--json")
    assert done.status == 0, done.err
    assert json.loads(done.out)["flops_per_bin"] > 0
    made = retina("simulate", model, "--dataset", "tiny", "--out", "sim.npz")
    assert made.status == 0, made.err


def test_quanta_where_no_synapse_draws_them_are_refused(retina):
    small = ("--set", "lags=4", "--dataset", "tiny", "--out", "drawn.npz")
    done = retina("simulate", "ribbon_ln", *small, "--quanta")
    assert done.status == 1 and "with depletion draws vesicles; fit" in done.err


def test_cost_of_a_model_with_history_is_that_of_its_record(retina):
    """Its accuracy is the mean of many sampled runs: all of them are its price."""
    small = ("--set", "lags=4", "--set", "history=3", "--set", "history_basis=2")
    retina("fit", "tiny", "glm", *small, "--set", "max_steps=5", "--out", "run")
    retina("score", "run")
    kept = records.points("run")[0].cost
    told = json.loads(retina("cost", "run", "--json").out)
    assert told == json.loads(store.dumps(as_json(kept)))
    named = retina("cost", "glm", "--dataset", "tiny", *small, "--json").out
    assert json.loads(named) == told | {"flops_per_bit": None}  # never scored
    table = " ".join(retina("cost", "run").out.split())
    assert f"one alone takes {told['flops_per_bin'] // RUNS:,} FLOPs per bin" in table


def test_cost_of_a_run_whose_recording_is_gone(retina, lab, monkeypatch):
    retina("fit", "tiny", "mean", "--out", "run")
    monkeypatch.setenv("RETINA_CACHE", "elsewhere")
    done = retina("cost", "run", "--json")
    assert done.status == 0
    assert json.loads(done.out)["flops_per_spike"] is None
    assert "without the recording" in done.err


def test_a_card_given_by_its_path_lends_its_own_species_and_licence(
    retina, lab, tmp_path, monkeypatch
):
    """Another card of the same name is found by the bare name: its species is not."""
    folder = tmp_path / "own"
    folder.mkdir()
    text = (lab / "tiny.toml").read_text()
    text = text.replace('species = "simulated"', 'species = "mouse"')
    (folder / "tiny.toml").write_text(text.replace("Apache-2.0", "ours alone"))
    (folder / "tiny.npz").write_bytes((lab / "tiny" / "tiny.npz").read_bytes())
    assert retina("fit", folder / "tiny.toml", "mean", "--out", "run").status == 0
    assert "of mouse cells" in retina("cost", "run").out
    assert "of simulated cells" not in retina("cost", "run").out
    assert retina("simulate", "run", "--out", "sim.npz").status == 0
    assert "ours alone" in Path("sim.toml").read_text()
    (folder / "tiny.npz").unlink()
    monkeypatch.setenv("RETINA_CACHE", str(tmp_path / "cache"))
    gone = retina("cost", "run")
    assert "without the recording" in gone.err and "of mouse cells" in gone.out


def test_sweep_then_frontier(retina):
    dry = retina("sweep", "asks", "--dry-run", "--json")
    assert dry.status == 0, dry.err
    jobs = json.loads(dry.out)
    assert [job["finished"] for job in jobs] == [False, False]
    assert not Path("runs").exists()

    done = retina("sweep", "asks", "--out", "runs/asks")
    assert done.status == 0, done.err
    assert "figure runs/asks/tiny.svg" in done.out.replace("\n", " ")
    assert Path("runs/asks/tiny.svg").stat().st_size > 1000
    every = sorted(map(str, Path("runs/asks").glob("*")))
    assert "runs/asks/tiny.svg" in every
    assert retina("frontier", *every, "--x", "flops_per_spike").status == 0
    assert [
        job["finished"]
        for job in json.loads(
            retina("sweep", "asks", "--dry-run", "--out", "runs/asks", "--json").out
        )
    ] == [True, True]
    again = json.loads(retina("sweep", "asks", "--out", "runs/asks", "--json").out)
    assert again["skipped"] == 2

    front = retina(
        "frontier", "runs/asks", "--x", "flops_per_spike", "--out", "f.png", "--json"
    )
    assert front.status == 0, front.err
    told = json.loads(front.out)
    assert (told["x"], told["y"]) == ("flops_per_spike", "cc_norm")
    points = {point["model"]: point for point in told["points"]}
    assert set(points) == {"mean", "ln"}
    for point in points.values():
        assert set(point) == {
            *("run", "model", "on_frontier"),
            *("flops_per_spike", "cc_norm"),
        }
        assert point["on_frontier"], "one is cheaper, the other better"
    assert points["mean"]["flops_per_spike"] < points["ln"]["flops_per_spike"]
    assert points["mean"]["cc_norm"] < points["ln"]["cc_norm"]
    assert Path("f.png").stat().st_size > 1000

    # In all operations a model may not hide its work in look-ups and comparisons.
    every = ("frontier", "runs/asks", "--x", "total_ops_per_bin")
    told = json.loads(retina(*every, "--json").out)
    assert told["x"] == "total_ops_per_bin"
    points = {point["model"]: point for point in told["points"]}
    assert points["mean"]["total_ops_per_bin"] == 0
    for run in store.runs("runs/asks"):
        model, cost = store.read(run)["model"], store.read(run)["cost"]
        total = points[model]["total_ops_per_bin"]
        assert total == cost["total_ops_per_bin"] >= cost["flops_per_bin"]
    table = retina(*every).out
    assert "total ops" in table and f"{points['ln']['total_ops_per_bin']:.0f}" in table


ONE = """
question = "What is shown where an axis is not defined?"
command = "retina sweep one"
time = "1 s"
datasets = ["DATASET"]
metrics = METRICS
x = "X"
y = "Y"

[[families]]
model = "mean"
"""


def _one(folder: Path, dataset="tiny", x="flops_per_spike", y="cc_norm", *metrics):
    """An experiment of one quick fit."""
    folder.mkdir()
    named = json.dumps([y, *metrics])
    text = ONE.replace("DATASET", dataset).replace("METRICS", named)
    (folder / "experiment.toml").write_text(text.replace("X", x).replace("Y", y))
    return folder


def test_a_sweep_without_repeats_shows_its_table_and_says_why_it_draws_nothing(
    retina, lab, tmp_path, monkeypatch
):
    place = tmp_path / "own"
    place.mkdir()
    text = (lab / "tiny.toml").read_text().replace('"tiny"', '"once"')
    text = text.replace('part = "frozen"\nframes = [10, 400]', "frames = [3410, 3900]")
    (place / "once.toml").write_text(text)
    monkeypatch.setenv("RETINA_PATH", str(place))
    monkeypatch.setenv("RETINA_CACHE", str(tmp_path))
    (tmp_path / "once").symlink_to(lab / "tiny")
    folder = _one(
        tmp_path / "one", "once", "flops_per_spike", "cc_norm", "bits_per_spike"
    )
    for _ in range(2):
        done = retina("sweep", folder, "--out", "runs")
        assert done.status == 0, done.err
        assert "single trials" in done.out and "undefined" in done.out
        assert ", figure" not in done.out and not Path("runs/once.svg").exists()
        assert "no figure of once: no point to draw: cc_norm" in done.err
        assert "--y bits_per_spike" in done.err
    told = json.loads(retina("sweep", folder, "--out", "runs", "--json").out)
    assert told["frontiers"]["once"]["points"] and told["figures"] == {}
    drawn = ("--x", "flops_per_spike", "--y", "bits_per_spike", "--out", "f.svg")
    assert retina("frontier", "runs", *drawn).status == 0


def test_a_sweep_of_a_full_field_per_synapse_shows_its_table_and_no_frontier(
    retina, tmp_path
):
    folder = _one(tmp_path / "one", "tiny", "flops_per_synaptic_event")
    done = retina("sweep", folder, "--out", "runs")
    assert done.status == 0, done.err
    assert "mean" in done.out and "no per-synapse claim" in done.out
    assert "no frontier of tiny: " in done.err and "--x flops_per_spike" in done.err
    assert not list(Path("runs").glob("*.svg"))
    told = json.loads(retina("sweep", folder, "--out", "runs", "--json").out)
    assert told["frontiers"] == told["figures"] == {}
    bare = retina("frontier", "runs")
    assert bare.status == 1 and "--x flops_per_spike" in bare.err


def test_a_sweep_of_an_unknown_species_tells_all_the_rest(
    retina, lab, tmp_path, monkeypatch
):
    place = tmp_path / "own"
    place.mkdir()
    text = (lab / "tiny.toml").read_text()
    text = text.replace('species = "simulated"', 'species = "octopus"')
    (place / "tiny.toml").write_text(text)
    monkeypatch.setenv("RETINA_PATH", str(place))
    folder = _one(tmp_path / "one", "tiny", "flops_per_synaptic_event")
    with (folder / "experiment.toml").open("a") as file:
        file.write('[[expected]]\nrun = "mean"\nwhat = "flops_per_synaptic_event"\n')
        file.write("low = 0\nhigh = 1\n")
    done = retina("sweep", folder, "--out", "runs")
    assert done.status == 0, done.err
    assert "mean" in done.out and "synapses of octopus" in done.out
    unknown = "flops_per_synaptic_event is not known for 'tiny'"
    assert f"not as expected: mean: {unknown}" in done.err
    assert f"no frontier of tiny: {unknown}" in done.err


def test_a_score_leaves_the_metrics_of_a_sweep_in_the_run(retina, tmp_path):
    folder = _one(tmp_path / "one", "tiny", "flops_per_spike", "deviance")
    assert retina("sweep", folder, "--out", "runs").status == 0
    (run,) = store.runs("runs")
    before = store.read(run)["score"]["metrics"]["deviance"]
    assert retina("score", run).status == 0
    kept = store.read(run)["score"]["metrics"]
    assert set(kept) > {"deviance", "cc_norm"} and kept["deviance"] == before
    again = retina("sweep", folder, "--out", "runs", "--json")
    assert again.status == 0, again.err
    told = json.loads(again.out)
    assert told["skipped"] == 1
    assert told["frontiers"]["tiny"]["points"][0]["deviance"] == before["median"]


def test_compare_says_which_run_is_better(retina, run_of_ln):
    retina("fit", "tiny", "mean", "--out", "mean")
    Path("run").rename("ln")
    done = retina("compare", "mean", "ln")
    assert done.status == 0, done.err
    assert "frozen: ln beats mean on 2 of 2 cells" in done.out
    (told,) = json.loads(retina("compare", "mean", "ln", "--json").out)
    assert told["runs"] == ["ln", "mean"] and told["group"] == "frozen"
    assert 0 < told["ci95"][0] < told["median"] < told["ci95"][1]
    assert told["p_holm"] < 0.05 and told["rank_biserial"] == 1
    assert told["sentence"] in done.out
    wide = json.loads(retina("compare", "mean", "ln", "--bin-s", "0.1", "--json").out)
    assert wide[0]["median"] != told["median"]
    short = ("--set", "max_steps=2")
    done = retina("fit", "tiny", "ln", *QUICK, *short, "--out", "short")
    assert "not converged: stopped after 2 steps" in done.out
    caveat = "short: not converged: stopped after 2 steps"
    assert caveat in retina("compare", "mean", "short").out
    (row,) = json.loads(retina("compare", "mean", "short", "--json").out)
    assert row["notes"] == [caveat]
    assert caveat in retina("compare", "mean", "short", "--ratio").out
    left = retina("compare", "ln", "mean", "--ratio")
    assert left.status == 0 and "frozen: mean has " in left.out, left.err
    alone = retina("compare", "ln")
    assert alone.status == 1 and "at least two" in alone.err
    other = retina("compare", "ln", "mean", "--metric", "cc_max")
    assert other.status == 1 and "belongs to the data" in other.err


def test_compare_names_the_recordings_of_runs_of_two(retina, lab):
    """Their cells differ as well, and that is not the reason."""
    retina("fit", "tiny", "mean", "--out", "one")
    made = retina("simulate", "one", "--out", "again.npz")
    assert made.status == 0, made.err
    retina("fit", "again.toml", "mean", "--cells", "1", "--out", "two")
    done = retina("compare", "one", "two")
    assert done.status == 1
    assert "one is of recording 'tiny', two of 'again'" in done.err


def test_a_failing_job_is_told_and_the_others_are_done(retina, lab, tmp_path):
    folder = tmp_path / "risky"
    folder.mkdir()
    toml = (lab / "asks" / "experiment.toml").read_text()
    (folder / "experiment.toml").write_text(toml.replace("lags = 6", "lags = 0"))
    done = retina("sweep", folder, "--out", "out")
    assert done.status == 1
    assert "failed: ln" in done.err and "lags 0" in done.err
    assert len(store.runs("out")) == 1


def test_a_stopped_sweep_loses_no_finished_job(desk, lab):
    folder = desk.folder / "slow"
    folder.mkdir()
    toml = (lab / "asks" / "experiment.toml").read_text()
    slow = 'fit = { optimiser = "adam", max_steps = 5000000, patience = 100000 }'
    (folder / "experiment.toml").write_text(
        toml.replace("fit = { max_steps = 20 }", slow)
    )
    process = desk.start("sweep", folder, "--out", "out")
    out = desk.folder / "out"
    try:
        while not (out.is_dir() and list(out.glob(".ln-*checkpoint"))):
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=300)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    assert process.returncode == 130
    assert "Traceback" not in err
    (run,) = store.runs(out)
    assert store.read(run)["model"] == "mean"
    dry = desk.retina("sweep", folder, "--out", "out", "--dry-run", "--json")
    assert [job["finished"] for job in json.loads(dry.out)] == [True, False]


def test_simulate_makes_a_recording_that_every_command_takes(retina, run_of_ln):
    done = retina("simulate", "run", "--out", "sim.npz", "--key", 5)
    assert done.status == 0, done.err
    assert "next: retina fit sim.toml" in done.out
    checked = retina("check", "sim.toml")
    assert "wrong" not in checked.out and checked.status == 0
    fitted = retina("fit", "sim.toml", "ln", *QUICK, "--out", "again", "--json")
    assert fitted.status == 0, fitted.err
    # The fit explains the spikes as well as what made them does; the gap is what 60 s
    # of two cells leave open.
    again = json.loads(fitted.out)["validation"]["median"]
    made_by = store.load("run")
    split = retina_api.split(retina_api.load("sim.toml"))
    score = validator(made_by.model, split.validation, made_by.null_rate)
    truth = np.median(score(made_by.params))
    assert truth > 0.3
    assert abs(again - truth) < 0.05
    with np.load("sim.npz", allow_pickle=False) as arrays:
        one = arrays[next(key for key in arrays if key.endswith(".counts"))]
    retina("simulate", "run", "--out", "same.npz", "--key", 5)
    retina("simulate", "run", "--out", "other.npz", "--key", 6)
    assert Path("same.npz").read_bytes() == Path("sim.npz").read_bytes()
    assert Path("other.npz").read_bytes() != Path("sim.npz").read_bytes()
    assert one.ndim == 3
    # A recording of one's own may bear the name, and so may its card.
    before = Path("sim.npz").read_bytes(), Path("sim.toml").read_bytes()
    refused = retina("simulate", "run", "--out", "sim.npz", "--key", 7)
    assert refused.status == 1 and "sim.npz exists" in refused.err
    refused = retina("probe", "run", "sta", "--out", "sim.npz")
    assert refused.status == 1 and "sim.npz exists" in refused.err
    assert (Path("sim.npz").read_bytes(), Path("sim.toml").read_bytes()) == before
    Path("sim.npz").rename("kept.npz")
    refused = retina("simulate", "run", "--out", "sim.npz", "--key", 7)
    assert refused.status == 1 and "sim.toml exists" in refused.err
    assert not Path("sim.npz").exists()


def test_simulate_a_model_that_was_never_fitted(retina):
    done = retina("simulate", "ln", "--dataset", "tiny", *QUICK, "--out", "sim.npz")
    assert done.status == 0, done.err
    assert Path("sim.toml").is_file()


@pytest.mark.parametrize("stem", ["my-sim", "sim.1", "ganglionzöllen"])
def test_simulate_refuses_a_name_that_no_card_can_have(retina, stem):
    done = retina("simulate", "ln", "--dataset", "tiny", "--out", f"{stem}.npz")
    assert done.status == 1 and done.out == ""
    assert "letters A to Z, digits and _" in done.err
    assert list(Path().iterdir()) == [], "refused before any work"
    # The name that it says will do.
    advised = done.err.split()[-1]
    again = ("simulate", "ln", "--dataset", "tiny", *QUICK, "--out", advised)
    told = retina(*again)
    assert told.status == 0, told.err
    card = told.out.split("next: retina fit ")[1].split()[0]
    assert retina("check", card).status == 0


def test_check_and_fetch(retina, lab, tmp_path, monkeypatch):
    good = retina("check", "tiny", "--json")
    assert good.status == 0
    findings = json.loads(good.out)
    assert {"level", "about", "text"} == set(findings[0])
    (ceiling,) = [one["per_cell"] for one in findings if "per_cell" in one]
    # Noise alone may have no ceiling (null); no cell is left out.
    assert list(ceiling) == [cell.name for cell in retina_api.load("tiny").cells]
    assert "wrong" not in retina("check", "tiny").out

    monkeypatch.setenv("RETINA_CACHE", str(tmp_path / "cache"))
    absent = retina("check", "tiny")
    assert absent.status == 1 and "retina fetch tiny" in absent.out
    fitted = retina("fit", "tiny", "mean")
    assert fitted.status == 1 and "retina fetch tiny" in fitted.err

    fetched = retina("fetch", "tiny", "--from", lab)
    assert fetched.status == 0, fetched.err
    assert fetched.out.index("licence: Apache-2.0") < fetched.out.index("complete")
    assert retina("fit", "tiny", "mean").status == 0

    (tmp_path / "cache" / "tiny" / "tiny.npz").write_bytes(b"something else")
    wrong = retina("fit", "tiny", "mean", "--key", 1)
    assert wrong.status == 1 and "sha256" in wrong.err
