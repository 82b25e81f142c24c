"""A fit on a GPU or TPU, where jax has one, beside the same on the CPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import jax
import pytest

from .test_devices import CHECKOUT, SCRIPT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        jax.default_backend() == "cpu", reason="jax has no accelerator here"
    ),
]

CASES = ["alone", "two_seeds", "training_pass", "jointly"]


def curves(platform: str) -> dict:
    """platform: "cpu", or "" for the one that jax chooses by itself."""
    here = {
        "JAX_PLATFORMS": platform,
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        "PYTHONPATH": os.pathsep.join(
            [str(CHECKOUT), os.environ.get("PYTHONPATH", "")]
        ),
    }
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps([CASES, 0, 0, ""])],
        capture_output=True,
        text=True,
        env=os.environ | here,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def cpu() -> dict:
    return curves("cpu")


def test_it_gives_the_loss_curve_of_the_cpu(cpu):
    """Fits ask for float32 products, whatever a device would take for them."""
    found = curves("")
    for case in CASES:
        assert found[case]["train"] == pytest.approx(cpu[case]["train"], rel=1e-4)
        assert found[case]["validation"] == pytest.approx(
            cpu[case]["validation"], rel=1e-3, abs=1e-4
        )
