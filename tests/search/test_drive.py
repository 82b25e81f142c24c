"""Each job is answered exactly once, whatever happens to who works on it."""

from __future__ import annotations

import collections
import functools
import multiprocessing
import os
import pickle
import subprocess
import sys
import time
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from pathlib import Path

import pytest

from retina.errors import BadSetting, InUse, Unreachable
from retina.search.drive import drive
from retina.search.executors.local import Here, local
from retina.search.lost import Disconnected, WorkerDied
from retina.search.processes import Processes, environment
from tests.search.tasks import jobs, task


def test_processes_answer_every_job_once_though_some_die(tmp_path):
    given = [*jobs(40), *jobs(2, "raises"), *jobs(1, "dies"), *jobs(2, "dies once")]
    given += jobs(1, "hangs")
    work = functools.partial(task, folder=tmp_path)
    answers = list(drive(lambda: local("2"), work, given))
    assert sorted(job.label for job, _ in answers) == sorted(job.label for job in given)
    kinds = {job.label: outcome for job, outcome in answers}
    assert [kinds[f"fine {i}"] for i in range(40)] == list(range(40))
    assert [kinds[f"dies once {i}"] for i in range(2)] == [0, 1]
    # The limit ended its process, which left where it was.
    assert "Timeout" in kinds["hangs 0"] and "in task" in kinds["hangs 0"]
    assert all(isinstance(kinds[f"raises {i}"], ValueError) for i in range(2))
    # Nobody but its own process was harmed: nothing else was begun twice.
    assert isinstance(kinds["dies 0"], WorkerDied) and "signal 9" in str(
        kinds["dies 0"]
    )
    written = [path for path in tmp_path.iterdir() if not path.suffix]
    assert len(written) == 42
    assert all(len(path.read_text().split()) == 1 for path in written)


