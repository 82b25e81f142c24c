"""Checkpoints: what comes back, when they are written, and what is said of bad ones."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from retina import lock
from retina.errors import BrokenRun, InUse, UnwritableFolder
from retina.fitting import checkpoints
from retina.fitting.checkpoints import Checkpoints, present
from retina.fitting.resume import identity
from retina.parameter import Parameter
from retina.recipe import Recipe
from retina.stage import Model, memoryless
from retina.types import Spec

ASKED: dict[str, Any] = {"key": [0, 1], "seeds": 1, "activity": 0.1}


def _state(value: float) -> dict[str, Any]:
    return {
        "walk": (jnp.arange(3, dtype=jnp.int32), None, jnp.zeros((0, 2))),
        "half": jnp.ones(2, jnp.bfloat16) / 3,
        "curve": np.full((40, 3), value),
        "best": np.float64(np.pi),
        "at": [12, True, -1.5],
    }


def _keep(folder: Path, *steps: int) -> None:
    with Checkpoints(folder, ASKED) as kept:
        for step in steps:
            kept.keep(step, _state(step))


def _load(folder: Path, asked: dict[str, Any] = ASKED) -> Any:
    with Checkpoints(folder, asked) as kept:
        return kept.load(_state(0))


def _steps(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_dir())


@pytest.fixture
def every_time(monkeypatch):
    monkeypatch.setattr(checkpoints, "EVERY_S", 0.0)


def test_a_state_comes_back_with_its_own_kinds_of_leaves(tmp_path):
    _keep(tmp_path / "c", 7)
    back, given = _load(tmp_path / "c"), _state(7)
    assert jax.tree.structure(back) == jax.tree.structure(given)
    for one, other in zip(jax.tree.leaves(back), jax.tree.leaves(given), strict=True):
        assert type(one) is type(other)
        assert np.asarray(one).dtype == np.asarray(other).dtype
        assert np.asarray(one).shape == np.asarray(other).shape
        assert np.asarray(one).tobytes() == np.asarray(other).tobytes()
    assert back["half"].dtype == ml_dtypes.bfloat16
    back["curve"][0] = 1  # a fit writes into it


def test_what_is_kept_is_what_it_was_when_it_was_kept(tmp_path):
    """A fit goes on writing into its arrays while they are written to the disk."""
    state = _state(1)
    with Checkpoints(tmp_path / "c", ASKED) as kept:
        kept.keep(1, state)
        state["curve"][:] = 2
    assert np.all(_load(tmp_path / "c")["curve"] == 1)


def test_nothing_is_kept_nowhere():
    with Checkpoints(None, ASKED) as kept:
        kept.keep(1, _state(1))
        assert kept.load(_state(0)) is None


def test_between_two_of_them_passes_some_time(tmp_path):
    """The last is written on leaving, by an exception too."""
    folder = tmp_path / "c"
    with pytest.raises(KeyboardInterrupt), Checkpoints(folder, ASKED) as kept:
        for step in (1, 2, 3):
            kept.keep(step, _state(step))
            assert _steps(folder) == []
        raise KeyboardInterrupt
    assert _steps(folder) == ["3"]


def test_the_newest_alone_is_left(tmp_path, every_time):
    folder = tmp_path / "c"
    _keep(folder, 1, 2, 3)
    _keep(folder, 3, 4)
    assert _steps(folder) == ["4"] and present(folder)
    assert np.all(_load(folder)["curve"] == 4)


def test_half_of_one_is_none(tmp_path):
    """What a write that was killed leaves is passed over, and removed by the next."""
    folder = tmp_path / "c"
    _keep(folder, 1)
    half = folder / "2.orbax-checkpoint-tmp"
    shutil.copytree(folder / "1", half)
    shutil.rmtree(half / "state")
    assert np.all(_load(folder)["curve"] == 1)
    _keep(folder, 3)
    assert _steps(folder) == ["3"]
    shutil.rmtree(folder / "3")
    half.mkdir()
    assert not present(folder) and _load(folder) is None


def test_damage_is_told_in_one_line_or_does_no_harm(tmp_path, capfd):
    """Each file in turn: cut in half, one bit turned over, gone."""
    good, folder = tmp_path / "good", tmp_path / "c"
    _keep(good, 5)
    files = [path.relative_to(good) for path in good.rglob("*") if path.is_file()]
    told = []
    for name in files:
        data = (good / name).read_bytes()
        middle = len(data) // 2
        turned = data[:middle] + bytes(b ^ 1 for b in data[middle : middle + 1])
        for damaged in (data[:middle], turned + data[middle + 1 :], None):
            shutil.copytree(good, folder)
            (folder / name).unlink()
            if damaged is not None:
                (folder / name).write_bytes(damaged)
            try:
                assert np.all(_load(folder)["curve"] == 5)
            except BrokenRun as error:
                told.append(str(error))
            shutil.rmtree(folder)
    assert len(told) >= 9
    assert all(f"the checkpoint {folder} cannot be read (" in line for line in told)
    assert all(line.endswith("): delete it") and "\n" not in line for line in told)
    assert capfd.readouterr().err == ""


def test_another_fits_state_is_refused(tmp_path):
    folder = tmp_path / "c"
    _keep(folder, 1)
    with pytest.raises(BrokenRun, match=r"another fit \(seeds 1 there, 2 here\)"):
        _load(folder, ASKED | {"seeds": 2})
    with (
        pytest.raises(BrokenRun, match="not those of this version.*delete it"),
        Checkpoints(folder, ASKED) as kept,
    ):
        kept.load({"walk": np.zeros(3)})


def test_a_fit_within_other_bounds_is_another():
    """Of one name and settings, as after a version that holds a parameter tighter."""
    said = []
    for high in (1.0, 2.0):
        stage = memoryless(
            lambda params, x: x * params["a"],
            init=lambda key: {"a": jnp.ones(())},
            parameters={"a": Parameter(0.5, low=0.0, high=high)},
            about=("same",),
        )
        model = Model("mean", Spec((), 1, 0.01), stage)
        said.append(identity([model], [], [], [Recipe()], jax.random.key(0), 1))
    assert [n for n in said[0] if said[0][n] != said[1][n]] == ["model"]


def test_a_file_in_its_place_is_told(tmp_path):
    (tmp_path / "checkpoint").write_bytes(b"of an earlier version")
    with pytest.raises(BrokenRun, match="no folder of checkpoints: delete it"):
        _load(tmp_path / "checkpoint")


def _python(script: str, *arguments: object) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(script)]
        + [str(one) for one in arguments],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.getcwd()},
    )


@pytest.mark.skipif(os.name != "posix", reason="resource limits are posix")
def test_a_full_disk_is_told_at_the_next_evaluation_and_at_the_end(tmp_path):
    """The kernel refuses the bytes past a limit, as it does on a full disk."""
    folder = tmp_path / "c"
    done = _python(
        """
        import resource, sys, time
        import numpy as np
        from retina import errors
        from retina.fitting import checkpoints
        checkpoints.EVERY_S = 0.0
        noise = np.random.default_rng(0).random(20_000)
        with checkpoints.Checkpoints(sys.argv[1], {}) as kept:
            kept.keep(1, noise)
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
        for steps in (20, 1):
            try:
                with checkpoints.Checkpoints(sys.argv[1], {}) as kept:
                    for step in range(2, 2 + steps):
                        kept.keep(step, noise + step)
                        if steps > 1:
                            time.sleep(0.2)
            except errors.UnwritableFolder as error:
                print(step, error)
        """,
        folder,
    )
    assert done.returncode == 0 and not done.stderr, done.stderr
    first, second = done.stdout.splitlines()
    assert 2 < int(first.split()[0]) < 21 and second.startswith("2 ")
    for line in (first, second):
        assert f"cannot write {folder}: file too large; free some space" in line
    with Checkpoints(folder, {}) as kept:
        noise = np.random.default_rng(0).random(20_000)
        found: Any = kept.load(noise)
    assert np.array_equal(found, noise), "the one before is whole"


@pytest.mark.skipif(
    os.name != "posix" or os.geteuid() != 0, reason="only root can become another user"
)
def test_a_folder_that_becomes_anothers_is_told(tmp_path):
    folder = tmp_path / "c"
    done = _python(
        """
        import os, sys
        import numpy as np
        from retina import errors
        from retina.fitting import checkpoints
        with checkpoints.Checkpoints(sys.argv[1], {}) as kept:
            kept.keep(1, np.zeros(3))
        try:
            with checkpoints.Checkpoints(sys.argv[1], {}) as kept:
                kept.keep(2, np.zeros(3))
                os.chmod(sys.argv[1], 0o555)
                os.setuid(65534)
        except errors.UnwritableFolder as error:
            print(error)
        """,
        folder,
    )
    assert done.returncode == 0, done.stderr
    assert f"cannot write {folder}: permission denied; name another" in done.stdout


def test_a_fit_that_is_not_kept_does_not_load_orbax():
    done = _python(
        """
        import sys
        import retina.fitting.joint
        from retina.fitting.checkpoints import Checkpoints
        with Checkpoints(None, {}) as kept:
            kept.keep(1, [])
        assert "orbax.checkpoint" not in sys.modules
        """
    )
    assert done.returncode == 0, done.stderr


def test_two_at_once_are_one_too_many(tmp_path, every_time):
    folder = tmp_path / "c"
    with Checkpoints(folder, ASKED) as kept:
        kept.keep(1, _state(1))
        with pytest.raises(InUse, match=rf"another process \(pid {os.getpid()}\)"):
            _keep(folder, 2)
        kept.keep(3, _state(3))
    assert _steps(folder) == ["3"]


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is posix")
def test_the_dead_hold_nothing(tmp_path):
    script = """
    import sys
    from pathlib import Path
    from retina import lock
    with lock.held(Path(sys.argv[1])):
        print("held", flush=True)
        sys.stdin.read()
    """
    holder = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.getcwd()},
    )
    with holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(InUse) as told, lock.held(tmp_path):
            pass
        assert f"(pid {holder.pid}) is at work in {tmp_path}" in str(told.value)
        holder.kill()
    with lock.held(tmp_path):
        pass


def test_a_lock_that_was_removed_as_it_was_awaited_locks_nothing(tmp_path, monkeypatch):
    """The first ends after the second has opened its file: the second makes another."""
    first, taken = contextlib.ExitStack(), lock._taken
    first.enter_context(lock.beside(tmp_path / "run"))

    def late(handle: int) -> bool:
        first.close()
        return taken(handle)

    monkeypatch.setattr(lock, "_taken", late)
    with lock.beside(tmp_path / "run"):
        with pytest.raises(InUse), lock.beside(tmp_path / "run"):
            pass
    assert list(tmp_path.iterdir()) == []


def test_threads_end_with_it(tmp_path, every_time):
    before = threading.active_count()
    _keep(tmp_path / "c", 1, 2)
    assert threading.active_count() <= before + 1


def test_a_place_that_cannot_be_made(tmp_path):
    (tmp_path / "taken").touch()
    with pytest.raises(UnwritableFolder, match="name another folder"):
        _keep(tmp_path / "taken" / "c", 1)
