"""`retina list`, `show`, and what a mistake looks like."""

from __future__ import annotations

import dataclasses
import functools
import json
import subprocess
import sys

import pytest

from retina import formulation, registry
from retina.cli import names
from retina.cli.settings import parse
from retina.settings import checked
from retina.stage import Recipe


@pytest.mark.parametrize("kind", registry.KINDS)
def test_list(retina, kind):
    plain = retina("list", kind)
    listed = json.loads(retina("list", kind, "--json").out)
    assert plain.status == 0
    rows = [line.partition("\t") for line in plain.out.splitlines()]
    assert [name for name, _, _ in rows] == listed == registry.names(kind)
    assert all(about for _, _, about in rows), "a line on each"


def test_list_fits_a_terminal(retina, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    for kind in registry.KINDS:
        names.list_names(kind)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    (ln,) = [line for line in lines if line.startswith("ln ")]
    assert "Each cell's filter on its own window" in ln


@pytest.mark.parametrize("kind", registry.KINDS)
def test_show_everything_that_is_listed(retina, kind, monkeypatch):
    # In words and as JSON: what there is, and what is said of it, is found out once.
    monkeypatch.setattr(registry, "names", functools.cache(registry.names))
    monkeypatch.setattr(names, "_describe", functools.cache(names._describe))
    for name in registry.names(kind):
        done = retina("show", name, "--kind", kind)
        assert done.status == 0 and name in done.out
        assert isinstance(json.loads(retina("show", name, "--json").out), dict)


def test_show_a_model_names_keywords_units_bounds_and_sources(retina):
    about = json.loads(retina("show", "ln", "--json").out)
    assert about["keywords"]["rank"] == 2
    gain = next(row for row in about["parameters"] if row["name"] == "output.gain")
    assert (gain["unit"], gain["low"], gain["source"]) == ("count", 0.0, "chosen")
    assert gain["high"] is None, "infinity has no JSON"
    text = retina("show", "ln").out
    assert "--set key=value" in text and "output.gain" in text


def test_show_a_model_lists_every_setting_of_its_fit(retina):
    fields = {field.name: field.default for field in dataclasses.fields(Recipe)}
    for name, optimiser, idle in (
        ("ln", "lbfgs", {"learning_rate", "clip_bins", "batch", "in_turn"}),
        ("cnn", "adam", {"settle"}),
    ):
        told = json.loads(retina("show", name, "--json").out)["fit"]
        assert list(told) == list(fields), "each has a line, in the order of the fields"
        assert told["optimiser"]["default"] == optimiser
        assert {key for key, one in told.items() if not one["used"]} == idle
        assert all(one["meaning"] for one in told.values())
        text = retina("show", name).out
        lines = text.partition("settings of the fit")[2].splitlines()
        assert any(line.startswith("patience ") for line in lines)
        rows = [line for line in lines if line.split(" ")[0] in fields]
        assert len(rows) == len(fields) - len(idle)
        assert max(map(len, rows)) <= 110
    assert "retina show MODEL" in " ".join(retina("fit", "--help").out.split())


def test_show_device_tells_what_was_measured(retina, tmp_path, monkeypatch):
    monkeypatch.setattr(formulation, "place", lambda: tmp_path / "formulations.json")
    monkeypatch.setattr(formulation, "_measured", {})
    text = retina("show", "device").out
    assert formulation.device() in text and "nothing measured yet" in text
    monkeypatch.setattr(
        formulation, "_measured", {"sum 3x4": {"slow": 0.002, "quick": 0.0005}}
    )
    _, heads, row, last = retina("show", "device").out.splitlines()
    assert heads.split() == ["operation", "and", "shape", "chosen", "measured"]
    assert row == "sum 3x4              quick   slow 2.0 ms, quick 0.5 ms"
    assert str(tmp_path / "formulations.json") in last
    about = json.loads(retina("show", "device", "--json").out)
    assert about["choices"]["sum 3x4"]["chosen"] == "quick"
    assert about["devices"] >= 1 and about["device"] == formulation.device()


def test_show_a_name_of_two_kinds_shows_both(retina):
    assert {"datasets", "readers"} <= set(
        json.loads(retina("show", "simulated", "--json").out)
    )


def test_show_a_file(retina, lab, tmp_path):
    retina("new", "model", "mine")
    assert "parameter" in retina("show", "mine.py").out
    assert "tiny" in retina("show", lab / "tiny.toml").out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("list", "modles"), "no kind 'modles': did you mean 'models'"),
        (("show", "lnnl"), "did you mean 'lnln'"),
        (("fit", "tinny", "ln"), "no dataset 'tinny': did you mean 'tiny'"),
        (("fit", "tiny", "lnm"), "no model 'lnm': did you mean"),
        (("fit", "tiny", "ln", "--set", "lag=3"), "no keyword 'lag': did you mean"),
        (("fit", "tiny", "ln", "--set", "lags=many"), "lags='many' of ln: input sh"),
        (("fit", "tiny", "ln", "--set", "lags=0"), "lags 0: 1 or more"),
        (("fit", "tiny", "ln", "--set", "max_step=3"), "did you mean 'max_steps'"),
        (("fit", "tiny", "ln", "--cells", "7"), "7"),
        (("fit", "tiny", "ln", "--bin-s", "100"), "bin_s = 100 is longer"),
        (("score", "nowhere"), "no run"),
        (("cost", "runs/nowhere"), "no run"),
        (("frontier", "nowhere"), "no run"),
        (("sweep", "askss"), "no experiment 'askss': did you mean 'asks'"),
        (("sweep", "asks", "--executor", "dusk"), "no executor 'dusk'"),
        (("check", "tinny"), "no dataset 'tinny'"),
        (("check", "tinny.toml"), "there is no file tinny.toml: "),
        (("fetch", "tinny"), "no dataset 'tinny'"),
        (("new", "modle", "x"), "no template for 'modle': did you mean 'model'"),
        (("new", "model", "two words"), "'two words' cannot be a file's name"),
        (("new", "model", "ln"), "there is a model 'ln' already"),
        (("simulate", "ln", "--out", "x.csv"), "ends in .npz"),
    ],
)
def test_a_mistake_is_one_line_and_status_1(retina, words, says):
    done = retina(*words)
    assert done.status == 1
    assert says in done.err
    last = done.err.strip().splitlines()[-1]
    assert last.startswith("retina: ")
    assert done.out == ""


