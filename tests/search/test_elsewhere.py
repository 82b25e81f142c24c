"""Sweeps whose jobs run in other processes, and what is seen of them from outside."""

from __future__ import annotations

import contextlib
import json
import os
import time

import pytest

from retina import atomic, lock, store
from retina.errors import BadSetting, BrokenRun, InUse
from retina.search import experiment as experiments
from retina.search import failing, grid, places, plan, records, running, work
from retina.search.failing import Failure
from retina.search.places import Order
from retina.search.status import status
from retina.search.sweep import sweep
from tests.search.tasks import jobs
from tests.search.test_sweep import TWO, WITH_A_FAILURE, written


def test_two_processes_find_what_one_finds(asked, tmp_path):
    folder, out, told = asked(WITH_A_FAILURE), tmp_path / "runs", []
    swept = sweep(folder, out, "local://2", progress=told.append)
    assert swept.status == 1
    assert written(swept.points) == written(sweep(folder, tmp_path / "here").points)
    (failure,) = swept.failures
    record = json.loads((out / "failed" / f"{failure.job.name}.json").read_text())
    assert failure.error == record["error"] == "ValueError: as asked"
    assert "in tiny" in record["traceback"] == failure.traceback
    ended = [
        event["job"].label for event in told if event["state"] in ("done", "failed")
    ]
    assert len(ended) == len(set(ended)) == 3
    left = {path.name for path in out.iterdir()}
    assert left == {"failed", *(point.run for point in swept.points)}
    now = status(out)
    assert (now.done, now.jobs, now.going) == (2, 3, False)
    assert now.failed == {failure.job.label: failure.error}


def test_a_job_that_took_too_long_is_a_failure_wherever_it_is_asked_for(
    asked, tmp_path
):
    """What a process leaves that was ended by its limit is in test_drive."""
    job = grid.jobs(experiments.read(asked(TWO)))[0]
    order = Order(tmp_path / "runs", "this", 5.0)
    order.folder.mkdir()
    places.mark_of(job, order).write_text("Timeout (0:00:05)!\n  File wait.py, line 1")
    failure = work.work(job, order)
    assert isinstance(failure, Failure) and "took longer than 5 s" in failure.error
    assert "wait.py" in failure.traceback
    assert work.work(job, order) == failure, "not begun again in the same sweep"
    assert [path.name for path in order.folder.iterdir()] == ["failed"]
    again = work.work(job, Order(order.folder, "next"))
    assert not isinstance(again, Failure)


@pytest.mark.slow
def test_a_job_that_hangs_takes_no_other_with_it(asked, tmp_path):
    hanging = WITH_A_FAILURE.replace('"value"', '"hang"')
    swept = sweep(asked(hanging), tmp_path / "runs", limit_s=60.0)
    assert swept.status == 1 and len(swept.points) == 2
    (failure,) = swept.failures
    assert "took longer than 60 s" in failure.error
    assert "in tiny" in failure.traceback


def test_a_limit_is_a_time(asked, tmp_path):
    with pytest.raises(BadSetting, match="limit_s 0"):
        sweep(asked(TWO), tmp_path / "runs", limit_s=0)


def test_what_is_held_in_silence_is_left_and_the_rest_is_done(
    asked, tmp_path, monkeypatch
):
    monkeypatch.setattr(running, "SILENT_S", 0.0)
    folder, out = asked(TWO), tmp_path / "runs"
    first, second = grid.jobs(experiments.read(folder))
    with lock.beside(out / first.name), pytest.raises(InUse, match="at work in"):
        sweep(folder, out)
    assert [point.run for point in records.points(out)] == [second.name]
    assert sweep(folder, out).skipped == 1


def test_what_another_process_is_at_is_waited_for_while_that_is_heard(
    asked, tmp_path, monkeypatch
):
    """As a worker that was given up, whose job is with another one by now."""
    monkeypatch.setattr("retina.search.drive.BEAT_S", 0.02)
    folder, out, ended = asked(TWO), tmp_path / "runs", []
    first, second = grid.jobs(experiments.read(folder))
    with contextlib.ExitStack() as elsewhere:
        elsewhere.enter_context(lock.beside(out / first.name))
        elsewhere.enter_context(running.told(first, out))

        def listening(event):
            if event["state"] == "done":
                ended.append(event["job"].name)
                elsewhere.close()

        swept = sweep(folder, out, progress=listening)
    assert ended == [second.name, first.name]
    assert swept.status == 0 and len(swept.points) == 2


def test_what_a_server_does_not_show_yet_is_looked_for_again(tmp_path, monkeypatch):
    """NFS remembers for up to a minute that a file was not there."""
    (job, other), order = jobs(2), Order(tmp_path, "this")
    place = places.place_of(job, tmp_path)
    written = []

    def asked_anew(path):
        written.append(path)
        place.mkdir(exist_ok=True)

    monkeypatch.setattr(atomic, "check_writable", asked_anew)
    assert work.arrived(job, order) and written == [place]
    assert not work.arrived(other, order)


