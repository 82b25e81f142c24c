"""`retina fit`: finished, interrupted, resumed, refused."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import typer

from retina import store
from retina.cli import fitting, interrupt, main, output
from retina.fitting.checkpoints import present
from retina.fitting.loggers import ROW

QUICK = ("--set", "lags=6", "--set", "basis=4", "--set", "rank=1")
# A fit of many short rounds that no plateau ends: there is time to interrupt it.
LONG = (
    *QUICK,
    *("--set", "optimiser=adam", "--set", "max_steps=4000"),
    *("--set", "patience=1000"),
)


def test_a_fit_is_a_run_that_says_what_made_it(retina):
    done = retina("fit", "tiny", "ln", *QUICK, "--key", 3, "--out", "run", "--json")
    assert done.status == 0
    told = json.loads(done.out)
    assert {"run", "model", "dataset", "validation", "training"} <= set(told)
    assert len(told["validation"]["per_cell"]) == 2
    assert told["validation"]["median"] > 0.1, "bits per spike of a clear response"
    record = store.read("run")
    assert record["asked"]["key"] == 3
    assert record["asked"]["settings"]["lags"] == 6
    assert record["asked"]["settings"]["smooth"] == 1e-4, "defaults are kept too"
    assert record["cell_names"] == ("0", "1")
    assert os.listdir() == ["run"], "nothing half-made is left"


def test_learning_rates_as_a_list_are_told_side_by_side(retina):
    lists = ("--set", "learning_rate=[0.001,0.03]", "--set", "l2=0,1.0")
    steps = ("--set", "optimiser=adam", "--set", "max_steps=40")
    done = retina("fit", "tiny", "ln", *QUICK, *steps, *lists, "--out", "run")
    assert done.status == 0, done.err
    assert "note: fitted to " in done.err and " that are not fitted to (" in done.err
    rows = [line.split() for line in done.out.splitlines()]
    at = rows.index(["learning_rate", "l2", "validation_bits"])
    tried = [tuple(row[:2]) for row in rows[at + 1 : at + 5]]
    assert tried == [("0.001", "0"), ("0.001", "1"), ("0.03", "0"), ("0.03", "1")]
    again = retina("fit", "tiny", "ln", *QUICK, *steps, *lists, "--out", "run")
    assert "finished already" in again.err
    wrong = ("--set", "learning_rate=[0.1,often]")
    done = retina("fit", "tiny", "ln", *QUICK, *steps, *wrong, "--out", "other")
    assert done.status == 1 and "valid number" in done.err


def test_a_lost_ctrl_c_is_found_at_the_next_thing_told(monkeypatch):
    """As in a callback of the garbage collector, which prints it and goes on."""
    monkeypatch.setattr(signal, "getsignal", lambda _: signal.default_int_handler)
    handlers = []
    monkeypatch.setattr(signal, "signal", lambda _, one: handlers.append(one))
    interrupt.listen()
    with output.meter("a fit") as tell:
        tell(0.1, "under way")
        with contextlib.suppress(KeyboardInterrupt):
            handlers[0](signal.SIGINT, None)
        with pytest.raises(KeyboardInterrupt):
            tell(0.2, "under way")
    interrupt.listen()
    interrupt.check()


def test_the_table_ends_with_what_to_type_next(retina):
    done = retina("fit", "tiny", "mean", "--out", "run")
    assert "validation bits/spike" in done.out
    assert "next: retina score run" in done.out


def test_without_out_the_same_command_finds_its_run(retina):
    first = json.loads(retina("fit", "tiny", "mean", "--json").out)["run"]
    again = retina("fit", "tiny", "mean", "--json")
    assert "finished already" in again.err
    assert json.loads(again.out)["run"] == first
    other = json.loads(retina("fit", "tiny", "mean", "--key", 1, "--json").out)["run"]
    assert other != first


def test_another_fit_in_the_same_folder_is_refused(retina):
    retina("fit", "tiny", "ln", *QUICK, "--out", "run")
    before = Path("run/record.json").read_bytes()
    done = retina("fit", "tiny", "ln", *QUICK, "--key", 1, "--out", "run")
    assert done.status == 1
    assert "run is another fit (key 0 there, 1 here)" in done.err
    assert Path("run/record.json").read_bytes() == before


def test_a_folder_of_something_else_is_refused(retina):
    Path("thesis").mkdir()
    Path("thesis/chapter.tex").touch()
    done = retina("fit", "tiny", "mean", "--out", "thesis")
    assert done.status == 1 and "not a run" in done.err
    assert os.listdir("thesis") == ["chapter.tex"]
    # Nor is one whose name is that of a run while it is made.
    Path("thesis").rename("run.partial")
    done = retina("fit", "tiny", "mean", "--out", "run")
    assert done.status == 1 and "not a fit that was begun" in done.err
    assert os.listdir("run.partial") == ["chapter.tex"]


def test_a_folder_that_cannot_be_written_is_refused_before_the_fit(retina):
    Path("file").touch()
    done = retina("fit", "tiny", "mean", "--out", "file/run")
    assert done.status == 1
    assert "name another folder" in done.err
    assert "%" not in done.err, "nothing was fitted"


def test_cells_and_bins_are_chosen(retina):
    retina("fit", "tiny", "mean", "--cells", "1", "--bin-s", 0.04, "--out", "run")
    record = store.read("run")
    assert record["cell_names"] == ("1",)
    assert record["spec"]["bin_s"] == 0.04


def test_a_model_and_a_card_in_files(retina, lab):
    retina("new", "model", "mine")
    done = retina(
        "fit", lab / "tiny.toml", "mine.py", "--set", "fast_s=0.02", "--out", "r"
    )
    assert done.status == 0, done.err
    os.mkdir("elsewhere")
    os.chdir("elsewhere")
    assert dict(store.load("../r").model.settings)["fast_s"] == 0.02


@pytest.mark.slow
def test_a_model_file_that_changed_since_is_another_model(desk):
    desk.retina("new", "model", "mine")
    words = ("fit", "tiny", "mine.py", "--set", "max_steps=1", "--out", "r")
    assert desk.retina(*words).status == 0
    assert desk.retina("score", "r").status == 0
    file = desk.folder / "mine.py"
    file.write_text(file.read_text() + "\n# gain = 3\n")
    again = desk.retina(*words)
    assert again.status == 1 and "r is another fit (source" in again.err
    scored = desk.retina("score", "r")
    assert scored.status == 1 and "before its last change: fit it again" in scored.err


def _metrics(run: Path) -> list[dict]:
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_the_curve_is_told_line_by_line_and_stays_in_the_run(retina):
    sets = ("optimiser=adam", "max_steps=120", "schedule=cosine", "learning_rate=0.1")
    words = [word for one in sets for word in ("--set", one)]
    command = ("fit", "tiny", "ln", *QUICK, *words, "--seeds", 2, "--out", "run")
    assert retina(*command).status == 0
    rows, curve = _metrics(Path("run")), store.read("run")["curve"]
    assert [row["step"] for row in rows] == [line["step"] for line in curve]
    assert len(rows) > 2
    for row, line in zip(rows, curve, strict=True):
        assert list(row) == list(ROW)
        assert len(row["validation"]) == 2
        assert max(row["validation"]) == pytest.approx(line["validation_bits"])
    assert [row["rate"] for row in rows][0] == 0, "a schedule rises from nothing"
    assert rows[-1]["rate"] == pytest.approx(0, abs=1e-6)
    assert 0.01 < rows[1]["rate"] < 0.1
    assert rows[0]["steps_per_s"] is None and rows[1]["steps_per_s"] > 0
    assert sorted(os.listdir("run")) == ["metrics.jsonl", "params.h5", "record.json"]


@pytest.mark.parametrize(
    ("name", "said"),
    [("tensorbord", "did you mean 'tensorboard'"), ("wandb", "retina-frontier[wandb]")],
)
def test_a_place_to_log_to_that_is_not_there_is_one_line(
    retina, monkeypatch, name, said
):
    monkeypatch.setitem(sys.modules, "wandb", None)
    done = retina("fit", "tiny", "mean", "--log", name, "--out", "run")
    assert done.status == 1 and said in done.err
    assert len(done.err.splitlines()) == 1
    assert os.listdir() == []


def test_two_places_to_log_to(retina):
    pytest.importorskip("tensorboardX")
    more = ("--log", "tensorboard", "--log", "jsonl")
    assert retina("fit", "tiny", "mean", *more, "--out", "run").status == 0
    assert len(_metrics(Path("run"))) == 1
    assert list(Path("run/tensorboard").iterdir())


def _params(run: Path) -> list[np.ndarray]:
    import jax

    return [np.asarray(leaf) for leaf in jax.tree.leaves(store.load(run).params)]


def _wait(condition, process: subprocess.Popen, seconds: float = 300) -> None:
    start = time.monotonic()
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() - start < seconds
        time.sleep(0.02)


def test_a_stopped_fit_goes_on_to_the_same_numbers(retina, tmp_path, monkeypatch):
    """Within this process; signals to one of its own follow."""
    steps = ("--set", "optimiser=adam", "--set", "max_steps=160")
    command = ("fit", "tiny", "ln", *QUICK, *steps, "--out", "run")
    fit_words, stops = output.fit_words, True

    def listening(event):
        if stops and event["step"]:
            raise KeyboardInterrupt
        return fit_words(event)

    monkeypatch.setattr(output, "fit_words", listening)
    done = retina(*command)
    assert done.status == 130 and "the same command goes on" in done.err
    assert present(tmp_path / "run.partial" / "checkpoint")
    stops = False
    other = retina(*command, "--key", 1)
    assert other.status == 1 and "run.partial is another fit" in other.err
    _goes_on(retina, tmp_path, command)


@pytest.mark.slow
def test_a_fit_killed_and_then_interrupted_goes_on_to_the_same_numbers(desk):
    # Programs of its own: what the killed leave half-written is no other test's.
    cache = {"JAX_COMPILATION_CACHE_DIR": str(desk.folder / "xla")}
    desk = desk._replace(environment=desk.environment | cache)
    # So long that it is not over when the signal comes.
    longer = [word.replace("4000", "12000") for word in LONG]
    command = ("fit", "tiny", "ln", *longer, "--out", "run")
    partial = desk.folder / "run.partial"
    checkpoint, told = partial / "checkpoint", partial / "metrics.jsonl"

    def lines() -> int:
        return len(told.read_bytes().splitlines()) if told.exists() else 0

    # kill -9 leaves the last checkpoint that was due.
    often = "from retina.fitting import checkpoints; checkpoints.EVERY_S = 0.0"
    process = desk.start(*command, first=often)
    _wait(lambda: present(checkpoint), process)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=300)
    assert not (desk.folder / "run").exists() and present(checkpoint)

    # Ctrl-C leaves one of its own.
    before = lines()
    process = desk.start(*command)
    _wait(lambda: lines() > before + 2, process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=300)
    assert not (desk.folder / "run").exists() and present(checkpoint)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert "the same command goes on" in err

    _goes_on(desk.retina, desk.folder, command)


def _goes_on(retina, folder: Path, command: tuple[str, ...]) -> None:
    """What was stopped ends as what never was."""
    partial = folder / "run.partial"
    assert not (folder / "run").exists()
    # What a write that was killed half way leaves is no part of the run.
    (partial / ".metrics.jsonl.0123").write_bytes(b"half")
    resumed = retina(*command)
    assert resumed.status == 0, resumed.err
    assert "going on from" in resumed.err
    assert not (folder / "run" / ".metrics.jsonl.0123").exists()
    assert not partial.exists()
    whole = retina(*command[:-1], "whole")
    assert whole.status == 0 and "going on from" not in whole.err
    pairs = zip(_params(folder / "run"), _params(folder / "whole"), strict=True)
    for one, other in pairs:
        assert one.tobytes() == other.tobytes()
    # Nothing is told twice and nothing is missing.
    rows, wanted = (_metrics(folder / name) for name in ("run", "whole"))
    for name in ("step", "train_loss", "validation", "rate"):
        assert [row[name] for row in rows] == [row[name] for row in wanted]


@pytest.mark.slow
def test_the_same_command_twice_at_once_is_one_line(desk):
    command = ("fit", "tiny", "ln", *LONG, "--out", "run")
    process = desk.start(*command)
    lock = desk.folder / "run.partial" / "checkpoint" / "lock"
    _wait(lambda: lock.exists() and lock.read_bytes(), process)
    process.send_signal(signal.SIGSTOP)  # else it may be done before the other begins
    try:
        again = desk.retina(*command)
    finally:
        process.send_signal(signal.SIGCONT)
        process.communicate(timeout=300)
    assert again.status == 1
    assert f"another process (pid {process.pid}) is at work" in again.err
    assert process.returncode == 0


def test_the_same_command_while_the_run_is_stored_is_one_line(retina, monkeypatch):
    command = ("fit", "tiny", "ln", *QUICK, "--out", "run")
    save, second = store.save, []

    def storing(*args, **more):
        if not second:
            second.append(None)
            second[0] = retina(*command)
        save(*args, **more)

    monkeypatch.setattr(store, "save", storing)
    assert retina(*command).status == 0
    assert second[0].status == 1 and "at work in" in second[0].err
    assert len(second[0].err.splitlines()) == 1
    assert os.listdir() == ["run"]


def test_the_same_command_as_the_first_ends_finds_its_run(retina, monkeypatch):
    """It asked whether there was a run before the first stored it."""
    command = ("fit", "tiny", "ln", *QUICK, "--out", "run")
    asked, first = fitting.finished, []

    def late(*args):
        there = asked(*args)
        if not first:
            first.append(None)
            first[0] = retina(*command)
        return there

    monkeypatch.setattr(fitting, "finished", late)
    done = retina(*command)
    assert first[0].status == done.status == 0
    assert "finished already" in done.err and "finished already" not in first[0].err
    assert os.listdir() == ["run"]


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_the_fit_goes_on_later(desk):
    """The kernel refuses bytes past a limit, as it does on a full disk."""
    command = ["fit", "tiny", "ln", *QUICK, "--out", "run"]
    limited = """
