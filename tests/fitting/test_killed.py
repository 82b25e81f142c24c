"""kill -9 at any point of a checkpoint: the fit goes on from the last whole one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.name != "posix", reason="SIGKILL is posix")

# The process dies at the nth thing that a write asks of the system; 0 is never.
DEADLY = """
import os, signal, sys

def die_at(left, part):
    def count(event, arguments):
        nonlocal left
        if left and event.startswith(("open", "os.", "shutil.")):
            if any(part in str(one) for one in arguments):
                left -= 1
                if not left:
                    os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(count)
"""

FIT = (
    DEADLY
    + """
import hashlib
import jax, numpy as np
from retina import build
from retina.fitting import checkpoints
from retina.fitting.fit import fit
from tests.fitting import synthetic

checkpoints.EVERY_S = 0.0
left, folder = int(sys.argv[1]), sys.argv[2]
die_at(left, "orbax-checkpoint-tmp")
split = synthetic.split(synthetic.truth(), train=500, held_out=300)
model = build.model("lnln", split.spec, lags=4, basis=3, subunits=2)
made = fit(model, split, key=jax.random.key(0), seeds=2, checkpoint=folder or None,
           max_steps=200, clip_bins=64, batch=4)
digest = hashlib.sha256()
for leaf in jax.tree.leaves((made.params, made.seeds)):
    digest.update(np.asarray(leaf).tobytes())
curve = [[line[k] for k in ("step", "validation_bits")] for line in made.curve]
print([digest.hexdigest(), made.validation, curve])
"""
)

# One process imports everything and never starts jax; each try is a fork of it.
KEEP = (
    DEADLY
    + """
import json, traceback
from pathlib import Path
import numpy as np
import orbax.checkpoint
from retina.fitting import checkpoints
from retina.fitting.checkpoints import Checkpoints

checkpoints.EVERY_S = 0.0
folder = Path(sys.argv[1])


def child(action):
    pid = os.fork()
    if pid == 0:
        try:
            action()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def keep(value, left=0):
    def action():
        die_at(left, str(folder))
        with Checkpoints(folder, {}) as kept:
            kept.keep(value, np.full(1000, value))
    return child(action)


def value():
    out, into = os.pipe()
    def action():
        with Checkpoints(folder, {}) as kept:
            (found,) = set(kept.load(np.zeros(1000, int)).tolist())
            os.write(into, str(found).encode())
    assert child(action) == 0
    os.close(into)
    with os.fdopen(out) as read:
        return int(read.read())


assert keep(1) == 0
found, newest = [], 1
for left in range(1, 1000, 4):
    ended = keep(newest + 1, left)
    assert ended in (0, -9), ended
    found.append(value() - newest)
    newest += found[-1]
    if ended == 0:
        break
print(json.dumps(found))
"""
)


def _run(script: str, *arguments: object, cache: Path) -> subprocess.CompletedProcess:
    # Programs of their own: what the killed leave half-written is no other test's.
    own = {"PYTHONPATH": os.getcwd(), "JAX_COMPILATION_CACHE_DIR": str(cache)}
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)],
        capture_output=True,
        text=True,
        env=os.environ | own,
        timeout=300,
    )


@pytest.mark.slow
def test_killed_while_it_writes_a_fit_ends_at_the_same_bits(tmp_path: Path):
    folder, cache = tmp_path / "c", tmp_path / "xla"
    for left in (3, 40):
        done = _run(FIT, left, folder, cache=cache)
        assert done.returncode == -9, done.stderr
        assert list(folder.glob("*.orbax-checkpoint-tmp")), "it was writing"
    resumed = _run(FIT, 0, folder, cache=cache)
    whole = _run(FIT, 0, "", cache=cache)
    assert resumed.returncode == whole.returncode == 0, resumed.stderr + whole.stderr
    assert resumed.stdout == whole.stdout
    assert not list(folder.glob("*.orbax-checkpoint-tmp"))


def test_killed_at_each_call_to_the_system(tmp_path: Path):
    done = _run(KEEP, tmp_path / "c", cache=tmp_path / "xla")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    # The old one, then from some call on the new one, and never anything else.
    assert len(found) > 5 and set(found) == {0, 1}
    assert found == sorted(found)