def test_of_sweeps_side_by_side_each_keeps_its_plan_and_all_are_seen(asked, tmp_path):
    out = tmp_path / "runs"
    first, second = grid.jobs(experiments.read(asked(TWO)))
    here, there = Order(out, "here"), Order(out, "there")
    with plan.kept([first], here, "cc_norm", "local", question="this?"):
        with plan.kept([second], there, "cc_norm", "local", question="that?"):
            with running.told(first, out):
                now = status(out)
                assert (now.jobs, now.going, len(now.running)) == (2, True, 1)
            failing.fail(second, there, "as it was")
            now = status(out)
            assert now.failed == {second.label: "as it was"}
            assert now.seconds_left is not None
            os.utime(next((out / "failed").glob("*.json")), (0, 0))
            assert status(out).seconds_left is None, "it failed before this began"
        now = status(out)
        assert (now.jobs, now.going, now.failed) == (1, True, {})
    assert not status(out).going and not list(out.glob(".*"))


def test_the_question_in_other_words_takes_the_place_of_a_killed_one(asked, tmp_path):
    out = tmp_path / "runs"
    jobs = grid.jobs(experiments.read(asked(TWO)))

    def killed(some, question, trials=0):
        order, asks = Order(out, question), ("cc_norm", "local", trials, question)
        with pytest.raises(KeyboardInterrupt), plan.kept(some, order, *asks):
            raise KeyboardInterrupt

    killed(jobs[:1], "a part of it?")
    killed(jobs[:1], "what else is sought?", trials=3)
    killed(jobs, "this?")
    assert [one["sweep"] for one in plan.read(out)] == ["what else is sought?", "this?"]
    with plan.kept(jobs, Order(out, "later"), "cc_norm", "local", question="This one?"):
        assert [one["sweep"] for one in plan.read(out)][1:] == ["later"]
    assert [one["sweep"] for one in plan.read(out)] == ["what else is sought?"]


def test_the_same_sweep_twice_is_seen_until_both_have_ended(asked, tmp_path):
    out = tmp_path / "runs"
    jobs = grid.jobs(experiments.read(asked(TWO)))
    earlier, later = Order(out, "earlier"), Order(out, "later")
    with contextlib.ExitStack() as opened:
        opened.enter_context(plan.kept(jobs, earlier, "cc_norm", "local"))
        with plan.kept(jobs, later, "cc_norm", "local"):
            failing.fail(jobs[0], earlier, "as it was")
            opened.close()  # the first to begin is the first to end
            now = status(out)
            assert (now.jobs, now.done, now.going) == (2, 0, True)
            assert now.failed == {jobs[0].label: "as it was"}
    with running.told(jobs[1], out):  # or the last to begin was
        now = status(out)
        assert now.going and [one.label for one in now.running] == [jobs[1].label]
    assert not status(out).going


def test_a_sweep_is_seen_from_outside(asked, tmp_path):
    folder, out = asked(TWO), tmp_path / "runs"
    with pytest.raises(BrokenRun, match="holds no sweep: start one"):
        status(out)
    seen = []

    def looking(event):
        if (event["state"], event["index"]) == ("fitting", 1) and not seen:
            seen.append(status(out))

    swept = sweep(folder, out, progress=looking)
    (now,) = seen
    assert (now.jobs, now.done, now.going, now.failed) == (2, 1, True, {})
    assert [one.label for one in now.running] == ["tiny pixel=9"]
    assert now.running[0].heard_s < 60 and now.seconds_left is not None
    best = max(point.score.metrics["cc_norm"].median for point in swept.points[:1])
    assert now.best is not None and now.best[2] == pytest.approx(best)
    assert not status(out).going


def test_a_sweep_that_was_killed_is_seen_as_stopped(asked, tmp_path):
    jobs = grid.jobs(experiments.read(asked(TWO)))
    order = Order(tmp_path / "runs", "this")
    with pytest.raises(KeyboardInterrupt), plan.kept(jobs, order, "cc_norm", "local"):
        raise KeyboardInterrupt
    now = status(order.folder)
    assert now.going and not now.running and (now.done, now.jobs) == (0, 2)


def test_a_process_is_heard_of_while_its_job_reports_nothing(tmp_path, monkeypatch):
    """As in a score of many sampled runs: else it would be taken for dead."""
    monkeypatch.setattr(running, "ALIVE_S", 0.01)
    job = jobs(1)[0]
    with running.told(job, tmp_path):
        first, until = running.of(job, tmp_path), time.monotonic() + 10
        while not (now := running.of(job, tmp_path)) or now["heard"] == first["heard"]:
            assert time.monotonic() < until
        assert now["begun"] == first["begun"]
    time.sleep(0.05)
    assert running.of(job, tmp_path) == {}


def test_half_a_file_of_a_worker_is_not_read(tmp_path, asked):
    job = grid.jobs(experiments.read(asked(TWO)))[0]
    with running.told(job, tmp_path):
        assert set(running.read(tmp_path)) == {job.name}
        (tmp_path / f".{job.name}.running").write_text('{"host": "a')
        assert running.read(tmp_path) == {}
    assert not list(tmp_path.glob(".*"))


def test_a_dry_run_estimates_time_from_what_was_done(asked, tmp_path):
    out = tmp_path / "runs"
    (done,) = sweep(asked(TWO.replace("[8, 9]", "[8]")), out).points
    estimates = sweep(asked(TWO), out, dry_run=True).estimates
    took = store.read(out / done.run)["seconds"]
    # The same model with as many operations.
    assert [one.seconds for one in estimates] == pytest.approx([took, took])
    other = asked(TWO.replace("8, 9", "8") + '[[families]]\nmodel = "mean"')
    assert sweep(other, out, dry_run=True).estimates[1].seconds is None
