"""Memory and devices that end: one line each, from errors really raised."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
import typer

from retina import build, failures
from retina.cli import main
from retina.errors import DeviceLost, OutOfMemory
from retina.fitting.fit import fit
from tests.fitting import synthetic

KEY = jax.random.key(0)
HUGE = 2**48  # float32 beyond the addresses of any processor: refused, never touched


@pytest.fixture(scope="module")
def split():
    return synthetic.split(synthetic.truth(), train=300, held_out=200)


def _hungry(split):
    """The device refuses what its warm start asks for."""
    model = build.model("ln", split.spec, lags=4, rank=None)

    def greedy(params, clips):
        return jax.block_until_ready(jnp.zeros(HUGE))  # else it is refused later

    return model._replace(warm_start=greedy)


@pytest.mark.parametrize(
    ("recipe", "advice"),
    [
        (
            {"optimiser": "adam", "batch": 6},
            "--set batch=3 (now 6), or lower",
        ),
        ({"optimiser": "adam", "batch": 1, "clip_bins": 90}, "clip_bins=45 (now 90)"),
        ({"optimiser": "lbfgs"}, "fit on clips (--set optimiser=adam)"),
    ],
    ids=["batch", "clip_bins", "lbfgs"],
)
def test_a_device_without_memory_says_what_to_lower(split, recipe, advice):
    with pytest.raises(OutOfMemory) as told:
        fit(_hungry(split), split, key=KEY, seeds=2, **recipe)
    said = str(told.value)
    assert f"Out of memory allocating {4 * HUGE} bytes" in said and "\n" not in said
    assert advice in said and said.endswith("or fit fewer --seeds (now 2)")


@pytest.mark.parametrize("seeds", [1, 2])
def test_values_side_by_side_are_told_apart_from_seeds(split, seeds):
    rates = {"optimiser": "adam", "learning_rate": [1e-3, 3e-3, 1e-2, 3e-2]}
    with pytest.raises(OutOfMemory) as told:
        fit(_hungry(split), split, key=KEY, seeds=seeds, **rates)
    said = str(told.value)
    assert said.endswith(", or give fewer values (now 4 recipes side by side)")
    assert ("fewer --seeds (now 2)" in said) == (seeds == 2)
    assert "--seeds (now 4)" not in said and "--seeds (now 8)" not in said


def test_a_batch_that_no_memory_holds_says_so(split):
    """numpy refuses the order of the clips."""
    model = build.model("ln", split.spec, lags=4, rank=None)
    with pytest.raises(OutOfMemory, match="Unable to allocate .*batch=5000000000000 "):
        fit(model, split, key=KEY, optimiser="adam", batch=10**13)


def test_an_error_of_another_kind_stays_what_it_was(split):
    model = build.model("ln", split.spec, lags=4, rank=None)

    def broken(params, clips):
        raise RuntimeError("INTERNAL: a mistake of the compiler")

    with pytest.raises(RuntimeError, match="a mistake"):
        fit(model._replace(warm_start=broken), split, key=KEY)


@pytest.mark.parametrize(
    "text",
    [
        "UNAVAILABLE: TPU worker went away\nand a long story",
        "DEADLINE_EXCEEDED: barrier timed out",
        "INTERNAL: CUDA error: Failed to launch: CUDA_ERROR_ECC_UNCORRECTABLE: ECC",
        "INTERNAL: Failed to synchronize the device stream",
    ],
)
def test_what_is_said_of_a_device_that_disappears(text):
    line = failures.recognised(jax.errors.JaxRuntimeError(text), "", "go on")
    assert isinstance(line, DeviceLost)
    assert str(line) == f"the device was lost ({text.splitlines()[0]}): go on"


def test_a_mistake_of_the_compiler_is_no_lost_device():
    text = "INTERNAL: ptxas exited with 1: the device function is too large"
    assert failures.recognised(jax.errors.JaxRuntimeError(text), "", "go on") is None


def test_a_fit_that_loses_its_device_goes_on_from_its_checkpoint(split, tmp_path):
    model = build.model("ln", split.spec, lags=4, rank=None)
    place, steps = tmp_path / "checkpoint", []

    def gone(line):
        steps.append(line["step"])
        if line["step"] == 20:
            raise jax.errors.JaxRuntimeError("UNAVAILABLE: gone")

    again = "lost .*: the same command goes on from the checkpoint$"
    for _ in range(2):
        with pytest.raises(DeviceLost, match=again):
            fit(model, split, key=KEY, checkpoint=place, progress=gone, max_steps=30)
    assert steps == [*range(0, 21, 4), 20]


@pytest.mark.parametrize("platform", ["cuda", "tpu", "nonsense"])
def test_no_device_is_one_line(platform, tmp_path):
    """A real one: a platform that is not there."""
    script = """
from retina import failures
from retina.errors import DeviceLost
try:
    failures.check_device()
except DeviceLost as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        cwd=Path(main.__file__).parent.parent.parent,
        env={"JAX_PLATFORMS": platform, "PATH": "", "HOME": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    said = done.stdout.strip()
    if not said:
        pytest.skip(f"this machine has {platform}")
    assert "\n" not in said and "(set " not in said
    assert f"Unable to initialize backend '{platform}'" in said
    assert "set JAX_PLATFORMS=cpu; then the same command goes on" in said


@pytest.mark.parametrize("resumable", [True, False])
def test_every_command_says_it_in_one_line(monkeypatch, capsys, resumable):
    def lost():
        raise jax.errors.JaxRuntimeError("UNAVAILABLE: gone")

    monkeypatch.setattr(main, "_RESUMABLE", (lost,) if resumable else ())
    with pytest.raises(typer.Exit) as exit:
        main._guarded(lost)()
    assert exit.value.exit_code == 1
    again = "the same command goes on" if resumable else "run it again"
    said = f"retina: the device was lost (UNAVAILABLE: gone): {again}\n"
    assert capsys.readouterr().err == said


def test_a_mistake_of_ours_keeps_its_traceback():
    def broken():
        raise RuntimeError("a mistake")

    with pytest.raises(RuntimeError, match="a mistake"):
        main._guarded(broken)()
    assert failures.recognised(RuntimeError("INTERNAL: ?"), "", "") is None
