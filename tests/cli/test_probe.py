"""`retina probe`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest


def test_probe_shows_what_drives_a_cell(retina, run_of_ln):
    done = retina("probe", "run", "sta", "--json", "--out", "sta.npz")
    assert done.status == 0, done.err
    rows = json.loads(done.out)
    # The cells follow one filter, largest one bin back, with opposite signs.
    assert [round(row["peak_lag_s"], 3) for row in rows] == [0.02, 0.02]
    assert rows[0]["peak"] > 0 > rows[1]["peak"]
    with np.load("sta.npz") as held:
        fields = held["fields"]
    kernel = np.array([0.0, 1.0, 0.6, -0.5, -0.2])
    for field, sign in zip(fields, (1, -1), strict=True):
        size = np.linalg.norm(field) * np.linalg.norm(kernel)
        assert sign * field[:5] @ kernel / size > 0.95

    name = rows[1]["cell"]
    one = retina("probe", "run", "sta", "--cell", name, "--out", "sta.svg")
    assert one.status == 0 and "wrote sta.svg" in one.out
    assert Path("sta.svg").stat().st_size > 3000
    best = json.loads(retina("probe", "run", "exciting", "--cell", name, "--json").out)
    assert best[0]["peak_lag_s"] == pytest.approx(0.02) and best[0]["peak"] < 0
    assert best[0]["rate_hz"] > 3 * best[0]["mean_rate_hz"]

    here = ("--cell", name, "--json", "--at", 100, "--at", 50)
    local = json.loads(retina("probe", "run", "local", *here).out)
    assert [row["bin"] for row in local] == [100, 50]
    assert all(row["peak"] < 0 for row in local)
    drawn = (*here, "--part", "temporal", "--out", "parts.svg")
    told = retina("probe", "run", "attribution", *drawn)
    assert told.status == 0, told.err
    for row, other in zip(json.loads(told.out), local, strict=True):
        assert row["bin"] == other["bin"] and row["part"] == "temporal"
        rise = row["rate_hz"] - row["reference_hz"]
        assert sum(row["by_unit"]) * 50 == pytest.approx(rise, rel=1e-2, abs=1e-2)
    assert Path("parts.svg").is_file()
    loud = retina("probe", "run", "local")
    assert loud.status == 0 and len(loud.out.splitlines()) == 5


def test_probe_says_what_to_put_right(retina):
    retina("fit", "tiny", "mean", "--out", "run")
    for words, said in (
        (("stta",), "no probe 'stta': did you mean 'sta'?"),
        (("sta", "--cell", "nobody"), "no cell 'nobody' in this run"),
        (("sta", "--out", "a.gif"), "in .npz"),
        (("attribution",), "mean is one stage"),
        (("local", "--at", 9999), "moment 9999"),
    ):
        done = retina("probe", "run", *words)
        assert done.status == 1 and said in done.err, done.err
        assert len(done.err.splitlines()) == 1
    for words in (
        ("sta", "--at", 5),
        ("local", "--part", "door"),
        ("sta", "--seeds", 4),
    ):
        assert retina("probe", "run", *words).status == 2


@pytest.mark.slow
def test_probe_recovery_says_which_parameters_return(retina):
    words = ("--set", "lags=4", "--set", "rank=None")
    fitted = retina("fit", "tiny", "ln", *words, "--out", "run")
    assert fitted.status == 0, fitted.err
    done = retina("probe", "run", "recovery", "--seeds", 2, "--json")
    assert done.status == 0, done.err
    told = json.loads(done.out)
    rows = {row["parameter"]: row for row in told["rows"]}
    # 2990 bins of about 0.5 counts, for 8 weights whose problem has one solution.
    assert rows["space_time.filters"]["error"] < 0.3
    assert rows["space_time.filters"]["correlation"] > 0.95
    assert len(told["starts"]) == 2 and told["reached"]
    for start in (*told["starts"], told["truth"]):
        assert len(start["values"]["output.bias"]) == 2
    table = retina("probe", "run", "recovery", "--seeds", 2)
    assert table.status == 0 and "space_time.filters" in table.out
    assert "as good as the best" in table.out
    assert retina("probe", "run", "recovery", "--cell", "0").status == 2


def test_probe_degeneracy_says_what_the_starts_agree_on(retina):
    words = "lags=4", "rank=None", "output_kind=exp", "scatter=0.3"
    settings = [word for one in words for word in ("--set", one)]
    done = retina("fit", "tiny", "ln", *settings, "--seeds", 2, "--out", "run")
    assert done.status == 0, done.err
    asked = "probe", "run", "degeneracy", "--within", 0.02, "--json"
    told = json.loads(retina(*asked).out)
    # One linear filter and one offset per cell have one best value.
    assert told["equal"] == [True, True]
    assert {row["verdict"] for row in told["rows"]} == {"agreed"}
    table = retina("probe", "run", "degeneracy", "--within", 0.1)
    assert table.status == 0 and "space_time.filters" in table.out
    for words in (("degeneracy", "--cell", 0), ("sta", "--within", 1)):
        assert retina("probe", "run", *words).status == 2
    alone = retina("fit", "tiny", "ln", "--out", "alone", "--set", "lags=4")
    assert alone.status == 0, alone.err
    refused = retina("probe", "alone", "degeneracy")
    assert refused.status == 1 and "one start alone" in refused.err
