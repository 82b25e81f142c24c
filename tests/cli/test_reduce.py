"""`retina reduce`: a smaller run, with its parent and its lineage."""

from __future__ import annotations

import json
import signal

import pytest

from retina import store
from retina.cli import output

FIT = ["--set", "lags=6", "--set", "rank=none", "--set", "max_steps=15"]


@pytest.fixture
def run(retina, tmp_path):
    assert retina("fit", "tiny", "ln", *FIT, "--out", "run").status == 0
    return tmp_path / "run"


def test_a_run_is_reduced_once_and_what_is_wrong_is_said(
    retina, run, tmp_path, monkeypatch
):
    words = ("reduce", "taps", "run", "--out", "short", "--set")
    done = retina(*words, "keep=0.7")
    assert done.status == 0, done.err
    curve = _curve(tmp_path / "short")
    assert curve[0][:2] == (0, 0) and len(curve) > 1
    assert "flops_per_bin" in done.out and "next: retina score short" in done.out
    record = store.read(tmp_path / "short")
    assert record["parent"] == str(run)
    assert record["asked"]["run_sha256"] == store.read(run)["params_sha256"]
    assert dict(record["settings"])["lags"] == 4
    (step,) = record["training"]["lineage"]
    assert (step["method"], step["of"]) == ("taps", "ln")

    same = retina(*words, "keep=0.7")
    assert same.status == 0 and "short is finished already" in same.err
    assert "is finished already" in retina(*words, "taps.keep=0.7").err
    other = retina(*words, "keep=0.4")
    assert other.status == 1 and "keep 0.7 there, 0.4 here" in other.err
    with monkeypatch.context() as later:
        later.setattr("retina.reduction.steps.REFIT_STEPS", 201)
        other = retina(*words, "keep=0.7")
    assert other.status == 1 and "refit_steps 200 there, 201 here" in other.err
    for words, says in (
        (("reduce", "tabs", "run"), "did you mean 'taps'"),
        (("reduce", "taps", "run", "--set", "kep=1"), "did you mean 'keep'"),
        (("reduce", "taps", "run", "--set", "keep=0.01"), "would leave none of 6 lags"),
        (("reduce", "taps", "run", "--set", "refit_steps=x"), "'x': a whole number"),
        (("reduce", "taps,prune", "run", "--set", "keep=0.5"), "say whose, taps.keep="),
        (("reduce", "taps", "run", "--set", "prune.keep=1"), "no keyword 'prune.keep'"),
        (("reduce", "channels", "run"), "channels is for models with channels"),
        (("reduce", "taps", "absent"), "no run"),
    ):
        done = retina(*words)
        assert done.status == 1 and says in done.err, done
        assert len(done.err.strip().splitlines()) == 1
    assert not list(tmp_path.glob("*.partial"))


TAUGHT = ["settings={'lags': 3}", "steps=10"]


@pytest.mark.parametrize(
    ("methods", "sets", "parts"),
    [
        ("quantise", [], ["quantise"]),
        pytest.param(
            *("distil,quantise", TAUGHT, ["distil", "distil", "quantise"]),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_what_was_stopped_goes_on_to_the_same_numbers(
    retina, run, tmp_path, monkeypatch, methods, sets, parts
):
    """Stopped in the last of its fits."""
    words = ["reduce", methods, "run", "--set", "refit_steps=20"]
    words += [word for one in sets for word in ("--set", one)]
    fit_words, heard, stops = output.fit_words, [], True

    def listening(event):
        heard.append((event["part"], event["reduction"]))
        assert event["parts"] == len(parts)
        if stops and event["part"] + 1 == len(parts) and event["step"]:
            raise KeyboardInterrupt
        return fit_words(event)

    monkeypatch.setattr(output, "fit_words", listening)
    assert retina(*words, "--out", "small").status == 130
    assert list(dict.fromkeys(heard)) == list(enumerate(parts))
    assert not (tmp_path / "small").exists()
    other = retina(*words, "--key", 1, "--out", "small")
    assert other.status == 1 and "small.partial is another fit" in other.err
    heard.clear()
    stops = False
    done = retina(*words, "--out", "small")
    assert done.status == 0 and "going on from small.partial" in done.err
    assert {part for part, _ in heard} == {len(parts) - 1}, "those before were over"
    assert not list(tmp_path.glob("*.partial"))
    assert retina(*words, "--out", "whole").status == 0
    _same(tmp_path / "small", tmp_path / "whole")


def _curve(run):
    lines = (run / "metrics.jsonl").read_text().splitlines()
    names = ("part", "step", "train_loss", "validation")
    return [tuple(json.loads(line)[name] for name in names) for line in lines]


def _same(small, whole):
    assert (small / "params.h5").read_bytes() == (whole / "params.h5").read_bytes()
    assert _curve(small) == _curve(whole)


# Kills itself, as kill -9 would, between two checkpoints of its last fit.
DEADLY = """
import os, signal
from retina.cli import output
from retina.fitting import checkpoints
checkpoints.EVERY_S, words, heard = 0.0, output.fit_words, []
def deadly(event):
    heard.append(event["part"])
    if heard.count(1) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return words(event)
output.fit_words = deadly
"""


@pytest.mark.slow
def test_killed_in_the_middle_it_goes_on_to_the_same_numbers(desk):
    cache = {"JAX_COMPILATION_CACHE_DIR": str(desk.folder / "xla")}
    desk = desk._replace(environment=desk.environment | cache)
    assert desk.retina("fit", "tiny", "ln", *FIT, "--out", "run").status == 0
    words = ["reduce", "taps,quantise", "run", "--set", "refit_steps=80", "--set"]
    words += ["optimiser=adam", "--out"]
    process = desk.start(*words, "small", first=DEADLY)
    process.communicate(timeout=300)
    assert process.returncode == -signal.SIGKILL
    assert not (desk.folder / "small").exists()
    done = desk.retina(*words, "small")
    assert done.status == 0 and "going on from small.partial" in done.err
    assert not list(desk.folder.glob("*.partial"))
    assert desk.retina(*words, "whole").status == 0
    _same(desk.folder / "small", desk.folder / "whole")


@pytest.mark.slow
def test_a_reduced_run_is_scored_and_reduced_again(retina, run, tmp_path):
    assert retina("reduce", "taps", "run", "--out", "short").status == 0
    score = retina("score", "short", "--json")
    assert score.status == 0 and json.loads(score.out)["model"] == "ln"
    again = retina("reduce", "quantise", "short", "--set", "refit_steps=0", "--json")
    told = json.loads(again.out)
    assert told["parent"] == str(tmp_path / "short")
    assert told["run"].startswith("short-quantise-")
    lineage = told["training"]["lineage"]
    assert [step["method"] for step in lineage] == ["taps", "quantise"]
    cost = json.loads(retina("cost", told["run"], "--json").out)
    # Of two cells, 3 weights of 8 bits each times a signal of 32.
    assert cost["bit_operations_per_bin"] == 2 * 3 * 8 * 32
    assert cost["flops_per_bin"] > 0


def test_a_method_is_shown_with_its_keywords(retina):
    text = retina("show", "quantise").out
    assert "reduction quantise" in text and "kind" in text
    about = json.loads(retina("show", "prune", "--json").out)
    assert about["keywords"] == {"keep": 0.5}
