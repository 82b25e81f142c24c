"""Things are found by the name of their file; a misspelt name gets the nearest."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from retina import registry, resources
from retina.errors import UnknownName

MODEL = "def double(spec, *, gain=2):\n    return gain\n\ndef other():\n    return 1\n"


@pytest.mark.parametrize("kind", [kind for kind in registry.KINDS])
def test_each_listed_name_is_found(kind: str):
    for name in registry.names(kind):
        found = registry.find(kind, name)
        assert (
            isinstance(found, Path) if kind in registry.RESOURCES else callable(found)
        )


def test_the_six_models_are_there():
    assert {"mean", "ln", "glm", "lnln", "cnn", "lnk"} <= set(registry.names("models"))


def test_listing_imports_no_plug_in(tmp_path, monkeypatch):
    """A plug-in that cannot be imported spoils neither the list nor the others."""
    import retina.metrics

    folder = tmp_path / "metrics"
    folder.mkdir()
    (folder / "broken.py").write_text("import absent\ndef broken(rate, response): ...")
    (folder / "_private.py").write_text("def _private(): ...")
    (folder / "shared.py").write_text("def something_else(): ...")
    monkeypatch.setattr(registry, "__file__", str(tmp_path / "registry.py"))
    assert registry.names("metrics") == ["broken"]
    assert "retina.metrics.broken" not in sys.modules
    assert retina.metrics


@pytest.mark.parametrize(
    ("kind", "typed", "meant"),
    [
        ("models", "lnnl", "lnln"),
        ("metrics", "ccnorm", "cc_norm"),
        ("datasets", "simulate", "simulated"),
        ("experiments", "quikstart", "quickstart"),
    ],
)
def test_a_misspelt_name_gets_the_nearest(kind, typed, meant):
    with pytest.raises(UnknownName, match=f"did you mean.*'{meant}'"):
        registry.find(kind, typed)


def test_a_file_of_that_name_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for kind, file in (("models", "mine.py"), ("datasets", "mine.toml")):
        Path(file).touch()
        with pytest.raises(UnknownName, match=f"write {file}"):
            registry.find(kind, "mine")


def test_an_unknown_kind_gets_the_nearest():
    with pytest.raises(UnknownName, match="did you mean 'models'"):
        registry.names("model")


@pytest.mark.parametrize("name", ["double.py", "double.py:double", "double:double"])
def test_a_file_in_the_working_folder(tmp_path, monkeypatch, name):
    (tmp_path / "double.py").write_text(MODEL)
    monkeypatch.chdir(tmp_path)
    function = registry.find("models", name)
    assert function(None) == 2
    # One name, one function: what jax compiled for it is found again.
    assert registry.find("models", name) is function


def test_a_function_of_an_installed_module():
    assert registry.find("models", "retina.models.ln:ln") is registry.find(
        "models", "ln"
    )


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("absent.py", "no file 'absent.py'"),
        ("absent_module:model", "no module 'absent_module'"),
        ("retina.models.absent:model", "no module 'retina.models.absent'"),
        ("double.py:duoble", "no function 'duoble': did you mean 'double'"),
        ("retina.models.ln:nl", "no function 'nl'"),
    ],
)
def test_what_is_wrong_with_a_path_is_said(tmp_path, monkeypatch, name, says):
    (tmp_path / "double.py").write_text(MODEL)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnknownName, match=says):
        registry.find("models", name)


def test_a_missing_import_of_a_file_is_not_hidden(tmp_path):
    (tmp_path / "lab.py").write_text("import absent_library\ndef lab(spec): ...")
    with pytest.raises(ModuleNotFoundError, match="absent_library"):
        registry.find("models", str(tmp_path / "lab.py"))


def test_an_installed_package_adds_by_entry_point(tmp_path, monkeypatch):
    (tmp_path / "doubler.py").write_text(MODEL)
    info = tmp_path / "doubler-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: doubler\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[retina.models]\ndouble = doubler:double\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "double" in registry.names("models")
    assert registry.find("models", "double")(None) == 2


def test_retina_path_comes_first(tmp_path, monkeypatch):
    (tmp_path / "mine.toml").touch()
    (tmp_path / "simulated.toml").touch()
    (tmp_path / "asks").mkdir()
    (tmp_path / "asks" / "experiment.toml").touch()
    monkeypatch.setenv("RETINA_PATH", f"{tmp_path / 'absent'}:{tmp_path}")
    assert {"mine", "simulated"} <= set(registry.names("datasets"))
    assert registry.find("datasets", "simulated") == tmp_path / "simulated.toml"
    assert registry.find("experiments", "asks") == tmp_path / "asks"


def test_a_card_or_an_experiment_by_its_path(tmp_path):
    card, folder = tmp_path / "lab.toml", tmp_path / "asks"
    card.touch()
    folder.mkdir()
    (folder / "experiment.toml").touch()
    assert registry.find("datasets", str(card)) == card
    assert registry.find("experiments", str(folder)) == folder
    assert registry.find("experiments", str(folder / "experiment.toml")) == folder
    with pytest.raises(UnknownName, match="no file .*/lap.toml: did you mean '.*/lab"):
        registry.find("datasets", str(tmp_path / "lap.toml"))
    with pytest.raises(UnknownName, match="there is no folder .*/nowhere either"):
        registry.find("datasets", str(tmp_path / "nowhere" / "lab.toml"))


def test_the_cache_is_where_the_environment_says(tmp_path, monkeypatch):
    monkeypatch.setenv("RETINA_CACHE", str(tmp_path / "cache"))
    assert resources.cache() == tmp_path / "cache"
    assert resources.derived() == tmp_path / "cache"
    assert not (tmp_path / "cache").exists(), "who writes makes it"


def test_nothing_is_derived_into_a_folder_that_is_read_only(tmp_path, monkeypatch):
    original = tmp_path / "original"
    original.mkdir()
    original.chmod(0o555)
    monkeypatch.setenv("RETINA_CACHE", str(original))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    assert resources.cache() == original
    derived = resources.derived()
    assert derived == tmp_path / "home" / "retina"
