"""The executor dask on a real cluster: a scheduler and three workers on loopback."""

from __future__ import annotations

import collections
import contextlib
import functools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import Future
from pathlib import Path

import pytest

from retina.errors import BadSetting, Unreachable
from retina.search import experiment as experiments
from retina.search import grid, running
from retina.search.drive import drive
from retina.search.executors import dask as plugin
from retina.search.lost import Disconnected, WorkerDied
from retina.search.sweep import sweep
from tests.search.tasks import jobs, span, task

ROOT = Path(__file__).parents[2]


class Cluster:
    """Processes of a scheduler and of workers, each of them under a nanny."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{found.getsockname()[1]}"
        self._folder = folder
        self._started: list[subprocess.Popen] = []

    def start(self, *more: str, workers: int = 3) -> None:
        host, _, port = self.address.partition(":")
        bare = ["--no-dashboard", "--host", host]
        self._run("dask_scheduler", "--port", port, *bare)
        for _ in range(workers):
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

    def kill_scheduler(self) -> None:
        scheduler = self._started.pop(0)
        os.killpg(scheduler.pid, signal.SIGKILL)
        scheduler.wait()

    def gone(self, within_s: float = 60.0) -> None:
        """Wait for what is left to end by itself."""
        for process in self._started:
            process.wait(within_s)
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


def test_a_failure_that_cannot_be_read_is_told_all_the_same():
    """Else the sweep would wait for its answer for ever."""

    class Asked:
        key, status = "one", "error"

        def exception(self, timeout):
            raise TimeoutError("the scheduler is silent")

    future: Future = Future()
    plugin.Cluster(None, {})._settle(Asked(), future)
    assert isinstance(future.exception(0), Disconnected)


@pytest.mark.slow
def test_every_job_once_through_kills_and_a_restarted_scheduler(cluster, tmp_path):
    """Tiny jobs, three kills of a worker, one loss of everything at once."""
    folder, count = tmp_path / "records", 2000
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
def test_resources_keep_jobs_apart_and_a_deadly_one_ends(cluster):
    """A worker has three threads and one GPU: of those who ask for it, one runs."""
    cluster.start("--nthreads", "3", "--resources", "GPU=1", workers=1)
    work = functools.partial(span, pause_s=0.2)
    free, apart = (
        [span for _, span in _all(cluster.address + asked, work, jobs(6))]
        for asked in ("", "?GPU=1")
    )
    assert _most_at_once(free) > 1, "else nothing is seen of what keeps them apart"
    assert _most_at_once(apart) == 1
    ((_, outcome),) = _all(f"{cluster.address}?GPU=1", work, jobs(1, "dies"))
    assert isinstance(outcome, WorkerDied)


def _most_at_once(spans):
    assert len({pid for pid, *_ in spans}) == 1
    return max(
        sum(begun <= other < ended for *_, begun, ended in spans)
        for *_, other, _ in spans
    )


def _all(address, work, given):
    return drive(lambda: plugin.dask(address), work, given)


SLOW = """
[[families]]
model = "TINY"
grid = { pixel = [1, 2, 3, 4, 5, 6], pause_s = [1.5] }
[[families]]
model = "mean"
"""
FAILING = """
[[families]]
model = "TINY"
set = { breaks = "value" }
"""


@pytest.mark.slow
def test_a_sweep_through_a_killed_worker_and_a_restarted_scheduler(
    cluster, asked, tmp_path
):
    """By the command line, with real fits."""
    experiment, out = asked(SLOW + FAILING), tmp_path / "runs"
    cluster.start()
    words = ["sweep", str(experiment), "--out", str(out), "--executor"]
    command = [sys.executable, "-m", "retina", *words]
    process = subprocess.Popen(
        [*command, f"dask://{cluster.address}", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )

    def until(so_far, what):
        end = time.monotonic() + 120
        while not (found := so_far()):
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < end, what
            time.sleep(0.05)
        return found

    (name, said), *_ = until(lambda: running.read(out), "no job was begun").items()
    os.kill(said["pid"], signal.SIGKILL)
    until(lambda: len(list(out.glob("*/record.json"))) > 1, "two jobs were not done")
    cluster.kill_scheduler()
    before = {file: file.stat().st_mtime_ns for file in out.glob("*/record.json")}
    cluster.gone()  # its workers go with it, by themselves
    cluster.start()
    answer, told = process.communicate(timeout=120)

    assert process.returncode == 1, told
    jobs = {job.name: job for job in grid.jobs(experiments.read(experiment))}
    failing = [name for name, job in jobs.items() if job.settings.get("breaks")]
    assert json.loads(answer)["failed"] == {"tiny breaks=value": "ValueError: as asked"}
    record = json.loads((out / "failed" / f"{failing[0]}.json").read_text())
    assert "in tiny" in record["traceback"]
    result = json.loads((out / "result.json").read_text())
    runs = [point["run"] for point in result["points"]]
    assert sorted(runs) == sorted(jobs.keys() - set(failing)) and name in runs
    # None of those was done again, and nothing half done is left.
    assert all(file.stat().st_mtime_ns == at for file, at in before.items())
    assert not list(out.glob(".*"))

    without = sweep(asked(SLOW), out)
    assert (without.status, without.skipped) == (0, 7)