@pytest.mark.parametrize(
    "words",
    [
        ("fit",),
        ("fitt",),
        ("fit", "tiny", "ln", "--set", "lags"),
        ("fit", "tiny", "ln", "--set", "lags=3", "--set", "lags=4"),
        ("fit", "tiny", "ln", "--seeds", "0"),
        ("fit", "tiny", "ln", "--key", 2**32),  # jax would take it for 0
        ("simulate", "ln", "--dataset", "tiny", "--out", "x.npz", "--key", 10**20),
        ("cost", "ln"),
        ("cost", "ln", "--frame", "20by20", "--cells", "1", "--bin-s", "0.01"),
        ("cost", "ln", "--dataset", "tiny", "--cells", "1"),
        ("simulate", "ln", "--out", "x.npz"),
    ],
)
def test_wrong_usage_is_status_2(retina, words):
    done = retina(*words)
    assert done.status == 2
    assert "Usage: " in done.err


def test_set_takes_numbers_words_tuples_and_nothing():
    words = ["a=1", "b=1e-3", "c=relu", "d=None", "e=TRUE", "f=8,16", "g=[1,2]", "h="]
    assert parse(words) == {
        "a": 1,
        "b": 1e-3,
        "c": "relu",
        "d": None,
        "e": True,
        "f": (8, 16),
        "g": (1, 2),
        "h": "",
    }


def test_a_whole_number_will_do_for_a_real_one_and_not_the_other_way():
    from retina.errors import BadSetting

    def model(spec, *, rate: float = 0.1, lags: int = 3, sizes: tuple[int, ...] = ()):
        pass

    settings = checked({"rate": 1, "sizes": (3,)}, model, "m")
    assert settings == {"rate": 1.0, "sizes": (3,)}
    assert isinstance(settings["rate"], float)
    for wrong in ({"lags": 3.5}, {"lags": True}, {"lags": "3"}, {"sizes": 3}):
        with pytest.raises(BadSetting, match="of m: input should be a valid"):
            checked(wrong, model, "m")


def test_a_reader_that_stops_listening_is_no_error(desk):
    """`retina list models | head -1`"""
    command = (
        f"{sys.executable} -c 'from retina.cli.main import run; run()' list models"
    )
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"{command} | true"],
        capture_output=True,
        text=True,
        cwd=desk.folder,
        env=desk.environment,
    )
    assert done.stderr == ""


def test_version(retina):
    import retina as package

    assert retina("--version").out.strip() == package.__version__