def test_a_call_that_means_nothing_elsewhere_is_refused_and_kills_nobody(tmp_path):
    """As a function of a script that other processes cannot import."""
    sent = [pickle.dumps((task, (jobs(1)[0], tmp_path), {}))]
    sent.insert(0, sent[0].replace(b"task", b"tusk"))
    with subprocess.Popen(
        [sys.executable, "-m", "retina.child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment(0, 1),
    ) as child:
        assert child.stdin and child.stdout
        child.stdin.write(b"".join(map(pickle.dumps, sent)))
        child.stdin.flush()
        (fine, error), answer = (pickle.load(child.stdout) for _ in sent)
    assert child.returncode == 0
    assert not fine and "tusk" in str(error)
    assert answer == (True, 0)


STARTS = """
import functools, sys, time
from pathlib import Path
from retina.search.processes import Processes
from tests.search.tasks import jobs, task

pool = Processes(1)
pool.submit(functools.partial(task, folder=Path(sys.argv[1]), pause_s=60.0), jobs(1)[0])
while not pool._children:
    time.sleep(0.01)
print(*pool._children, flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="asks /proc")
def test_a_process_ends_with_who_started_it_in_the_middle_of_a_job(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", STARTS, str(tmp_path)],
        stdout=subprocess.PIPE,
        env=environment(0, 1),
    ) as parent:
        assert parent.stdout
        child = int(parent.stdout.readline())
        time.sleep(0.5)
        os.kill(child, 0)  # it is there
        parent.kill()
    until = time.monotonic() + 30
    while time.monotonic() < until and _alive(child):
        time.sleep(0.05)
    assert not _alive(child)


def _alive(process: int) -> bool:
    """Not so either when it has ended and nobody has asked for its status."""
    try:
        told = Path(f"/proc/{process}/stat").read_text()
        return told.rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_here_each_job_is_told_before_the_next_begins(tmp_path):
    begun = []

    def work(job):
        begun.append(job.label)
        return job.label

    for job, _ in drive(Here, work, jobs(3)):
        assert begun[-1] == job.label


class Flaky(Here):
    """Loses every job it is given until it was opened for the third time."""

    opened = 0

    def __init__(self):
        type(self).opened += 1

    def submit(self, fn, /, *args, **kwargs):
        if self.opened > 2:
            return super().submit(fn, *args, **kwargs)
        future: Future = Future()
        future.set_exception(Disconnected("the scheduler is gone"))
        return future


def test_an_executor_that_is_lost_is_opened_again(tmp_path):
    class Twice(Flaky):
        pass

    answers = list(drive(Twice, lambda job: job.label, jobs(5)))
    assert sorted(label for _, label in answers) == [f"fine {i}" for i in range(5)]
    assert Twice.opened == 3


def test_one_that_never_comes_back_is_told_in_one_line():
    opened = []

    def once() -> Executor:
        opened.append(1)
        if len(opened) > 1:
            raise Unreachable("no Dask scheduler at here:1")
        return Flaky()

    with pytest.raises(Unreachable, match="no Dask scheduler at here:1.*goes on"):
        list(drive(once, str, jobs(2), back_s=0))


def test_one_that_breaks_without_end_is_given_up():
    class Broken(Here):
        def submit(self, fn, /, *args, **kwargs):
            future: Future = Future()
            future.set_exception(BrokenExecutor("at once"))
            return future

    with pytest.raises(Unreachable, match=r"broke 4 times \(at once\).*goes on"):
        list(drive(Broken, str, jobs(2)))


def test_a_job_that_is_in_use_is_asked_for_again_while_the_others_go_on(monkeypatch):
    monkeypatch.setattr("retina.search.drive.BEAT_S", 0.01)
    asked = []

    def work(job):
        asked.append(job.settings["i"])
        if (job.settings["i"] == 0 and asked.count(0) < 4) or job.settings["i"] == 2:
            raise InUse("another process is at it")
        return job.label

    answers = drive(Here, work, jobs(4), taken=lambda job: job.settings["i"] == 0)
    told = {job.settings["i"]: outcome for job, outcome in answers}
    assert sorted(asked) == [0, 0, 0, 0, 1, 2, 3] and list(told)[-1] == 0
    assert told[0] == "fine 0" and isinstance(told[2], InUse)
    asked.clear()  # nor does what waits take the place of another
    answers = drive(
        Here, work, jobs(4), at_once=1, taken=lambda job: job.settings["i"] == 0
    )
    assert [job.settings["i"] for job, _ in answers] == [1, 2, 3, 0]


class Crowded(Here):
    """A worker that is given all jobs at once, as those of a cluster are."""

    def __init__(self):
        self.waiting, self.begun = [], collections.Counter()

    def submit(self, fn, /, *args, **kwargs):
        self.waiting.append((Future(), *args))
        return self.waiting[-1][0]

    def run(self):
        """The first of them; one that kills it takes the others along."""
        future, job = self.waiting[0]
        if job.model != "dies unread":
            self.begun[job.name] += 1
        if job.model == "fine":
            del self.waiting[0]
            future.set_result(job.label)
            return
        lost, self.waiting = self.waiting, []
        for future, _ in lost:
            future.set_exception(WorkerDied("it is gone"))

    def answers(self, given):
        def begun(job):
            return self.begun.get(job.name)

        answers = drive(lambda: self, str, given, self.run, begun=begun)
        return {job.label: outcome for job, outcome in answers}


def test_what_waits_for_a_worker_is_not_what_kills_it(monkeypatch):
    monkeypatch.setattr("retina.search.drive.BEAT_S", 0.001)
    pool = Crowded()
    told = pool.answers([*jobs(15, "dies"), *jobs(3)])
    assert [told[f"fine {i}"] for i in range(3)] == [f"fine {i}" for i in range(3)]
    assert all(isinstance(told[f"dies {i}"], WorkerDied) for i in range(15))
    assert set(pool.begun.values()) == {1, 3}


def test_what_kills_its_worker_before_it_is_begun_is_given_up_as_well(monkeypatch):
    monkeypatch.setattr("retina.search.drive.BEAT_S", 0.001)
    told = Crowded().answers(jobs(1, "dies unread"))
    assert isinstance(told["dies unread 0"], WorkerDied)


def test_jobs_that_depend_on_answers_are_asked_for_one_by_one():
    heard = []

    def more():
        for job in jobs(4):
            assert len(heard) == job.settings["i"]
            yield job

    for job, _ in drive(Here, str, more(), at_once=1):
        heard.append(job.label)
    assert len(heard) == 4


def test_what_is_stopped_leaves_no_process(tmp_path):
    pools = []

    def opened():
        pools.append(Processes(2))
        return pools[-1]

    work = functools.partial(task, folder=tmp_path, pause_s=60.0)

    def stop():
        raise KeyboardInterrupt

    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        list(drive(opened, work, jobs(4), beat=stop))
    assert time.monotonic() - begun < 30
    assert not pools[0]._children and not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_standard_librarys_pool_serves_as_well(tmp_path):
    given = [*jobs(20), *jobs(1, "dies once")]
    work = functools.partial(task, folder=tmp_path)
    # A fork of a process that runs JAX may hang: a fresh one, as ours are.
    fresh = multiprocessing.get_context("spawn")
    opened = functools.partial(ProcessPoolExecutor, 2, mp_context=fresh)
    answers = list(drive(opened, work, given))
    assert len(answers) == 21 and all(isinstance(value, int) for _, value in answers)


def test_processes_share_cores_and_devices(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("retina.search.processes._cores", lambda: set(range(8)))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    shares = [environment(i, 2) for i in range(2)]
    assert [share["OMP_NUM_THREADS"] for share in shares] == ["4", "4"]
    assert [share["CUDA_VISIBLE_DEVICES"] for share in shares] == ["4", "6"]
    assert environment(0, 3)["CUDA_VISIBLE_DEVICES"] == "4,6"
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert environment(0, 2)["OMP_NUM_THREADS"] == "3"


@pytest.mark.parametrize("address", ["none", "0", "-1", "9999"])
def test_a_number_of_processes_is_a_number(address):
    with pytest.raises(BadSetting, match="such as local://2"):
        local(address)
