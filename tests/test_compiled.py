"""Compiled programs are kept where they can be, and nowhere by force."""

from __future__ import annotations

import os

import pytest

from retina import compiled


@pytest.fixture
def environment(monkeypatch, tmp_path):
    monkeypatch.setenv("RETINA_CACHE", str(tmp_path))
    for name in ("DIR", "MIN_COMPILE_TIME_SECS", "MIN_ENTRY_SIZE_BYTES"):
        for start in ("JAX_COMPILATION_CACHE_", "JAX_PERSISTENT_CACHE_"):
            monkeypatch.setenv(start + name, "")  # so that monkeypatch puts it back
            monkeypatch.delenv(start + name)
    return tmp_path


def test_beside_the_derived_files(environment):
    compiled.keep()
    assert os.environ["JAX_COMPILATION_CACHE_DIR"] == str(environment / "xla")
    assert (environment / "xla").is_dir()


def test_a_folder_of_ones_own_is_left_alone(environment, monkeypatch):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "")
    compiled.keep()
    assert os.environ["JAX_COMPILATION_CACHE_DIR"] == ""
    assert not (environment / "xla").exists()


def test_nothing_is_kept_where_nothing_can_be_written(environment):
    (environment / "xla").write_text("in the way")
    compiled.keep()
    assert "JAX_COMPILATION_CACHE_DIR" not in os.environ
