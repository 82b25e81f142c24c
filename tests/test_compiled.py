"""Compiled programs are kept where they can be, and nowhere by force."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings

import pytest

from retina import compiled


@pytest.fixture
def environment(monkeypatch, tmp_path):
    monkeypatch.setenv("RETINA_CACHE", str(tmp_path))
    for name in ("DIR", "MIN_COMPILE_TIME_SECS", "MIN_ENTRY_SIZE_BYTES"):
        for start in ("JAX_COMPILATION_CACHE_", "JAX_PERSISTENT_CACHE_"):
            monkeypatch.setenv(start + name, "")  # so that monkeypatch puts it back
            monkeypatch.delenv(start + name)
    monkeypatch.setitem(sys.modules, "jax", None)  # not imported yet
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


PROGRAM = """
from retina import compiled
compiled.keep()
import jax
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
print(jax.jit(lambda x: x * 2 + 1)(3.0))
"""


def _run(program: str = PROGRAM) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, check=True)


# As in a notebook: jax is there, and has compiled, before the first fit.
LATE = """
import jax
jax.numpy.ones(3)
from retina import compiled
compiled.keep()
print(jax.config.jax_compilation_cache_dir)
"""


def test_a_fit_from_python_keeps_its_programs_too(environment):
    assert _run(LATE).stdout.split() == [str(environment / "xla")]


def test_a_folder_that_jax_was_told_of_is_left_alone(environment):
    told = 'jax.config.update("jax_compilation_cache_dir", "mine")\n'
    ours = LATE.replace("from retina", told + "from retina")
    assert _run(ours).stdout.split() == ["mine"]
    assert not (environment / "xla").exists()


FIT = """
import jax
import retina

read = []
jax.monitoring.register_event_listener(
    lambda event, **about: read.append(event.endswith("cache_hits"))
)
from tests.fitting import synthetic
split = synthetic.split(synthetic.truth((20, 20)), train=2000, held_out=500)
model = retina.model("ln", split.spec, lags=5, rank=1)
fit = retina.fit(model, split, key=jax.random.key(0), max_steps=8)
print(sum(read))
"""


@pytest.mark.slow
@pytest.mark.fast_code
def test_a_second_start_reads_what_the_first_compiled(environment):
    first, second = (int(_run(FIT).stdout) for _ in range(2))
    kept = len([*(environment / "xla").glob("*-cache")])
    assert kept > 0 and second > first
    assert second - first >= kept // 2


def test_a_damaged_program_is_made_anew_in_silence(environment):
    """What a process leaves that is killed as it writes."""
    _run()
    kept = {file: file.stat().st_size for file in (environment / "xla").glob("*-cache")}
    assert kept
    for file, size in kept.items():
        os.truncate(file, size // 2)
    again = _run()
    assert (again.stdout, again.stderr) == ("7.0\n", "")
    assert {file: file.stat().st_size for file in kept} == kept


def test_other_warnings_are_shown(environment, monkeypatch):
    seen = []
    monkeypatch.setattr(warnings, "showwarning", lambda *about: seen.append(about[0]))
    monkeypatch.setattr(compiled, "_passed_on", None)
    with warnings.catch_warnings():
        compiled.keep()
        warnings.simplefilter("always")
        warnings.warn("the sky is falling", stacklevel=1)
    assert [str(message) for message in seen] == ["the sky is falling"]
