"""The executor dask on a real cluster: a scheduler and three workers on loopback."""

from __future__ import annotations

import collections
import contextlib
import functools
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from retina.errors import BadSetting, Unreachable
from retina.search.drive import drive
from retina.search.executors import dask as plugin
from retina.search.lost import WorkerDied
from tests.search.tasks import jobs, task

ROOT = Path(__file__).parents[2]


class Cluster:
    """Processes of a scheduler and of workers, each of them under a nanny."""

    def __init__(self, folder: Path, workers: int = 3) -> None:
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{found.getsockname()[1]}"
        self._folder, self._workers = folder, workers
        self._started: list[subprocess.Popen] = []

    def start(self, *more: str) -> None:
        host, _, port = self.address.partition(":")
        bare = ["--no-dashboard", "--host", host]
        self._run("dask_scheduler", "--port", port, *bare)
        for _ in range(self._workers):
            self._run(
                "dask_worker",
                f"tcp://{self.address}",
                *["--nthreads", "1", "--death-timeout", "60", *bare, *more],
            )

    def stop(self) -> None:
        """All at once and without a word, as a node that loses its power."""
        for process in self._started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._started.clear()

    def _run(self, module: str, *words: str) -> None:
        log = open(self._folder / f"{module}.log", "a")
        place = ["--local-directory", str(self._folder)] if "worker" in module else []
        process = subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.{module}", *words, *place],
            stdout=log,
            stderr=log,
            cwd=self._folder,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            start_new_session=True,
        )
        log.close()
        self._started.append(process)


@pytest.fixture
def cluster(tmp_path):
    pytest.importorskip("distributed")
    (tmp_path / "cluster").mkdir()
    made = Cluster(tmp_path / "cluster")
    yield made
    made.stop()


def test_a_scheduler_that_cannot_be_reached_is_one_line(monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr(plugin, "ANSWERS_S", 0.2)
    with pytest.raises(Unreachable, match="no Dask scheduler at 127.0.0.1:9") as told:
        plugin.dask("127.0.0.1:9")
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("address", ["", "host:1?GPU", "host:1?GPU=one"])
def test_an_address_that_cannot_be_meant(address):
    with pytest.raises(BadSetting, match="such as"):
        plugin.dask(address)


@pytest.mark.slow
@pytest.mark.parametrize("count", [200, 2000])
def test_every_job_once_through_kills_and_a_restarted_scheduler(
    cluster, tmp_path, count
):
    """Tiny jobs, three kills of a worker, one loss of everything at once."""
    folder = tmp_path / "records"
    folder.mkdir()
    given = jobs(count) + jobs(3, "raises") + jobs(2, "hangs") + jobs(2, "dies once")
    cluster.start()
    heard: collections.Counter[str] = collections.Counter()
    outcomes = {}
    kills = [count // 10, count // 5, count // 3]
    work = functools.partial(task, folder=folder)
    for job, outcome in drive(lambda: plugin.dask(cluster.address), work, given):
        heard[job.label] += 1
        outcomes[job.label] = outcome
        if sum(heard.values()) in kills and isinstance(outcome, int):
            with contextlib.suppress(ProcessLookupError):
                os.kill(int((folder / job.name).read_text().split()[0]), signal.SIGKILL)
        if sum(heard.values()) == count // 2:
            cluster.stop()
            cluster.start()
    assert set(heard) == {job.label for job in given} and set(heard.values()) == {1}
    assert [outcomes[f"fine {i}"] for i in range(count)] == list(range(count))
    assert all(isinstance(outcomes[f"raises {i}"], ValueError) for i in range(3))
    assert [outcomes[f"dies once {i}"] for i in range(2)] == [0, 1]
    for i in range(2):
        assert "Timeout" in outcomes[f"hangs {i}"]
        assert "in task" in outcomes[f"hangs {i}"]
    ended = [
        path for path in folder.iterdir() if path.suffix not in (".begun", ".late")
    ]
    assert len(ended) == count + 2


@pytest.mark.slow
def test_resources_keep_jobs_apart_and_a_deadly_one_ends(cluster, tmp_path):
    """Two workers have one GPU each, so no more than two jobs run side by side."""
    folder = tmp_path / "records"
    folder.mkdir()
    cluster.start("--resources", "GPU=1")
    work = functools.partial(task, folder=folder, pause_s=0.2)
    address = f"{cluster.address}?GPU=1"
    given = [*jobs(6), *jobs(1, "dies")]
    begun = time.monotonic()
    outcomes = {job.label: outcome for job, outcome in _all(address, work, given)}
    assert [outcomes[f"fine {i}"] for i in range(6)] == list(range(6))
    assert isinstance(outcomes["dies 0"], WorkerDied)
    assert time.monotonic() - begun > 0.4  # six jobs of 0.2 s on three workers


def _all(address, work, given):
    return drive(lambda: plugin.dask(address), work, given)
