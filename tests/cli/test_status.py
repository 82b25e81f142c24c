"""`retina status`: what it says while a sweep is under way, and afterwards."""

from __future__ import annotations

import json
from pathlib import Path

from retina.search import experiment as experiments
from retina.search import failing, grid, plan, running
from retina.search.places import Order


def test_status_of_a_sweep(retina):
    done = retina("status", "runs")
    assert done.status == 1 and done.err.rstrip().endswith("with retina sweep")
    Path("runs/mine").mkdir(parents=True)
    assert "retina status runs/mine" in retina("status", "mine").err
    assert "retina status" not in retina("status", "runs/mine").err
    jobs = grid.jobs(experiments.read("asks"))
    order = Order(Path("runs").absolute(), "this")
    with plan.kept(jobs, order, "cc_norm", "local"):
        done = retina("status", "runs")
        assert (
            done.out.strip() == "0 of 2 done, nobody at work: the same command goes on"
        )
        failing.fail(jobs[0], order, "ValueError: as it was")
        with running.told(jobs[1], order.folder):
            done = retina("status", "runs")
            told = json.loads(retina("status", "runs", "--json").out)
    assert done.status == 0, done.err
    first, *rest = done.out.splitlines()
    assert first.startswith("0 of 2 done, 1 running, 1 failed, 0:0")
    assert rest[0].startswith(f"  {jobs[1].label} (for 0:0") and "pid" in rest[0]
    assert rest[1] == "  failed: mean: ValueError: as it was"
    assert (told["jobs"], told["done"], told["best"]) == (2, 0, None)
    assert told["failed"] == {"mean": "ValueError: as it was"}

    told = retina("sweep", "asks", "--out", "runs").err
    assert told.startswith("runs runs; from elsewhere: retina status runs")
    line = retina("status", "runs", "--every", 1).out.splitlines()[0]
    assert line.startswith("2 of 2 done, best cc_norm 0.") and "(ln lags=6" in line
    assert retina("status", "runs", "--every", 0).status == 1
