"""A batch shared by devices, and by processes, gives the loss curve of one device."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

CHECKOUT = Path(__file__).parent.parent.parent

# Clips per step are 4, but in "undivided"; "resumed" stops half way.
CASES = "alone two_seeds training_pass jointly resumed undivided".split()
SCRIPT = """
import json, sys
import jax
from retina.fitting import devices
cases, host, port, file = json.loads(sys.argv[1])
if port:
    devices.join(f"127.0.0.1:{port}", hosts=2, host=host)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
from retina import build
from retina.fitting.fit import fit
from retina.fitting.joint import fit_jointly
from tests.fitting import synthetic

key = jax.random.key(0)
small = {"subunits": 2, "size": 3, "lags": 4, "basis": 3}
batch_norm = {"channels": 2, "sizes": (3, 2), "lags": 4, "noise": 0.0}
recipe = {"max_steps": 80, "clip_bins": 32, "batch": 4, "learning_rate": 1e-2}
field, image = (
    synthetic.split(synthetic.truth(frame), train=400, held_out=200)
    for frame in ((), (4, 5))
)
lnln = build.model("lnln", image.spec, **small)

def run(case):
    if case == "training_pass":
        model = build.model("bn_cnn", field.spec, **batch_norm)
        # A bias before a batch norm has no slope but rounding: Adam would make steps of
        # it as large as any.
        return fit(model, field, key=key, **recipe | {"optimiser": "sgd"})
    if case == "jointly":
        return fit_jointly([image, image], "lnln", key=key, **small, **recipe)[0]
    if case == "resumed":
        fit(lnln, image, key=key, checkpoint=file, **recipe | {"max_steps": 40})
        return fit(lnln, image, key=key, checkpoint=file, **recipe)
    batch = 6 if case == "undivided" else 4
    seeds = 2 if case == "two_seeds" else 1
    return fit(lnln, image, key=key, seeds=seeds, **recipe | {"batch": batch})

found = {"devices": len(jax.devices())}
for case in cases:
    done = run(case)
    found[case] = {
        "train": [row["train_loss"] for row in done.curve[1:]],
        "validation": [row["validation_bits"] for row in done.curve],
    }
print(json.dumps(found))
"""


def _start(devices: int, cases, host: int = 0, port: int = 0, file: str = ""):
    flags = f"--xla_force_host_platform_device_count={devices}"
    here = {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(CHECKOUT)}
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, json.dumps([cases, host, port, file])],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | here,
    )


def _end(process: subprocess.Popen) -> tuple[dict, str]:
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return json.loads(out.splitlines()[-1]), err


@pytest.fixture(scope="module")
def one(tmp_path_factory) -> dict:
    file = str(tmp_path_factory.mktemp("one") / "state")
    return _end(_start(1, CASES, file=file))[0]


@pytest.fixture(scope="module")
def four(tmp_path_factory) -> tuple[dict, str]:
    file = str(tmp_path_factory.mktemp("four") / "state")
    return _end(_start(4, CASES, file=file))


@pytest.mark.parametrize("case", CASES)
def test_four_devices_give_the_curve_of_one(case: str, one, four):
    assert (one["devices"], four[0]["devices"]) == (1, 4)
    ours, theirs = four[0][case], one[case]
    assert len(ours["train"]) == 2, "two rounds of 40 steps"
    assert ours["train"] == pytest.approx(theirs["train"], rel=1e-5)
    assert ours["validation"] == pytest.approx(theirs["validation"], rel=1e-5, abs=1e-6)


def test_a_batch_that_cannot_be_shared_is_told_in_one_line(four):
    said = "one of 4 devices is used, as they do not divide batch 6: --set batch=8"
    lines = [line for line in four[1].splitlines() if "devices" in line]
    assert lines == [said + " uses all"]


def test_two_processes_fit_as_one(one):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    both = [_start(2, ["alone"], host, port) for host in range(2)]
    first, second = (_end(process)[0] for process in both)
    assert first["devices"] == 4
    assert first == second
    for what, curve in one["alone"].items():
        assert first["alone"][what] == pytest.approx(curve, rel=1e-5, abs=1e-6)
