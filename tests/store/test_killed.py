"""kill -9 at any point of a save leaves the old run or the new one, whole."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.skipif(os.name != "posix", reason="SIGKILL is posix")

# One process imports everything and never starts jax; each try is a fork of it, which
# dies by SIGKILL while it saves run after run over the same folder. What is left is
# then read by the parent.
SCRIPT = """
import hashlib, json, os, random, signal, sys, time, traceback
from types import SimpleNamespace
from pathlib import Path
import numpy as np
from retina import atomic, registry, store, trees
from retina.types import Fit, Spec

how, folder, swaps = sys.argv[1], Path(sys.argv[2]), sys.argv[3] == "True"
# Some milliseconds of writing to be killed in; calls to the system need none.
size = 200_000 if how == "random" else 2_000
# To look for a model's file is no part of writing, and takes most of a save's time.
registry.source = lambda kind, name: ""
if not swaps:
    atomic.exchange = lambda one, other: False
stage = SimpleNamespace(about=("tiny",))
model = SimpleNamespace(
    name="tiny", spec=Spec(frame=(), cells=1, bin_s=1.0), settings=(), stage=stage
)


def fit(value):
    tree = {"weights": np.full(size, value, "f4")}
    return Fit(model, tree, (tree, tree), np.ones(1), {}, (), {})


def found():
    '''The value of the run that is there, None where there is none; raises if torn.'''
    atomic.recover(folder)
    if not folder.exists():
        return None
    record = store.read(folder)
    data = (folder / "params.h5").read_bytes()
    assert hashlib.sha256(data).hexdigest() == record["params_sha256"]
    tree = trees.from_bytes(data)
    values = {float(end(part["weights"])) for end in (np.min, np.max)
              for part in (tree["params"], *tree["seeds"].values())}
    assert values == {record["value"]}, (values, record["value"])
    return record["value"]


def child(action):
    pid = os.fork()
    if pid == 0:
        try:
            action()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)
    return pid


def random_points(tries):
    generator = random.Random(0)
    for _ in range(tries):
        begun, begin = os.pipe()
        def forever():
            value = 0.0
            while True:
                value += 1
                store.save(fit(value), folder, extra={"value": value})
                os.write(begin, b"1")
        pid = child(forever)
        os.read(begun, 1)  # until a run is there to be replaced
        os.close(begun), os.close(begin)
        time.sleep(generator.uniform(0, 0.08))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        yield found()


def every_event():
    '''The nth thing that the save asks of the system is its last; n = 1, 2, ...'''
    store.save(fit(1.0), folder, extra={"value": 1.0})
    for last in range(1, 1000):
        def action():
            left = last
            def count(event, arguments):
                nonlocal left
                watched = ("open", "os.", "shutil.", "tempfile.", "ctypes.")
                if event == "os.kill" or not event.startswith(watched):
                    return
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
            sys.addaudithook(count)
            store.save(fit(2.0), folder, extra={"value": 2.0})
        _, status = os.waitpid(child(action), 0)
        yield found()
        if not os.WIFSIGNALED(status):
            return
        store.save(fit(1.0), folder, extra={"value": 1.0})


points = random_points(int(sys.argv[4])) if how == "random" else every_event()
print(json.dumps(list(points)))
"""


def run(how, folder, swaps, tries=0) -> list:
    done = subprocess.run(
        [
            *(sys.executable, "-c", textwrap.dedent(SCRIPT)),
            *(how, str(folder), str(swaps), str(tries)),
        ],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.getcwd()},
    )
    assert done.returncode == 0 and not done.stderr, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("swaps", [True, False])
def test_killed_at_each_call_to_the_system(tmp_path, swaps):
    found = run("events", tmp_path / "run", swaps)
    # Both outcomes are seen, the old run before the new one, and never anything else.
    assert len(found) > 10
    assert found == sorted(found)
    assert set(found) == {1.0, 2.0}


@pytest.mark.parametrize("swaps", [True, False])
@pytest.mark.slow
def test_killed_at_random_moments(tmp_path, swaps):
    tries = 200
    found = run("random", tmp_path / "run", swaps, tries)
    assert len(found) == tries
    assert all(value is not None and value >= 1 for value in found)