import resource
from retina.cli.main import run
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
run()
"""
    done = subprocess.run(
        [sys.executable, "-c", limited, *command],
        capture_output=True,
        text=True,
        cwd=desk.folder,
        env=desk.environment,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "free some space" in done.stderr.splitlines()[-1]
    assert not (desk.folder / "run").exists()
    assert desk.retina(*command).status == 0


def _own_card(lab: Path, folder: Path) -> tuple[Path, str]:
    """A card of our own, with its file beside it, and its text."""
    folder.mkdir(exist_ok=True)
    card = folder / "mine.toml"
    text = (lab / "tiny.toml").read_text().replace('"tiny"', '"mine"')
    # Not standardised: the clips' moments cannot give an edited split away.
    text = text.replace("lead =", 'coding = "contrast"\nlead =')
    card.write_text(text)
    (folder / "tiny.npz").write_bytes((lab / "tiny" / "tiny.npz").read_bytes())
    return card, text


def test_a_card_that_changed_since_is_another_recording(retina, lab, tmp_path):
    """What was trained on may be tested on now: the score is refused."""
    card, text = _own_card(lab, tmp_path)
    assert retina("fit", card, "mean", "--out", "run").status == 0
    assert retina("score", "run").status == 0
    assert retina("frontier", "run", "--x", "flops_per_s").status == 0
    card.write_text(text.replace("[10, 3000]", "[10, 2000]"))
    again = retina("score", "run")
    assert again.status == 1 and "has changed since" in again.err
    kept = retina("frontier", "run", "--x", "flops_per_s")
    assert kept.status == 1 and "since run was fitted" in kept.err
    other = retina("fit", card, "mean", "--out", "run")
    assert other.status == 1 and "another fit" in other.err
    # Whichever run stands first, the comparison is refused as well.
    assert retina("fit", card, "mean", "--out", "new").status == 0
    for pair in (("run", "new"), ("new", "run")):
        compared = retina("compare", *pair)
        assert compared.status == 1 and "since run was fitted" in compared.err
    # Where the card is gone, a score that was kept can still be read.
    card.unlink()
    assert retina("frontier", "run", "--x", "flops_per_s").status == 0


def test_two_cards_of_one_name_are_not_compared(retina, lab, tmp_path):
    for folder, train in (("a", "[10, 3000]"), ("b", "[10, 2000]")):
        card, text = _own_card(lab, tmp_path / folder)
        card.write_text(text.replace("[10, 3000]", train))
        assert retina("fit", card, "mean", "--out", f"run_{folder}").status == 0
    done = retina("compare", "run_a", "run_b")
    assert done.status == 1 and "different cards, or files, of 'mine'" in done.err


def test_more_lags_than_a_block_has_bins_is_one_line(retina):
    done = retina("fit", "tiny", "ln", "--set", "lags=5000", "--out", "run")
    assert done.status == 1 and "Traceback" not in done.err
    assert "4999 bins of history" in done.err and "lower its lags" in done.err
    assert not Path("run").exists()


EDGED = """
import jax.numpy as jnp
from retina.models.ln import ln

def edged(spec, /):
    def penalty(params):
        largest = jnp.max(jnp.abs(params["temporal"]["weights"]))
        return jnp.where(largest > 4.0, jnp.nan, 0.0)

    model = ln(spec, lags=6, rank=1, output_kind="exp")
    return model._replace(warm_start=None, penalty=penalty)
"""


def test_more_steps_are_advised_where_they_may_help(capsys):
    training = {"converged": False, "steps": 9, "best_step": 3}
    training |= {"fit_s": 1.0, "compile_s": 1.0}
    record = {"model": "ln", "dataset": "tiny", "cell_names": ["a"]}

    def told(bits, **more):
        validation = {"per_cell": [bits], "median": bits}
        made = record | {"validation": validation, "training": training | more}
        fitting._print_validation(Path("run"), made)
        return capsys.readouterr().out

    assert "not converged: stopped after 9 steps: more of them with" in told(0.1)
    exploded = told(0.1, stopped="the loss became nan")
    assert "not converged: the loss became nan\n" in exploded
    assert "max_steps" not in exploded
    nothing = told(-0.1)
    assert "max_steps" not in nothing
    assert "no better than each cell's mean rate: does retina check tiny" in nothing


@pytest.mark.slow
def test_a_fit_whose_loss_explodes_is_stored_as_it_was_before(retina):
    Path("edged.py").write_text(EDGED)
    sets = ("optimiser=adam", "schedule=linear", "learning_rate=60", "max_steps=100000")
    words = [word for one in sets for word in ("--set", one)]
    done = retina("fit", "tiny", "edged.py", *words, "--out", "run", "--json")
    assert done.status == 1, "it did not go well, and what there is is kept"
    assert "retina: the loss became nan between steps" in done.err
    assert "its penalty or its training pass is not" in done.err
    assert "are kept; to go further, try --set learning_rate=2e+01" in done.err
    training = store.read("run")["training"]
    assert training["stopped"] in done.err and not training["converged"]
    assert 0 < training["best_step"] <= training["steps"]
    assert not Path("run.partial").exists()


RUNAWAY = '''
import jax
import jax.numpy as jnp
from retina import Model, Parameter, Recipe, chain, memoryless, recurrent


def runaway(spec, /, *, climb: float = 100.0):
    """Explicit Euler of ds/dt = k (x - s); a penalty drives k through its bound, 2.

    No slope warns of it.
    """

    def step(params, state, x):
        k = params["k_fast"]
        k = k + jax.lax.stop_gradient(30 * jnp.maximum(k - 2, 0))
        state = state + (x[None] - state) * k
        return state, state

    euler = recurrent(
        step,
        start=lambda params, key=None: jnp.zeros(spec.cells, jnp.float32),
        init=lambda key: {"k_fast": jnp.full(spec.cells, 0.5, jnp.float32)},
        parameters={"k_fast": Parameter(0.5, "1/bin", axes=("cell",))},
        about=("euler",),
        burn_in_s=0.2,
    )
    rate = memoryless(
        lambda params, x: jax.nn.softplus(x + params["bias"]),
        init=lambda key: {"bias": jnp.full(spec.cells, 2.0, jnp.float32)},
        parameters={"bias": Parameter(axes=("cell",))},
        about=("rate",),
    )
    return Model(
        "runaway",
        spec,
        chain(euler, rate),
        penalty=lambda params: -climb * jnp.mean(params["euler"]["k_fast"]),
        recipe=Recipe(
            schedule="linear", learning_rate=2.4, clip_bins=200, max_steps=100_000
        ),
    )
'''


def test_an_equation_that_explodes_is_told_by_bin_and_parameter(retina):
    Path("runaway.py").write_text(RUNAWAY)
    done = retina("fit", "tiny", "runaway.py", "--out", "run", "--json")
    assert done.status == 1
    (line,) = [said for said in done.err.splitlines() if said.startswith("retina: ")]
    told = json.loads(done.out)["training"]["diverged"]
    assert told["part"] == "euler" and told["parameter"] == "euler.k_fast"
    assert told["block"].startswith("train") and 0 <= told["bin"] < 3000
    assert f"in bin {told['bin']} of block {told['block']!r}" in line
    assert f"euler.k_fast, then {told['value']:.4g} 1/bin" in line
    assert told["value"] > 2, "the bound of explicit Euler"
    assert line.endswith("the run is kept in run")
    kept = store.load("run").params["euler"]["k_fast"]
    assert np.all(np.isfinite(kept)) and np.all(kept < told["value"])
    again = retina("fit", "tiny", "runaway.py", "--out", "run")
    assert again.status == 1 and line in again.err
    # What was kept is a run as any other.
    assert retina("score", "run").status == 0


@pytest.mark.parametrize("resumable", [True, False])
def test_a_stop_promises_to_go_on_only_where_it_does(monkeypatch, capsys, resumable):
    def stopped():
        raise KeyboardInterrupt

    monkeypatch.setattr(main, "_RESUMABLE", (stopped,) if resumable else ())
    with pytest.raises(typer.Exit) as exit:
        main._guarded(stopped)()
    assert exit.value.exit_code == 130
    assert ("goes on" in capsys.readouterr().err) == resumable


def test_a_card_that_tests_on_what_it_trains_on_is_refused(retina, lab):
    """Without `retina check`, in one line, and before anything is fitted."""
    tiny = (lab / "tiny.toml").read_text().replace('"tiny"', '"leaky"')
    card = Path("leaky.toml")
    shutil.copy(lab / "tiny" / "tiny.npz", "tiny.npz")
    card.write_text(tiny.replace("[3010, 3400]", "[2990, 3400]"))
    done = retina("fit", card, "mean", "--out", "run")
    assert done.status == 1 and not Path("run").exists()
    (line,) = done.err.splitlines()
    assert "train (10, 3000) and validation (2990, 3400) share frames" in line
    # The same stimulus twice under different frame numbers shows in the bins alone.
    with np.load("tiny.npz") as file:
        arrays = dict(file)
    arrays["stimulus"][1000:1400] = arrays["frozen.stimulus"]
    np.savez("tiny.npz", **arrays)
    card.write_text(tiny.partition("bytes")[0])
    done = retina("fit", card, "mean", "--out", "run")
    assert done.status == 1 and not Path("run").exists()
    assert "leave these frames out of training" in done.err.splitlines()[-1]
